"""A driver whose calls do not return holds up the process that asks it, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from aiotune_gpu import (
    MIB,
    DeviceFault,
    DeviceLost,
    DriverHangs,
    GpuError,
    IsolatedProvider,
    NvmlUnavailable,
    child,
)
from aiotune_gpu.fake_driver import HANGS, FakeDriver

A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"
_PATIENCE = 10.0


def seconds(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def hangs(ask: Callable[[], object]) -> None:
    with pytest.raises(DriverHangs):
        ask()


def eventually(ask: Callable[[], object]) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            ask()
        except DriverHangs:
            assert time.monotonic() < until
            threading.Event().wait(0.01)
        else:
            return


def test_a_hung_device_is_waited_for_once_and_no_other_one_is(
    isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """The first question takes its deadline, later ones nothing; other devices answer as ever."""
    isolated.devices()
    isolated.memory(B)
    driver.change(A, hangs=True)

    first = seconds(lambda: hangs(lambda: isolated.memory(A)))
    isolated.memory(B)  # its process is a new one
    later = seconds(lambda: hangs(lambda: isolated.memory(A)))
    others = seconds(lambda: isolated.health(B))

    assert 0.5 <= first < 3.0
    assert later < 0.4
    assert others < 0.4


def test_a_device_that_answers_again_says_what_is_so_now(
    isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """The answer to the question that hung is not taken for that to a later one."""
    isolated.devices()
    driver.change(A, hangs=True, used=100 * MIB)
    hangs(lambda: isolated.memory(A))
    driver.change(A, hangs=False, used=200 * MIB)
    eventually(lambda: isolated.memory(A))
    driver.change(A, used=300 * MIB)

    assert isolated.memory(A).used == 300 * MIB


def test_a_process_that_hangs_for_long_is_given_up_for_a_new_one(
    isolated: IsolatedProvider, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hangs may be that process alone."""
    isolated.devices()
    driver.change(A, hangs=True)
    hangs(lambda: isolated.memory(A))
    before = isolated._own[0].pid
    monkeypatch.setattr(child, "_ANEW", 0.0)
    hangs(lambda: isolated.memory(A))

    assert before is not None
    assert isolated._own[0].pid != before
    assert not psutil.pid_exists(before)


def test_a_hung_device_is_left_out_of_the_list(
    isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """The others keep their indices, and it is known why one is missing."""
    isolated._first = 2.0
    isolated.devices()
    driver.change(A, hangs=True)

    found = isolated.devices()

    assert [d.index for d in found] == [1, 2, 2]
    assert list(isolated.left_out) == [0]
    assert "did not return within 2 s" in isolated.left_out[0]


def test_instances_hang_with_their_gpu(isolated: IsolatedProvider, driver: FakeDriver) -> None:
    """So the second instance of a hung GPU is not waited for again."""
    one, other = (d.uuid for d in isolated.devices() if d.mig_parent)
    driver.change(one, hangs=True)
    hangs(lambda: isolated.memory(one))

    assert seconds(lambda: hangs(lambda: isolated.memory(other))) < 0.4


def test_faults_of_others_are_told_while_a_device_hangs(
    isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """The watch for faults begins anew without the device that hangs, and with it when it answers."""
    isolated.devices()
    assert list(isolated.faults(0)) == []
    driver.change(A, hangs=True)
    hangs(lambda: isolated.memory(A))
    assert [list(isolated.faults(0)) for _ in range(2)] == [[], []]  # the first may hang, too
    driver.fail(B, 79)
    during = list(isolated.faults(_PATIENCE))
    driver.change(A, hangs=False)
    eventually(lambda: isolated.memory(A))
    assert list(isolated.faults(0)) == []
    driver.fail(A, 48)

    assert during == [DeviceFault(B, 79)]
    assert list(isolated.faults(_PATIENCE)) == [DeviceFault(A, 48)]


def test_a_driver_that_cannot_be_opened_in_time_is_said_so(
    isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """A new provider is refused after its deadline."""
    driver.break_down(HANGS)

    with pytest.raises(DriverHangs, match=r"did not return within 0\.3 s"):
        IsolatedProvider(answer=0.2, first=0.3)


def test_a_slow_driver_is_waited_for(isolated: IsolatedProvider, driver: FakeDriver) -> None:
    """Below the deadline nothing is lost."""
    isolated._answer = _PATIENCE
    isolated.devices()
    driver.change(A, slow=60)

    assert isolated.memory(A).total > 0


def test_a_process_that_dies_costs_one_answer(
    isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """A driver's library that crashes is an error like another; the next question has a new process."""
    isolated.devices()
    pid = isolated._shared.pid
    assert pid is not None
    os.kill(pid, signal.SIGSEGV)

    with pytest.raises(GpuError, match=r"has died \(exit status -11\)"):
        isolated.memory(A)
    assert isolated.memory(A).total > 0


def test_closing_waits_for_no_answer(isolated: IsolatedProvider, driver: FakeDriver) -> None:
    """A question under way ends at once with an error, and so does what is asked later."""
    isolated._answer = 30.0
    isolated.devices()
    driver.change(A, hangs=True)
    told: list[str] = []

    def ask() -> None:
        try:
            isolated.memory(A)
        except GpuError as error:
            told.append(str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    while not isolated._shared.hangs:
        threading.Event().wait(0.005)

    assert seconds(isolated.close) < 3.0
    asking.join(_PATIENCE)
    assert "has died" in told[0]
    with pytest.raises(NvmlUnavailable, match="closed"):
        isolated.memory(B)


def test_errors_keep_what_they_say(isolated: IsolatedProvider, driver: FakeDriver) -> None:
    """That a lost device wants a reset survives the way from process to process."""
    driver.lose(A, 16)

    with pytest.raises(DeviceLost) as lost:
        isolated.memory(A)
    assert lost.value.reset_required


def test_the_process_ends_with_its_parent_although_a_call_hangs(
    isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """Nobody is left behind in the driver when the program is killed."""
    script = (
        "import os, sys, threading; from aiotune_gpu import IsolatedProvider\n"
        "provider = IsolatedProvider(); print(provider._shared.pid, flush=True)\n"
        f"threading.Thread(target=provider.memory, args=({A!r},), daemon=True).start()\n"
        "while not provider._shared.hangs: pass\n"
        "print(flush=True); sys.stdin.read()"
    )
    driver.change(A, hangs=True)
    program = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert program.stdout is not None
    asking = psutil.Process(int(program.stdout.readline()))
    program.stdout.readline()
    program.kill()
    program.communicate()

    asking.wait(_PATIENCE)  # fails if it lives on
