"""What is said where the kernel, or a sandbox, has no descriptors of processes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from aiotune.errors import SpawnError
from aiotune.executors import LocalExecutor
from aiotune.executors._kernel import pidfd_of
from aiotune.wire import Payload


class _Succeeds:
    """Returns a number."""

    def run_trial(self, trial: Any) -> float:
        return 0.0


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
async def test_search_says_which_kernel_it_needs(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An old kernel, and a sandbox that refuses, are answered with what to do, and leave nothing open."""

    def refuse(pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    before = set(Path("/proc/self/fd").iterdir())

    with pytest.raises(SpawnError, match=r"pidfd_open.*Linux has it since 5\.3.*inline") as raised:
        await LocalExecutor.start(Payload(_Succeeds(), ()), imports=())

    assert os.strerror(number) in str(raised.value)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_python_without_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was built on an old system lacks the function on a new one."""
    monkeypatch.delattr(os, "pidfd_open")

    with pytest.raises(SpawnError, match="this Python was built without it"):
        pidfd_of(1)


def test_process_that_is_gone_is_no_fault_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as it is, and so is a lack of descriptors."""
    highest = int(Path("/proc/sys/kernel/pid_max").read_text())

    with pytest.raises(ProcessLookupError):
        pidfd_of(highest)
