"""How many workers the limit of open files leaves room for.

A worker takes six descriptors of the tuner: two channels, two pidfds and two instances of epoll.
Where they run out, no further worker can be started; after two minutes of tries that ends the search, with
all the trainings that are well under way.
"""

from __future__ import annotations

import os
import resource
from dataclasses import replace

from aiotune._devices import Resources

__all__ = ("within_open_files",)

_OF_A_WORKER = 7
"""Its own, and a part of what takes part in a start."""
_OTHERS = 32
"""What the rest of the search opens, and the program while it runs."""


def within_open_files(found: Resources) -> Resources:
    """Return resources with no more trials at a time than this program can hold the descriptors of."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return found
    left = limit - len(os.listdir("/proc/self/fd")) - _OTHERS  # noqa: PTH208 - a count
    room = max(1, left // _OF_A_WORKER)
    if found.most <= room:
        return found
    reason = (
        f"{found.reason} There would be {found.most} at a time, but this program may have no more than {limit:,} "
        "files open; a greater `ulimit -n` makes room."
    )
    return replace(found, most=room, reason=reason)
