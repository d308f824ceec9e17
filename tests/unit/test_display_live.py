"""The live table, drawn on terminals of several sizes."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from aiotune.display import RunningTrial, Snapshot
from aiotune.display._live import LiveDisplay, render

VALUES = {"units": 512, "activation": "relu", "learning_rate": 1.2345e-4, "optimizer": "adam"}


def running(number: int = 0, *, attempt: int = 1, step: int | None = 4) -> RunningTrial:
    metrics = {} if step is None else {"loss": 0.31, "val_accuracy": 0.9375}
    device = f"GPU {number} NVIDIA H100 80GB HBM3"
    return RunningTrial(f"{number:04d}", attempt, device, 3725.0, step, metrics, VALUES)


def moment(*trials: RunningTrial, objective: str = "val_accuracy", failed: int = 2) -> Snapshot:
    return Snapshot(trials, 40, failed, 100, objective, 0.9543, "0007", 7300.0)


def drawn(snapshot: Snapshot, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(render(snapshot, width, height))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_row_tells_what_a_trial_does_at_80_columns() -> None:
    """Trial, device, time, epoch (from 1), the objective, and the first hyperparameters."""
    head, row, _ = drawn(moment(running(3)))

    assert head.split() == ["trial", "on", "time", "epoch", "val_accuracy", "hyperparameters"]
    assert row.startswith("0003  GPU 3 1:02:05     5       0.9375 units=512, activation=relu")


def test_a_second_attempt_shows_its_number() -> None:
    """People see that a trial is being retried."""
    assert drawn(moment(running(attempt=2)))[1].startswith("0000 (2) ")


def test_a_trial_without_a_report_has_empty_cells() -> None:
    """Before the first epoch there is neither epoch nor metric."""
    row = drawn(moment(running(step=None)))[1]

    assert row.split()[:5] == ["0000", "GPU", "0", "1:02:05", "units=512,"]


def test_a_wide_terminal_shows_the_other_metrics_and_the_device() -> None:
    """What has room is shown in full."""
    row = drawn(moment(running()), width=200)[1]

    assert "GPU 0 NVIDIA H100 80GB HBM3" in row
    assert "loss 0.31" in row
    assert "learning_rate=0.000123, optimizer=adam" in row


def test_the_foot_sums_up_in_one_line() -> None:
    """How far, how long, how many failed, and the best so far."""
    foot = drawn(moment(running()))[-1]

    assert foot.endswith("40/100 trials  2:01:40  2 failed  best 0.9543 (trial 0007)")
    assert foot.startswith("━")


def test_the_foot_before_anything_has_ended() -> None:
    """Without a budget there is no bar, without a result no best."""
    snapshot = Snapshot((), 0, 0, None, "val_loss", None, None, 5.0)

    assert drawn(snapshot)[-1] == "0 trials  5 s"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("height", [3, 5, 10, 24])
def test_the_drawing_never_outgrows_the_terminal(width: int, height: int) -> None:
    """Forty trials take as many rows as there are, and the foot tells how many are not shown."""
    lines = drawn(moment(*map(running, range(40))), width, height)
    rows = max(1, height - 4)

    assert len(lines) == rows + 2
    assert max(map(len, lines)) <= width
    if width >= 80:
        assert f"{40 - rows} more run" in lines[-1]


def test_names_and_values_can_neither_move_the_cursor_nor_style_the_table() -> None:
    """Control characters are escaped; what looks like rich's markup is shown as it is."""
    values = {"[bold]a[/x]": "\x1b[2J\n\u202e"}
    trial = RunningTrial("0001", 1, "CPU", 1.0, 0, {"[/red]": 1.0}, values)
    lines = drawn(moment(trial, objective="[/red]\x07"), width=160)

    assert len(lines) == 3
    assert "[/red]\\x07" in lines[0]
    assert "[bold]a[/x]=\\x1b[2J\\n\\u202e" in lines[1]
    assert not set("".join(lines)) & set("\x1b\x07\u202e")


def test_live_display_restores_terminal_and_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """After stop() the cursor is shown, the table is gone, and sys.stdout is the program's."""
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    display = LiveDisplay(stream)
    display._console = Console(file=stream, force_terminal=True, width=80, height=24)
    before = sys.stdout
    display.start()
    display.update(moment(running()))
    display.line("[bold]a line[/bold]")
    display.stop()
    display.stop()

    assert sys.stdout is before
    text = stream.getvalue()
    assert "[bold]a line[/bold]" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_live_display_is_quiet_when_not_started() -> None:
    """A late tick after stop() draws nothing."""
    stream = io.StringIO()
    LiveDisplay(stream).update(moment(running()))

    assert stream.getvalue() == ""
