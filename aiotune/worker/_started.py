"""Whether a back end was started in this process, so that no fork of it could use a device."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ("started_backends",)

_OF_CUDA, _OF_ROCM = "/dev/nvidia-uvm", "/dev/kfd"
"""Opened when a program begins to compute on a GPU; NVML, which only asks, opens others."""


def started_backends() -> frozenset[str]:
    """Return what was started, in words.

    To import a back end starts nothing of it. To run an operation does, and so does asking JAX or
    TensorFlow for its devices: threads that no fork has, or a context of the driver that no fork can use.
    """
    return frozenset((*_runtimes(), *_drivers()))


def _runtimes() -> Iterator[str]:
    if _told(sys.modules.get("torch"), "cuda", "is_initialized"):
        yield "torch has started CUDA"
    if getattr(sys.modules.get("jax._src.xla_bridge"), "_backends", None):
        yield "JAX has started XLA"
    context = getattr(sys.modules.get("tensorflow.python.eager.context"), "_context", None)
    if getattr(context, "_initialized", False):
        yield "TensorFlow has started its runtime"


def _told(module: Any, part: str, question: str) -> bool:
    ask = getattr(getattr(module, part, None), question, None)
    return callable(ask) and bool(ask())


def _drivers() -> Iterator[str]:
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208 - links of numbers
        with contextlib.suppress(OSError):  # the listing's own
            target = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - may be no path
            if target in {_OF_CUDA, _OF_ROCM}:
                yield f"{target} is open"
