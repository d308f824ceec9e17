"""The control groups that this process is in, and what is written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ("groups_of", "read")

_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def groups_of(controller: str) -> Iterator[Path]:
    """Yield the control groups that this process is in, from the narrowest on.

    A container's are at the top, whatever they are called outside. A job of a batch system, or of
    systemd, sees the whole host's, and its own are further down.
    """
    for line in read(_MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        home = _CGROUP / controller if controllers else _CGROUP
        here = home / path.lstrip("/")
        while here != home and home in here.parents:
            yield here
            here = here.parent
    yield _CGROUP
    yield _CGROUP / controller


def read(path: Path) -> str:
    """Return the text of a file of the kernel's; nothing where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
