"""For tests of aiotune and of what plugs into it: virtual time, fakes, contract suites."""

from aiotune.testing._loop import Deadlock, Livelock, VirtualTimeLoop, run_virtual

__all__ = ("Deadlock", "Livelock", "VirtualTimeLoop", "run_virtual")
