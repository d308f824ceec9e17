"""Which devices the searches of this host hold: files that each lets the others see.

A claim is a small file in a directory that all users share, with an advisory lock (``flock``)
that its maker holds as long as the claim stands; the kernel lets go of it with the process, however that
ends. So a file that nobody locks is a claim of the dead, and no clock and no process number is
needed to know it. It says where to go first, and never whether something may run at all: who lies
can make a choice worse, and nothing else. Where containers do not share the directory,
what the driver tells is all that there is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import stat
import threading
import time
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

__all__ = ("VARIABLE", "Claim", "HostClaims", "claims_directory")

VARIABLE = "AIOTUNE_CLAIMS"
_USUAL = Path("/tmp/aiotune-claims")  # noqa: S108 - each file in it is made anew, and none followed
_SHARED = 0o1777
"""As ``/tmp``: everybody may add files, and remove their own."""
_NAME = re.compile(r"claim-[0-9]{1,10}-[0-9a-f]{16}")
_MOST_ENTRIES, _MOST_BYTES, _MOST_DEVICES = 1_000, 4_096, 64
"""Of what others may have written, so much is read."""
_LARGEST = 1 << 50
_TRIES, _PAUSE = 25, 0.02
"""Half a second for others who are just making a claim; then it is made all the same."""
_AFRESH = 3_600.0
"""Seconds after which a claim is touched: some hosts remove what is old from their ``/tmp``."""
_NEVER = threading.Event()


@dataclass(frozen=True, slots=True)
class Claim:
    """What a search says that it holds of a device.

    Attributes:
        name: Unique; the same for each device of one claim.
        uuid: The device.
        bytes: What it may take there.
    """

    name: str
    uuid: str
    bytes: int


@dataclass(slots=True)
class _Own:
    name: str
    fd: int
    touched: float = field(default_factory=time.monotonic)


def claims_directory(environ: Mapping[str, str]) -> Path | None:
    """Return where claims are made: what ``AIOTUNE_CLAIMS`` names; ``None`` if that is empty."""
    named = environ.get(VARIABLE)
    if named is None:
        return _USUAL
    return Path(named) if named else None


class HostClaims:
    """Claims of one search among those of all others of the host. Blocking, for a thread.

    Args:
        folder: The directory; made if it is not there.

    Attributes:
        problem: Why claims cannot be made or read, as of the last try; ``None``: they can.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: dict[str, _Own] = {}
        self.problem: str | None = None
        _alive.add(self)

    def claim(
        self, holder: str, uuids: Sequence[str], size: int, known: Collection[str]
    ) -> Sequence[Claim]:
        """Claim devices, unless somebody else claims one of them whom the caller does not know.

        Args:
            holder: Whoever it is for; has no other claim.
            uuids: The devices.
            size: Bytes of each of them.
            known: Names of the others' claims that were considered when the devices were chosen.

        Returns:
            All claims of others, if the devices have to be chosen again; empty if they are
            claimed, or nothing can be claimed (:attr:`problem`).
        """
        with self._opened() as folder:
            if folder is None:
                return ()
            with _turn(folder):
                others = self._others(folder)
                if any(c.uuid in uuids and c.name not in known for c in others):
                    return others
                text = json.dumps({"devices": list(uuids), "bytes": size, "pid": os.getpid()})
                self._own[holder] = _made(folder, text)
        return ()

    def withdraw(self, holder: str) -> None:
        """Let others have the devices of a holder, if it has any."""
        own = self._own.pop(holder, None)
        if own is None:
            return
        try:
            with self._opened() as folder:
                if folder is not None:
                    _remove(folder, own.name)
        finally:
            os.close(own.fd)

    def others(self) -> Sequence[Claim]:
        """Return the claims of all other searches that are alive; those of the dead are removed."""
        with self._opened() as folder:
            if folder is None:
                return ()
            self._keep_young()
            return self._others(folder)
        return ()

    def close(self) -> None:
        """Withdraw all claims."""
        for holder in list(self._own):
            self.withdraw(holder)

    def let_go(self) -> None:
        """Close the files without a word, as the end of the process would."""
        while self._own:
            _, own = self._own.popitem()
            os.close(own.fd)

    # ── reading ────────────────────────────────────────────────────────────

    def _others(self, folder: int) -> list[Claim]:
        own = {own.name for own in self._own.values()}
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _MOST_ENTRIES)]
        found: list[Claim] = []
        for name in sorted(names):
            if _NAME.fullmatch(name) and name not in own:
                found += self._read(folder, name)
        return found

    def _read(self, folder: int, name: str) -> list[Claim]:
        # Whatever stands there may be another user's: a link, a pipe, a device.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, dir_fd=folder)
        except OSError:  # gone meanwhile, or not for us to read
            return []
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return []
            if not _is_held(fd):
                if status.st_uid == os.geteuid():  # its name is never used again
                    _remove(folder, name)
                return []
            return _parsed(name, os.read(fd, _MOST_BYTES + 1))
        except OSError:
            return []
        finally:
            os.close(fd)

    def _keep_young(self) -> None:
        now = time.monotonic()
        for own in self._own.values():
            if now - own.touched >= _AFRESH:
                own.touched = now
                os.utime(own.fd)

    # ── the directory ──────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Give the directory, or nothing where it cannot be used; what fails within is noted."""
        fd = None
        try:
            fd = _open(self._folder)
            yield fd
        except OSError as error:
            self.problem = f"{self._folder}: {error.strerror or error}"
            if fd is None:
                yield None
        else:
            self.problem = None
        finally:
            if fd is not None:
                os.close(fd)


def _open(folder: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(folder, flags)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # another search was quicker
            folder.mkdir(mode=0o700)
        fd = os.open(folder, flags)
        status = os.fstat(fd)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != _SHARED:
            os.fchmod(fd, _SHARED)  # beyond what the umask allows
        return fd


def _made(folder: int, text: str) -> _Own:
    """Make a file that is locked before anybody can see it under its name."""
    name = f"claim-{os.getpid()}-{secrets.token_hex(8)}"
    hidden = f".{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(hidden, flags, 0o600, dir_fd=folder)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(fd, text.encode())
        os.fchmod(fd, 0o644)  # for other users, whatever the umask
        os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.close(fd)
        _remove(folder, hidden)
        raise
    return _Own(name, fd)


def _remove(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # somebody has cleaned up
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def _turn(folder: int) -> Iterator[None]:
    """Keep others from making a claim between a look and a claim; not for long, and at no price."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            _NEVER.wait(_PAUSE)
    yield  # it ends with the descriptor


def _is_held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _parsed(name: str, data: bytes) -> list[Claim]:
    try:
        told: Any = json.loads(data) if len(data) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        return []
    if not isinstance(told, dict):
        return []
    devices, size = told.get("devices"), told.get("bytes")
    if not isinstance(devices, list) or not isinstance(size, int) or not 0 <= size <= _LARGEST:
        return []
    uuids = {uuid for uuid in devices[:_MOST_DEVICES] if isinstance(uuid, str)}
    return [Claim(name, uuid, int(size)) for uuid in sorted(uuids)]


_alive: weakref.WeakSet[HostClaims] = weakref.WeakSet()


def _forked() -> None:
    # A lock belongs to all processes that have its file open: a child would go on holding it.
    for claims in list(_alive):
        claims.let_go()


os.register_at_fork(after_in_child=_forked)
