"""The child process: runs one order and exits. The only importer of keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiotune.worker._failures import describe_exception as describe_exception
    from aiotune.worker._probe import run_probe as run_probe

__all__ = ("describe_exception", "run_probe")


def __getattr__(name: str) -> Any:
    # Lazy: a keeper needs neither, and every worker is forked from a process
    # that began by importing this package.
    if name == "describe_exception":
        from aiotune.worker._failures import describe_exception

        return describe_exception
    if name == "run_probe":
        from aiotune.worker._probe import run_probe

        return run_probe
    raise AttributeError(f"module 'aiotune.worker' has no attribute {name!r}")
