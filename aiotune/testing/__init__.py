"""For tests of aiotune and of what plugs into it: virtual time, fakes, contract suites."""

from aiotune.testing._loop import Deadlock, Livelock, VirtualTimeLoop, run_virtual
from aiotune.testing._searchers import SEARCHER_CHECKS, Rehearsal

__all__ = ("SEARCHER_CHECKS", "Deadlock", "Livelock", "Rehearsal", "VirtualTimeLoop", "run_virtual")
