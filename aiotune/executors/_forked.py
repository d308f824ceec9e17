"""What a child that the user's own program forks must not keep open.

A keeper ends its tree when its tuner's end of the channel is closed, and the nursery
leaves when nobody holds its own. A forked child of the tuner, a ``multiprocessing`` pool
say, has copies of them all, and would keep trials alive that nobody waits for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref

__all__ = ("close_in_children",)

_ours: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def close_in_children(*channels: socket.socket) -> None:
    """Have sockets closed in every child that is forked while they are open."""
    _ours.update(channels)


def _close_all() -> None:
    for channel in list(_ours):
        with contextlib.suppress(OSError):
            channel.close()
    _ours.clear()


os.register_at_fork(after_in_child=_close_all)
