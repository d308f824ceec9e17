"""Text of unknown origin in every place where it is shown: it moves no cursor and forges no line."""

from __future__ import annotations

import asyncio
import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import aiotune
from aiotune import logs
from aiotune._printable import printable
from aiotune._summaries import results_summary, search_space_summary, trial_summary
from aiotune.checkup import Finding, Weight
from aiotune.cli import main
from aiotune.display._live import LiveDisplay, render
from aiotune.display._plain import PlainDisplay
from aiotune.display._snapshot import RunningTrial, Snapshot
from aiotune.events import Event, SearchStarted, TrialCreated, TrialEnded
from aiotune.failures import FailureKind, TrialFailure
from aiotune.hyperparameters import HyperParameters
from aiotune.objective import Objective
from aiotune.result import SearchResult
from aiotune.status import TrialStatus
from aiotune.store import Layout, open_project
from aiotune.trial import Trial

# Every kind that must not arrive: NUL, BEL, backspace, CR, ESC, DEL, C1's CSI and NEL, line and
# paragraph separators, bidirectional overrides and isolates, marks, a byte order mark.
UNSAFE = "\x00\x07\x08\r\x1b\x7f\x9b\x85\u2028\u2029\u202e\u202a\u2066\u2069\u200f\u061c\ufeff"
HOSTILE = f"a{UNSAFE}b\x1b[2J\x1b]0;title\x07<script>alert(1)</script>[red]\nTrial 9 complete"
ARRIVED = re.compile(f"[{UNSAFE}]")


def hostile_trial() -> Trial:
    hp = HyperParameters()
    hp.Choice(HOSTILE, [HOSTILE, "b"])
    trial = Trial(hp, trial_id=HOSTILE)
    trial.status = TrialStatus.INVALID
    trial.failure = TrialFailure(
        kind=FailureKind.CRASHED,
        type=HOSTILE,
        # As classify() quotes the output of a worker that died.
        message=f"The worker was killed by SIGSEGV. Last lines of {HOSTILE}:\n{HOSTILE}",
        traceback=HOSTILE,
        log_path=HOSTILE,
    )
    trial.message = f"Traceback\n{HOSTILE}"
    trial.stop_reason = HOSTILE
    trial.score = 0.5
    return trial


def result() -> SearchResult:
    trial = hostile_trial()
    trial._status = TrialStatus.COMPLETED
    return SearchResult.from_trials(
        [trial], objective=Objective(HOSTILE, "min"), project_dir=Path(f"/{HOSTILE}"), elapsed=1.0
    )


def snapshot() -> Snapshot:
    running = RunningTrial(HOSTILE, 2, HOSTILE, 1.0, 3, {HOSTILE: 0.1}, {HOSTILE: HOSTILE})
    return Snapshot((running,), 1, 1, 5, HOSTILE, 0.5, HOSTILE, 2.0)


def drawn() -> str:
    """Return what the live display draws, without what the terminal itself is told."""
    out = io.StringIO()
    Console(file=out, width=150, color_system=None).print(render(snapshot(), 150, 20))
    return out.getvalue()


def said(display: Callable[[Any], Any]) -> str:
    """Return what a display writes when events come: all that are told in words, and one that is not."""
    out = io.StringIO()
    log = logs.SearchLog(None, show=display(out).line)
    names = [getattr(logs, n) for n in dir(logs) if n.isupper() and not n.startswith("_")]
    fields = dict.fromkeys(
        (
            "trial",
            "device",
            "error_type",
            "error_message",
            "path",
            "reason",
            "why",
            "error",
            "hint",
        ),
        HOSTILE,
    )
    for name in names:
        log.warning(name, **fields, hp={HOSTILE: HOSTILE}, stacks=HOSTILE, log=HOSTILE)
    return out.getvalue()


def logged(tmp_path: Path) -> str:
    log = logs.SearchLog(tmp_path / "events.log")
    log.warning("trial_failed", trial=HOSTILE, **{HOSTILE: {HOSTILE: [HOSTILE]}})
    log.error("search_failed", error=ValueError(HOSTILE), exc_info=None)
    log.close()
    text = (tmp_path / "events.log").read_text(encoding="utf-8")
    assert [json.loads(line)["event"] for line in text.splitlines()] == [
        "trial_failed",
        "search_failed",
    ]
    return text


SINKS: dict[str, Callable[[], str]] = {
    "the result": lambda: str(result()),
    "the result in a notebook": lambda: result()._repr_html_(),
    "a trial": lambda: repr(hostile_trial()),
    "a trial's summary": lambda: trial_summary(hostile_trial()),
    "a trial's hyperparameters": lambda: hostile_trial()._hyperparameters_text(),
    "the results' summary": lambda: results_summary(
        Path(f"/{HOSTILE}"), Objective(HOSTILE, "min"), result().trials, 5
    ),
    "the space's summary": lambda: search_space_summary(hostile_trial().hyperparameters.space),
    "the live table": drawn,
    "lines above the live table": lambda: said(LiveDisplay),
    "plain lines": lambda: said(PlainDisplay),
    "a finding": lambda: printable(Finding("x", Weight.FAULT, HOSTILE, HOSTILE).line(), 2000),
}


@pytest.mark.parametrize("sink", SINKS)
def test_nothing_that_is_shown_can_control_a_terminal(sink: str) -> None:
    """Each kind of control character, separator and mark is escaped, also in names and ids."""
    shown = SINKS[sink]()

    assert "\\x1b" in shown, "the text is shown, escaped"
    assert ARRIVED.findall(shown) == []
    forged = [line for line in shown.splitlines() if line.startswith("Trial 9 complete")]
    # A traceback and a summary of several lines keep their own line ends.
    assert forged == [] or sink in {"a trial's summary", "the results' summary"}


def test_the_log_is_one_line_an_event(tmp_path: Path) -> None:
    """ASCII alone, whatever keys, values and errors hold."""
    text = logged(tmp_path)

    assert text.isascii()
    assert ARRIVED.findall(text) == []


def test_a_notebook_gets_text_and_no_markup() -> None:
    """What looks like HTML is shown as it was written."""
    found = result()
    found.trials[0].trial_id = "<script>alert(1)</script>"
    shown = found._repr_html_()

    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert html.unescape(shown).count("<table>") == 1


def test_the_doctor_shows_what_a_journal_says_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions, hosts, trials and files of a project that somebody made up, for people and programs."""
    layout = Layout(tmp_path, "p")
    asyncio.run(_made_up(layout))
    (layout.project_dir / "trial_\x1b[2J").mkdir(mode=0o700)
    (layout.project_dir / "\u202egpj.json").write_text("no")
    codes = [main(["doctor", str(layout.project_dir), *more]) for more in ([], ["--json"])]
    told = capsys.readouterr().out

    assert codes == [3, 3]
    assert "\\x1b" in told
    assert ARRIVED.findall(told) == []


async def _made_up(layout: Layout) -> None:
    events: list[Event] = [
        SearchStarted(
            oracle=HOSTILE, objective=[{"name": HOSTILE, "direction": "min"}], seed=0, max_trials=1
        ),
        TrialCreated(trial_id="0", index=0, values={HOSTILE: HOSTILE}),
        TrialEnded(trial_id="0", status=TrialStatus.COMPLETED, values={}, files={HOSTILE: HOSTILE}),
    ]
    store = await open_project(layout)
    await store.append(*events)
    await store.aclose()


def test_a_search_of_hostile_names_prints_nothing_that_controls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """End to end: names, values, exceptions and output of trials, on the screen and in the log."""

    class Search(aiotune.RandomSearch):
        def run_trial(self, trial: aiotune.Trial, **kwargs: Any) -> float:
            trial.hyperparameters.Choice("a\u202eb", [f"{n}\x1b[2J" for n in range(9)])
            if trial.index == 1:
                raise ValueError(HOSTILE)
            return 1.0

    tuner = Search(max_trials=3, seed=0, directory=tmp_path, project_name="p", executor="inline")
    asyncio.run(tuner.search(verbose=1))
    tuner.results_summary()
    told = capsys.readouterr()

    assert "\\x1b" in told.out + told.err
    assert ARRIVED.findall(told.out + told.err) == []
