"""Is there a Multi-Process Service, and what is its client told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from aiotune_gpu import GIB, MIB
from aiotune_gpu.mps import client_environment, running_daemon


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The path of a socket may have 107 bytes at most.
    return tmp_path_factory.mktemp("m")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_a_daemon_that_listens_is_found(folder: Path, kind: socket.SocketKind) -> None:
    """Where the variable says, or in the usual place; it is not disturbed, and found no more when it ends."""
    with socket.socket(socket.AF_UNIX, kind) as daemon:
        daemon.bind(str(folder / "control"))
        if kind != socket.SOCK_DGRAM:
            daemon.listen()
        daemon.setblocking(False)

        assert running_daemon({"CUDA_MPS_PIPE_DIRECTORY": str(folder)}) == folder
        assert running_daemon({}, usual=folder) == folder
        with pytest.raises(BlockingIOError):
            daemon.recv(1) if kind == socket.SOCK_DGRAM else daemon.accept()

    assert (folder / "control").exists()
    assert running_daemon({}, usual=folder) is None


def test_a_daemon_that_reads_a_pipe_is_found(folder: Path) -> None:
    """As long as it reads."""
    os.mkfifo(folder / "control")
    assert running_daemon({}, usual=folder) is None
    reader = os.open(folder / "control", os.O_RDONLY | os.O_NONBLOCK)

    assert running_daemon({}, usual=folder) == folder
    os.close(reader)


def test_without_a_daemon_none_is_found(folder: Path) -> None:
    """No directory, an empty one, or one with a file of the name."""
    assert running_daemon({}, usual=folder / "missing") is None
    assert running_daemon({"CUDA_MPS_PIPE_DIRECTORY": ""}, usual=folder) is None
    (folder / "control").touch()
    assert running_daemon({}, usual=folder) is None


@pytest.mark.parametrize(
    ("size", "devices", "expected"),
    [
        (2 * GIB, 1, "0=2048M"),
        (2 * GIB + MIB - 1, 1, "0=2048M"),
        (MIB, 1, "0=1M"),
        (3 * GIB // 2, 3, "0=1536M,1=1536M,2=1536M"),
    ],
)
def test_a_client_is_told_its_memory(size: int, devices: int, expected: str) -> None:
    """In whole MiB, never more than given, for each device that it sees."""
    assert client_environment(size, devices=devices) == {
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": expected
    }


@pytest.mark.parametrize("percentage", [1, 50, 100])
def test_a_client_may_be_told_its_share(percentage: int) -> None:
    """Of the multiprocessors."""
    assert client_environment(GIB, percentage) == {
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=1024M",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": str(percentage),
    }


@pytest.mark.parametrize(
    ("size", "percentage", "devices", "message"),
    [
        (MIB - 1, None, 1, "1048575 bytes"),
        (GIB, 0, 1, "0 % is not between"),
        (GIB, 101, 1, "101 % is not between"),
        (GIB, None, 0, "needs a device"),
    ],
)
def test_what_a_client_cannot_work_with_is_refused(
    size: int, percentage: int | None, devices: int, message: str
) -> None:
    """A limit that is rounded to nothing would be none."""
    with pytest.raises(ValueError, match=message):
        client_environment(size, percentage, devices=devices)
