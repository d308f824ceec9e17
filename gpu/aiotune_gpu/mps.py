"""CUDA's Multi-Process Service: is it there, and what a client of it is told.

Starting, stopping or configuring it is its owner's business, never this package's.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from aiotune_gpu.bytesize import MIB

__all__ = ("client_environment", "running_daemon")

_PIPES = "CUDA_MPS_PIPE_DIRECTORY"
_USUAL = Path("/tmp/nvidia-mps")  # noqa: S108 - the place is the service's choice, not ours


def running_daemon(environ: Mapping[str, str], *, usual: Path = _USUAL) -> Path | None:
    """Return the directory in which a daemon that this process may use listens.

    A directory that a killed daemon has left behind is told from a living one.

    Args:
        environ: Where ``CUDA_MPS_PIPE_DIRECTORY`` is looked up.
        usual: The directory if that is not set.
    """
    folder = Path(environ.get(_PIPES) or usual)
    return folder if _listens(folder / "control") else None


def _listens(control: Path) -> bool:
    try:
        kind = control.stat().st_mode
    except OSError:
        return False
    if stat.S_ISSOCK(kind):
        return _socket_listens(control)
    return stat.S_ISFIFO(kind) and _pipe_is_read(control)


def _socket_listens(control: Path) -> bool:
    # The kernel looks for whoever is bound to the path before it compares the
    # kinds of the sockets. So a datagram that is never sent tells a living
    # daemon from a dead one, without a connection that the daemon would see.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(control))
        except OSError as error:
            return error.errno == errno.EPROTOTYPE
    return True


def _pipe_is_read(control: Path) -> bool:
    try:
        os.close(os.open(control, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # ENXIO: nobody reads
        return False
    return True


def client_environment(
    pinned_bytes: int, percentage: int | None = None, *, devices: int = 1
) -> dict[str, str]:
    """Return the variables that bound what a client may use of its devices.

    The service makes an allocation beyond the limit fail as if the device were
    full. Sizes are whole MiB, rounded down, so a limit is never exceeded.

    Args:
        pinned_bytes: Memory on each device, at least 1 MiB.
        percentage: Part of each device's multiprocessors, 1 to 100; ``None``: no limit.
        devices: How many devices the client sees; it numbers them from 0.

    Raises:
        ValueError: A value is out of its range.
    """
    if pinned_bytes < MIB:
        raise ValueError(
            f"A client of MPS cannot work with {pinned_bytes} bytes; give it 1 MiB at least."
        )
    if devices < 1:
        raise ValueError(f"A client of MPS needs a device; {devices} were given.")
    if percentage is not None and not 1 <= percentage <= 100:  # noqa: PLR2004 - percent
        raise ValueError(f"A share of {percentage} % is not between 1 and 100.")
    limit = ",".join(f"{device}={pinned_bytes // MIB}M" for device in range(devices))
    variables = {"CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": limit}
    if percentage is not None:
        variables["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = str(percentage)
    return variables
