"""Work within bounds of time and memory, and attributes that are replaced for a while."""

from __future__ import annotations

import mmap
import resource
import signal

import pytest

from aiotune.worker import _bounds
from aiotune.worker._bounds import TooSlow, memory_bound, time_bound
from aiotune.worker._patching import owners, replaced


def test_work_in_time_is_not_disturbed() -> None:
    """Afterwards the alarm, its handler and its clock are what they were."""
    handler, clock = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)

    with time_bound(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 59

    assert signal.getsignal(signal.SIGALRM) is handler
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) is (clock[0] > 0)


def test_work_that_takes_too_long_is_ended() -> None:
    """An endless loop ends, and no ``except Exception`` stops that."""

    def work() -> None:
        try:
            while True:
                pass
        except Exception as error:
            raise AssertionError from error

    with pytest.raises(TooSlow), time_bound(0.01):
        work()


def test_work_that_catches_everything_is_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare except gains a moment, not for ever."""
    monkeypatch.setattr(_bounds, "_AGAIN", 0.01)
    caught = 0

    def work() -> None:
        nonlocal caught
        try:
            while True:
                pass
        except BaseException:
            caught += 1
            if caught == 3:
                raise
            work()

    with pytest.raises(TooSlow), time_bound(0.01):
        work()

    assert caught == 3


def test_memory_beyond_the_bound_cannot_be_had() -> None:
    """An allocation fails where the process would outgrow it; a smaller one does not."""
    before = resource.getrlimit(resource.RLIMIT_AS)

    with memory_bound(256 << 20):
        mmap.mmap(-1, 64 << 20).close()
        with pytest.raises(OSError, match="Cannot allocate memory"):
            mmap.mmap(-1, 512 << 20)

    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_memory_without_a_bound_is_left_alone() -> None:
    """None bounds nothing."""
    before = resource.getrlimit(resource.RLIMIT_AS)

    with memory_bound(None):
        assert resource.getrlimit(resource.RLIMIT_AS) == before


class Base:
    name = "base"


class Derived(Base):
    pass


def test_an_own_attribute_is_put_back() -> None:
    """Also after an exception."""

    def fail() -> None:
        assert Derived.name == "other"
        raise KeyError

    with pytest.raises(KeyError), replaced(Base, "name", "other"):
        fail()

    assert vars(Base)["name"] == "base"


def test_an_inherited_attribute_is_shadowed_for_a_while() -> None:
    """The class has afterwards none of its own."""
    with replaced(Derived, "name", "other"):
        assert (Derived.name, Base.name) == ("other", "base")

    assert Derived.name == "base"
    assert "name" not in vars(Derived)
    assert owners(Derived, "name") == [Base]
