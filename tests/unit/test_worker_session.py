"""One order in a worker, without the process around it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiotune.failures import FailureKind
from aiotune.wire import (
    Done,
    Failed,
    FrameReader,
    FromWorker,
    Hello,
    Payload,
    Probed,
    RunAttempt,
    RunProbe,
    encode,
    pack,
    read_result,
)
from aiotune.worker._channel import Channel
from aiotune.worker._pools import limit_threads
from aiotune.worker._session import RESULT_FILE, _Session


class _Target:
    """Runs a function as a trial."""

    def __init__(self, trial: Callable[[], Any]) -> None:
        self.trial = trial

    def run_trial(self, trial: Any) -> Any:
        return self.trial()


def _order(directory: Path) -> RunAttempt:
    return RunAttempt(
        trial_id="0001",
        index=1,
        attempt=1,
        attempt_id="0001-01-abcd",
        seed=3,
        stream=None,
        space={"space": [], "values": {}},
        objective=[{"name": "score", "direction": "min"}],
        budget={},
        environment={"AIOTUNE_TEST_VALUE": "7"},
        threads=0,
        project_dir=str(directory),
        trial_dir=str(directory),
        attempt_dir=str(directory / "attempt-01"),
    )


def _run(order: Any, trial: Callable[[], Any]) -> tuple[int, list[Any]]:
    ours, theirs = socket.socketpair()
    channel, packed = Channel(theirs.detach()), pack(Payload(_Target(trial)))
    saved = dict(os.environ)
    try:
        ours.send(encode(order))
        code = _Session(channel, packed.fd).run()
        return code, FrameReader[Any](FromWorker).feed(ours.recv(1 << 20))
    finally:
        os.environ.clear()
        os.environ.update(saved)
        packed.close()
        channel.close()
        ours.close()


def _raising(error: BaseException) -> Callable[[], Any]:
    def trial() -> Any:
        raise error

    return trial


def test_result_is_spooled_and_said(tmp_path: Path) -> None:
    """A result is on disk and on the channel, with the worker's peak memory."""
    code, messages = _run(_order(tmp_path), lambda: {"score": 2.0})

    hello, done = messages
    assert code == 0
    assert hello == Hello(pid=os.getpid())
    assert done.metrics == {"score": 2.0}
    assert done.peak_host_bytes > 1 << 20
    assert read_result(tmp_path / "attempt-01" / RESULT_FILE) == done


def test_environment_is_set_before_the_program_runs(tmp_path: Path) -> None:
    """The user's code sees the order's environment."""
    _, messages = _run(_order(tmp_path), lambda: float(os.environ["AIOTUNE_TEST_VALUE"]))

    assert messages[-1].metrics == {"score": 7.0}


def test_exception_is_reported(tmp_path: Path) -> None:
    """A trial that raises says so and leaves no result."""
    code, messages = _run(_order(tmp_path), _raising(ValueError("units")))

    assert code == 1
    assert isinstance(messages[-1], Failed)
    assert messages[-1].failure.summary() == "ValueError: units"
    assert read_result(tmp_path / "attempt-01" / RESULT_FILE) is None


def test_unusable_result_is_fatal(tmp_path: Path) -> None:
    """What cannot be a result would be the same in every trial."""
    code, messages = _run(_order(tmp_path), lambda: "good")

    assert code == 1
    assert messages[-1].failure.kind is FailureKind.FATAL


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SystemExit(), 0),
        (SystemExit(3), 3),
        (SystemExit("giving up"), 1),
        (SystemExit(-1), 255),
        (KeyboardInterrupt(), 130),
    ],
)
def test_leaving_says_nothing(tmp_path: Path, error: BaseException, code: int) -> None:
    """``sys.exit`` in the user's code is an exit with that code, without a result."""
    found, messages = _run(_order(tmp_path), _raising(error))

    assert found == code
    assert messages == [Hello(pid=os.getpid())]


def test_oversized_result_is_a_failure(tmp_path: Path) -> None:
    """A result that no frame can hold is reported instead of lost in silence."""
    metrics = {"score": 1.0, **{f"{number:0900d}": 1.0 for number in range(2000)}}

    code, messages = _run(_order(tmp_path), lambda: metrics)

    assert code == 1
    assert messages[-1].failure.type == "FrameError"


def test_result_survives_an_unwritable_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the spool cannot be written the message still goes out."""
    (tmp_path / "attempt-01").write_text("a file is in the way")

    code, messages = _run(_order(tmp_path), lambda: 1.0)

    assert code == 0
    assert isinstance(messages[-1], Done)
    assert "the result could not be written to" in capsys.readouterr().err


def test_bad_environment_is_reported(tmp_path: Path) -> None:
    """A variable that cannot be set fails the order with an explanation."""
    order = RunProbe(space={"space": [], "values": {}}, environment={"A=B": "x"}, threads=0)

    code, messages = _run(order, lambda: 1.0)

    assert code == 1
    assert [type(m) for m in messages] == [Failed]


def test_probe_of_a_target_without_a_model(tmp_path: Path) -> None:
    """A target that builds no model has nothing to discover."""
    order = RunProbe(space={"space": [], "values": {}}, environment={}, threads=0)

    code, messages = _run(order, lambda: 1.0)

    assert code == 0
    assert messages[-1] == Probed(entries=[], values={})


def test_threads_of_imported_back_ends_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only back ends that are imported are told, and zero tells none."""
    told: list[tuple[str, int]] = []
    threading = SimpleNamespace(
        set_intra_op_parallelism_threads=lambda n: told.append(("intra", n)),
        set_inter_op_parallelism_threads=lambda n: told.append(("inter", n)),
    )
    tensorflow = SimpleNamespace(config=SimpleNamespace(threading=threading))
    torch = SimpleNamespace(set_num_threads=lambda n: told.append(("torch", n)))
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setitem(sys.modules, "torch", torch)

    limit_threads(0)
    limit_threads(3)

    assert told == [("intra", 3), ("inter", 3), ("torch", 3)]
