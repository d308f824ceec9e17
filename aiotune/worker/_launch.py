"""How a fresh interpreter is started: its command line and its environment.

Used by the tuner for the nursery and by a keeper for a worker that must not
be forked; so it imports nothing heavy.
"""

from __future__ import annotations

import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ("LEFT_OUT", "interpreter", "restore_path", "worker_environment")

LEFT_OUT = "--"
"""Before the modules that are left out, on a command line: ``NAME=REASON``."""

_SAVED_PATH = "AIOTUNE_PYTHONPATH"

_DEFAULTS = {
    # torch asks the driver through NVML then, and a fork of this process can still use CUDA.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    # Trials share a GPU: none may take all of its memory at once.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def interpreter(
    words: Iterable[str], environment: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return command line and environment of ``python -m aiotune.worker WORDS``.

    The working directory is kept off ``sys.path`` until the program's own
    path is known. Where this package is found only by this process's path,
    PYTHONPATH leads to it, and :func:`restore_path` takes that back.
    """
    home = str(Path(__file__).parents[2])
    if home not in _default_path():
        original = environment.get("PYTHONPATH", "")
        environment[_SAVED_PATH] = original
        environment["PYTHONPATH"] = f"{home}{os.pathsep}{original}" if original else home
    return [sys.executable, "-P", "-m", "aiotune.worker", *words], environment


def restore_path() -> None:
    """Give the environment back the PYTHONPATH that the user had set."""
    original = os.environ.pop(_SAVED_PATH, None)
    if original:
        os.environ["PYTHONPATH"] = original
    elif original is not None:
        os.environ.pop("PYTHONPATH", None)


def worker_environment(inherited: Mapping[str, str], imports: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment of all workers: the inherited one and what the back ends need.

    Args:
        inherited: The tuner's environment; what the user has set stays.
        imports: What workers will import.
    """
    environment = {**_DEFAULTS, **inherited}
    keras = sys.modules.get("keras")
    if keras is not None:
        # keras.json may have chosen it, or code before the first import.
        environment["KERAS_BACKEND"] = keras.backend.backend()
    if environment.get("PYTHONDONTWRITEBYTECODE") and not all(map(_is_compiled, imports)):
        # A package that is never compiled costs each fresh interpreter
        # seconds. The wish for no bytecode concerns the directories of
        # sources, so it goes to a cache instead. Not otherwise: with a prefix
        # Python no longer reads what is compiled in place.
        del environment["PYTHONDONTWRITEBYTECODE"]
        cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        environment.setdefault("PYTHONPYCACHEPREFIX", str(cache / "aiotune" / "pycache"))
    return environment


def _is_compiled(name: str) -> bool:
    spec = importlib.util.find_spec(name.partition(".")[0])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return True  # nothing to compile, or nothing to find
    return Path(importlib.util.cache_from_source(spec.origin)).exists()


def _default_path() -> set[str]:
    """Return where any interpreter of this installation looks for packages."""
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    if site.ENABLE_USER_SITE:
        paths.add(site.getusersitepackages())
    return paths
