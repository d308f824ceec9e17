"""The command line: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aiotune
from aiotune.cli import main
from aiotune.errors import InternalError

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Import projects of KerasTuner with the command itself."""
    into = tmp_path_factory.mktemp("projects")
    for name in ("failures", "hyperband"):
        assert (
            main(["import-kerastuner", str(DATA / f"kerastuner_{name}"), "--into", str(into)]) == 0
        )
    return into


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aiotune", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(DATA.parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


# ── as a program ───────────────────────────────────────────────────────────


def test_the_version_is_told() -> None:
    """By ``python -m aiotune``, as by the installed command."""
    done = run("--version")

    assert (done.returncode, done.stdout) == (0, f"aiotune {aiotune.__version__}\n")


def test_a_project_is_imported_to_where_one_stands(tmp_path: Path) -> None:
    """Under its name; the second time the target is refused in one sentence without a traceback."""
    source = str(DATA / "kerastuner_failures")

    first = run("import-kerastuner", source, cwd=tmp_path)
    second = run("import-kerastuner", source, cwd=tmp_path)

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        f"Made {tmp_path / 'kerastuner_failures'} from {source}: 7 trials (3 completed, 3 failed, 1 queued).",
        'Objective: Objective(name="loss", direction="min")',
        "Oracle: RandomSearchOracle",
        f"Go on with directory={str(tmp_path)!r}, project_name='kerastuner_failures'.",
    ]
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr.startswith(f"aiotune: {tmp_path / 'kerastuner_failures'} is there already")
    assert "Traceback" not in second.stderr


def test_a_reader_that_has_enough_is_no_error(projects: Path) -> None:
    """As when the output goes to ``head``: no traceback, and the pipe's end is not blamed."""
    command = [sys.executable, "-m", "aiotune", "results", str(projects / "kerastuner_failures")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=DATA.parent.parent,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["results"], ["results", "--format", "csv"], ["doctor"]])
def test_output_that_finds_no_space_is_an_error_in_a_sentence(
    projects: Path,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when it goes to a file on a full disk; nor does what is left in the buffer fail later."""
    with Path("/dev/full").open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        code = main([*arguments, str(projects / "kerastuner_failures")])

    assert code == 1
    told = capsys.readouterr().err
    assert told == "aiotune: The output cannot be written: No space left on device.\n"


def test_names_that_the_output_cannot_hold_are_escaped(
    projects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoding of long ago shows a directory's name in ASCII instead of failing."""
    copy = projects / "spät" / "p"
    shutil.copytree(projects / "kerastuner_failures", copy)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))

    assert main(["results", str(copy)]) == 0
    assert b"sp\\xe4t/p: 7 trials" in written.getvalue()


def test_a_closed_output_is_no_error(projects: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python then has no ``sys.stdout`` at all, as after ``>&-``."""
    monkeypatch.setattr(sys, "stdout", None)

    assert main(["results", str(projects / "kerastuner_failures")]) == 0


# ── results ────────────────────────────────────────────────────────────────


def test_results_are_a_table(projects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Best first, then what failed, then what is unfinished."""
    assert main(["results", str(projects / "kerastuner_failures")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{projects / 'kerastuner_failures'}: 7 trials (3 completed, 3 failed, 1 queued)",
        'Objective(name="loss", direction="min")',
        "",
        "trial  status       score  step  hyperparameters, or what went wrong",
        "0      COMPLETED     1.09     0  x=0, y=1",
        "5      COMPLETED  3.02322     0  x=0.4524, y=3",
        "4      COMPLETED  3.02657     0  x=0.463, y=3",
        "1      FAILED                    ValueError: y of 2 is not possible; x=0.238, y=2",
        "2      FAILED                    FailedTrialError: marked as failed; x=0.6229, y=4",
        "3      FAILED                    The objective was nan.; x=0.3238, y=2",
        "6      QUEUED                    x=0.259, y=1",
    ]


def test_a_table_can_be_short(projects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how many trials it leaves out."""
    assert main(["results", str(projects / "kerastuner_hyperband"), "-n", "2"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[4:6]] == ["0006", "0010"]
    assert lines[6:] == ["... and 13 more; see -n and --format csv."]


def test_results_are_data(projects: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All trials as strict JSON or as CSV, with what JSON cannot write left empty."""
    project = str(projects / "kerastuner_failures")
    main(["results", project, "--format", "json"])
    rows = json.loads(
        capsys.readouterr().out, parse_constant=lambda text: pytest.fail(f"bare {text}")
    )
    main(["results", project, "--format", "csv"])
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    assert [row["trial"] for row in rows] == list("0123456")
    assert (rows[4]["metric/loss"], rows[4]["metric/half"]) == (3.0265713987018343, None)
    assert [line["status"] for line in lines] == [row["status"] for row in rows]
    assert (lines[4]["metric/half"], lines[4]["hp/y"]) == ("inf", "3")


def test_results_are_the_familiar_summary(
    projects: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``results_summary()`` prints."""
    main(["results", str(projects / "kerastuner_failures"), "--format", "summary", "-n", "1"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Results summary"
    assert lines[2:5] == ["Showing 1 best trials", 'Objective(name="loss", direction="min")', ""]
    assert lines[5:] == ["Trial 0 summary", "Hyperparameters:", "x: 0.0", "y: 1", "Score: 1.09"]


def test_looking_changes_nothing(projects: Path) -> None:
    """The journal is read as it is, without a lock."""
    journal = projects / "kerastuner_failures" / "journal" / "000001.jsonl"
    before = (journal.read_bytes(), journal.stat().st_mtime_ns)

    main(["results", str(projects / "kerastuner_failures")])

    assert (journal.read_bytes(), journal.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere", "There is no directory"),
        ("", "There are projects within it: kerastuner_failures, kerastuner_hyperband"),
        ("kerastuner_failures/journal", "Name the directory of a project"),
    ],
)
def test_what_is_no_project_is_said_in_a_sentence(
    projects: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    """On standard error, with exit code 1."""
    assert main(["results", str(projects / name)]) == 1

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("aiotune: ")
    assert why in told.err


def test_a_project_of_kerastuner_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that takes it over."""
    assert main(["results", str(DATA / "kerastuner_grid")]) == 1

    assert f"`aiotune import-kerastuner {DATA / 'kerastuner_grid'}`" in capsys.readouterr().err


def test_a_damaged_journal_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is shown of what cannot be trusted."""
    main(["import-kerastuner", str(DATA / "kerastuner_failures"), "--into", str(tmp_path)])
    journal = tmp_path / "kerastuner_failures" / "journal" / "000001.jsonl"
    text = bytearray(journal.read_bytes())
    text[100] ^= 1
    journal.write_bytes(text)
    capsys.readouterr()

    assert main(["results", str(tmp_path / "kerastuner_failures")]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("aiotune: ")) == ("", 1)


# ── import-kerastuner ──────────────────────────────────────────────────────


def test_several_objectives_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once each, with their direction where the name does not tell it."""
    source = ["import-kerastuner", str(DATA / "kerastuner_several"), "--into", str(tmp_path)]
    named = ["--objective", "cost:min", "--objective", "gain:max", "--project-name", "new"]

    assert main(source) == 1
    assert "of which objectives its scores are the sum" in capsys.readouterr().err
    assert main([*source, *named]) == 0
    assert 'Objective(name="gain", direction="max")' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_was_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One note each; the settings of the algorithm as well."""
    import shutil

    source = Path(shutil.copytree(DATA / "kerastuner_hyperband_begun", tmp_path / "old"))
    (source / "trial_8" / "trial.json").write_text("{")
    given = ["import-kerastuner", str(source), "--into", str(tmp_path / "new"), "--boolean", "bias"]

    assert main(given) == 1
    assert main([*given, "--skip-damaged"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "Oracle: HyperbandOracle, max_epochs=4, factor=2"
    (note,) = [line for line in lines if line.startswith("Note: ")]
    assert "trial_8/trial.json is damaged" in note


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "COMMAND"),
        (["results"], "DIR"),
        (["results", "x", "-n", "0"], "must be a whole number >= 1"),
        (["import-kerastuner", "x", "--objective", "charm"], "direction"),
        (["import-kerastuner", "x", "--objective", "loss:up"], "must be 'min' or 'max'"),
    ],
)
def test_a_misspelt_command_is_explained(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2, as is usual."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [(KeyboardInterrupt(), 130, ""), (InternalError("A bug."), 1, "aiotune: A bug.\n")],
)
def test_other_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    said: str,
) -> None:
    """An interruption has the exit code that shells know; an error of ours is a sentence."""

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("aiotune.cli._read", fail)

    assert main(["results", "x"]) == code
    assert capsys.readouterr().err == said


# ── doctor ─────────────────────────────────────────────────────────────────


def test_the_doctor_says_and_repairs(
    tmp_path: Path, projects: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 for a whole project, 3 for a damaged one, 0 when it was repaired, and then it is whole."""
    project = tmp_path / "copy"
    shutil.copytree(projects / "kerastuner_failures", project)
    segment = project / "journal/000001.jsonl"
    whole = main(["doctor", str(project)])
    data = bytearray(segment.read_bytes())
    data[400] ^= 1
    segment.write_bytes(data)
    codes = [main(["doctor", str(project), *more]) for more in ([], ["--repair"], [])]
    told = capsys.readouterr().out

    assert (whole, codes) == (0, [3, 0, 0])
    assert "Nothing was changed. To repair it, run the command again with --repair." in told
    assert f"Repaired. The damaged files are in {project / 'damaged-'}" in told
    assert [p.read_bytes() for p in project.glob("damaged-*/*.jsonl")] == [bytes(data)]


def test_the_doctor_refuses_what_is_no_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 and a sentence."""
    assert main(["doctor", str(tmp_path)]) == 1
    assert "holds no journal, so it is no project of aiotune" in capsys.readouterr().err
