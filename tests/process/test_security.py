"""What SECURITY.md promises: hostile directories, hostile text, and what is readable or reachable from outside."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import aiotune
from aiotune.cli import main
from aiotune.errors import AiotuneError, ProjectError
from aiotune.events import Event, SearchStarted, TrialCreated, TrialEnded
from aiotune.failures import FailureKind, TrialFailure
from aiotune.status import TrialStatus
from aiotune.store import Layout, open_project

ROOT = Path(__file__).parent.parent.parent
HOSTILE = "a\x1b[2J\r\n\x07\u202eb\x9b31m"
SECRET = "hunter2-is-a-secret"


class Search(aiotune.RandomSearch):
    """Fails now and then; looks at the process between trials."""

    def run_trial(self, trial: aiotune.Trial, **_: Any) -> float:
        x: float = trial.hyperparameters.Float("x", 0.0, 1.0)
        print("output", x)  # noqa: T201 - goes to the attempt's log
        if x > 0.7:
            raise ValueError(HOSTILE)
        return x


def tuner(folder: Path, **options: Any) -> Search:
    defaults: dict[str, Any] = {"max_trials": 3, "executor": "inline", "project_name": "p"}
    return Search(directory=folder, seed=5, max_retries_per_trial=0, **(defaults | options))


async def write(folder: Path, *events: Event) -> None:
    """Make a project with these records, as somebody who may write there can."""
    store = await open_project(Layout(folder, "p"))
    await store.append(*events)
    await store.aclose()


def started(objective: str = "default_objective") -> SearchStarted:
    return SearchStarted(
        oracle="RandomSearchOracle",
        objective=[{"name": objective, "direction": "min"}],
        seed=5,
        max_trials=3,
    )


# ── what is on the disk ────────────────────────────────────────────────────


@pytest.fixture
def no_mask() -> Iterator[None]:
    """Let every file be as open as it was made."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_mask")
async def test_nobody_else_can_read_or_write_a_project(tmp_path: Path) -> None:
    """Without any umask, the project's directory and the journal's are the user's alone."""
    await tuner(tmp_path, executor="local").search(verbose=0)
    project = tmp_path / "p"
    folders = [project, *(path for path in project.rglob("*") if path.is_dir())]
    files = [path for path in project.rglob("*") if path.is_file()]

    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert [str(path) for path in files if path.stat().st_mode & 0o077] == []


async def test_no_pickle_is_on_the_disk(tmp_path: Path) -> None:
    """Every file of a project is text."""
    await tuner(tmp_path, executor="local").search(verbose=0)
    files = [path for path in (tmp_path / "p").rglob("*") if path.is_file()]

    assert len(files) > 5
    for path in files:
        path.read_bytes().decode("utf-8")


def test_only_a_worker_unpickles_and_only_its_payload() -> None:
    """One place loads what the parent handed over in memory; the others, what this very program has just written.

    A copy of an object of Keras never leaves its process. The process that asks the driver runs
    nothing of the user's, and shares a nameless socket with the tuner alone.
    """
    loads = re.compile(
        r"\b(pickle|cloudpickle|joblib|dill|marshal|shelve)\.(load|loads|Unpickler)\b"
    )
    found = [
        str(path.relative_to(ROOT))
        for package in ("aiotune", "gpu")
        for path in sorted((ROOT / package).rglob("*.py"))
        for _ in loads.finditer(path.read_text())
        if path.parent.name != "testing"  # suites for tests
    ]

    assert found == [
        "aiotune/wire/_keras_objects.py",
        "aiotune/wire/_payload.py",
        "gpu/aiotune_gpu/child.py",
        "gpu/aiotune_gpu/server.py",
    ]


def test_nothing_evaluates_text() -> None:
    """No ``eval``, ``exec`` or shell anywhere, and no model file that may hold code is loaded."""
    found = []
    for path in [*(ROOT / "aiotune").rglob("*.py"), *(ROOT / "gpu").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                shell = any(keyword.arg == "shell" for keyword in node.keywords)
                if name in {"eval", "exec", "os.system", "os.popen"} or shell:
                    found.append(f"{path.name}: {name}")
                if name.endswith("models.load_model") or "safe_mode" in ast.unparse(node):
                    found.append(f"{path.name}: {name}")

    assert found == []


async def test_the_environment_is_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token in a variable reaches the worker, and no file."""
    monkeypatch.setenv("AIOTUNE_TEST_TOKEN", SECRET)
    await tuner(tmp_path, executor="local").search(verbose=0)
    files = [path for path in (tmp_path / "p").rglob("*") if path.is_file()]

    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []


async def test_a_directory_that_all_may_write_to_is_refused(tmp_path: Path) -> None:
    """Whoever else is on the machine could replace its files under a running search."""
    project = tmp_path / "p"
    project.mkdir()
    project.chmod(0o777)

    with pytest.raises(ProjectError, match=r"may be written to by every user .*chmod go-w"):
        await tuner(tmp_path).search(verbose=0)
    project.chmod(0o750)
    await tuner(tmp_path).search(verbose=0)


async def test_overwriting_deletes_nothing_behind_a_link(tmp_path: Path) -> None:
    """A link within a discarded project is removed; what it points at is not."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("text")
    await tuner(tmp_path).search(verbose=0)
    (tmp_path / "p" / "trial_link").symlink_to(precious)
    (tmp_path / "p" / "file_link").symlink_to(precious / "thesis.tex")
    await tuner(tmp_path, overwrite=True).search(verbose=0)

    assert (precious / "thesis.tex").read_text() == "text"
    assert not (tmp_path / "p" / "trial_link").is_symlink()


# ── what others can reach ──────────────────────────────────────────────────


def _reachable() -> set[str]:
    """Return the sockets of this process and of those below it that others could connect to."""
    me = psutil.Process()
    found = set()
    for process in [me, *me.children(recursive=True)]:
        try:
            sockets = process.net_connections("all")
        except psutil.NoSuchProcess:
            continue  # an attempt that ended meanwhile
        for one in sockets:
            if one.status == psutil.CONN_LISTEN or (isinstance(one.laddr, str) and one.laddr):
                found.add(f"{process.pid}: {one.laddr}")
    return found


async def test_nothing_listens(tmp_path: Path) -> None:
    """While a search runs, no process of it has a socket that others could connect to."""
    before = _reachable()
    seen: list[set[str]] = []

    class Looking(Search):
        async def on_trial_begin(self, trial: aiotune.Trial) -> None:
            seen.append(await asyncio.to_thread(_reachable))

    looking = Looking(
        max_trials=3, directory=tmp_path, project_name="p", seed=5, max_retries_per_trial=0
    )
    await looking.search(verbose=0)

    assert [found - before for found in seen] == [set(), set(), set()]


# ── hostile journals ───────────────────────────────────────────────────────


@pytest.mark.parametrize("trial_id", ["../../precious", "/tmp", "..", "a/b", "x\x00y", ""])
async def test_a_trial_cannot_be_named_out_of_its_project(tmp_path: Path, trial_id: str) -> None:
    """A journal that somebody made up names a trial as a path: refused, and nothing is written there."""
    folder = tmp_path / "runs"
    await write(folder, started(), TrialCreated(trial_id=trial_id, index=0, values={}))
    before = sorted(path for path in tmp_path.rglob("*") if folder not in path.parents)

    with pytest.raises(AiotuneError, match="is not a plain name"):
        await tuner(folder).search(verbose=0)

    assert sorted(path for path in tmp_path.rglob("*") if folder not in path.parents) == before


@pytest.mark.parametrize("form", ["table", "summary", "json", "csv"])
def test_a_project_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """Whatever names, values and messages hold, what is shown has no control character but line ends."""
    failure = TrialFailure(kind=FailureKind.ERROR, type=HOSTILE, message=HOSTILE, traceback=HOSTILE)
    events: list[Event] = [started(HOSTILE)]
    for index, status in enumerate((TrialStatus.COMPLETED, TrialStatus.FAILED)):
        trial = f"{HOSTILE}{index}"
        events += [
            TrialCreated(trial_id=trial, index=index, values={HOSTILE: HOSTILE}),
            TrialEnded(
                trial_id=trial,
                status=status,
                values={HOSTILE: HOSTILE},
                score=0.5 if index == 0 else None,
                metrics={HOSTILE: 0.5},
                failure=failure if index else None,
            ),
        ]
    asyncio.run(write(tmp_path, *events))
    code = main(["results", str(tmp_path / "p"), "--format", form])
    told = capsys.readouterr()

    assert code == 0, told.err
    assert len(told.out) > 50
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", told.out + told.err) == []
    if form == "json":
        assert len(json.loads(told.out)) == 2


async def test_a_message_of_a_trial_cannot_forge_the_log(tmp_path: Path) -> None:
    """An exception's text is one value in one line of the log, and holds no control character."""
    result = await tuner(tmp_path, max_trials=8, max_consecutive_failed_trials=9).search(verbose=0)
    text = Layout(tmp_path, "p").events_log.read_text()
    events = [json.loads(line) for line in text.splitlines()]

    assert any(trial.failure is not None for trial in result.trials)
    assert {"trial_failed", "trial_completed"} <= {event["event"] for event in events}
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text) == []
