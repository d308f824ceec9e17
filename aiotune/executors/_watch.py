"""Waiting for any of several descriptors, on any event loop and without a thread."""

from __future__ import annotations

import select

import anyio

__all__ = ("Watch", "has_ended")


class Watch:
    """A set of descriptors that are waited for together.

    An epoll instance is itself a descriptor that becomes readable, so the
    event loop has to know one thing only.

    Args:
        *fds: What to wait for; still owned by the caller.
        writable: One that is waited for until it can be written to.
    """

    def __init__(self, *fds: int, writable: int | None = None) -> None:
        self._epoll = select.epoll()
        if writable is not None:
            self._epoll.register(writable, select.EPOLLOUT)
        for fd in fds:
            self._epoll.register(fd, select.EPOLLIN)

    async def wait(self) -> frozenset[int]:
        """Wait until some can be read, have ended or were closed by their peer.

        Returns:
            Those; none if the watch was closed meanwhile.
        """
        while not self._epoll.closed:
            # Also when one is ready already: a worker that floods its channel
            # must let the other tasks run.
            try:
                await anyio.wait_readable(self._epoll.fileno())
            except anyio.ClosedResourceError:
                break
            if self._epoll.closed:
                break
            ready = frozenset(fd for fd, _ in self._epoll.poll(0))
            if ready:
                return ready
        return frozenset()

    def close(self) -> None:
        """Stop watching, and wake who waits. Safe to call twice."""
        if not self._epoll.closed:
            anyio.notify_closing(self._epoll.fileno())
            self._epoll.close()


def has_ended(pidfd: int) -> bool:
    """Whether the process of a pidfd is gone, without waiting."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
