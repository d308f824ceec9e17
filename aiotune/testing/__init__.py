"""For tests of aiotune and of what plugs into it: virtual time, fakes, contract suites.

Names are imported on first use: a plugin's tests pay for what they use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import aiotune._checkout  # noqa: F401 - for what imports aiotune_gpu below

if TYPE_CHECKING:
    from aiotune.testing._executors import EXECUTOR_CHECKS as EXECUTOR_CHECKS
    from aiotune.testing._executors import Behaving as Behaving
    from aiotune.testing._executors import Behaviour as Behaviour
    from aiotune.testing._loop import Deadlock as Deadlock
    from aiotune.testing._loop import Livelock as Livelock
    from aiotune.testing._loop import VirtualTimeLoop as VirtualTimeLoop
    from aiotune.testing._loop import run_virtual as run_virtual
    from aiotune.testing._providers import PROVIDER_CHECKS as PROVIDER_CHECKS
    from aiotune.testing._providers import DeviceScript as DeviceScript
    from aiotune.testing._providers import ProviderRig as ProviderRig
    from aiotune.testing._pruners import PRUNER_CHECKS as PRUNER_CHECKS
    from aiotune.testing._refusals import BadInput as BadInput
    from aiotune.testing._refusals import check_refusal as check_refusal
    from aiotune.testing._searchers import SEARCHER_CHECKS as SEARCHER_CHECKS
    from aiotune.testing._searchers import Rehearsal as Rehearsal
    from aiotune.testing._simulation import RecordingLog as RecordingLog
    from aiotune.testing._simulation import Simulation as Simulation
    from aiotune.testing._simulation import completes as completes
    from aiotune.testing._simulation import fails as fails
    from aiotune.testing._stores import StoreContract as StoreContract

_HOMES = {
    "BadInput": "_refusals",
    "Behaving": "_executors",
    "Behaviour": "_executors",
    "Deadlock": "_loop",
    "DeviceScript": "_providers",
    "EXECUTOR_CHECKS": "_executors",
    "Livelock": "_loop",
    "PROVIDER_CHECKS": "_providers",
    "PRUNER_CHECKS": "_pruners",
    "ProviderRig": "_providers",
    "RecordingLog": "_simulation",
    "Rehearsal": "_searchers",
    "SEARCHER_CHECKS": "_searchers",
    "Simulation": "_simulation",
    "StoreContract": "_stores",
    "VirtualTimeLoop": "_loop",
    "check_refusal": "_refusals",
    "completes": "_simulation",
    "fails": "_simulation",
    "run_virtual": "_loop",
}

__all__ = tuple(sorted(_HOMES))


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aiotune.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"aiotune.testing.{home}"), name)
