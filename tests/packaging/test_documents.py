"""The documents say what is: names, links, paths and commands in them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiotune import errors, logs
from aiotune.failures import FailureKind

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")])


def first_cells(document: str) -> set[str]:
    """Return the names in backticks in the first cells of a document's tables."""
    lines = (ROOT / document).read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_error_is_explained() -> None:
    """The page of errors has each public class, and no class that is gone."""
    assert set(errors.__all__) == first_cells("docs/errors.md")


def test_every_event_of_the_log_is_explained() -> None:
    """The page of logs has each event, and none that nobody logs."""
    known = {value for name, value in vars(logs).items() if name.isupper() and name[0] != "_"}

    assert {name for name in known if isinstance(name, str)} == first_cells("docs/logs.md")


def test_an_event_by_its_bare_name_is_one_of_them() -> None:
    """The executors, which know no logger, spell events out; a slip would be a new event."""
    said = {
        name
        for path in (ROOT / "aiotune/executors").glob("*.py")
        for name in re.findall(r'_say\(\s*"\w+",\s*"(\w+)"', path.read_text())
    }

    assert "nursery_ready" in said
    assert said - first_cells("docs/logs.md") == set()


def test_every_kind_of_failure_is_named() -> None:
    """Who writes a program over the log finds all values of ``failure_kind``."""
    text = (ROOT / "docs/logs.md").read_text()
    sentence = text[text.index("`failure_kind` is one of") :].split(". ")[0]

    assert set(FailureKind) == set(re.findall(r"`(\w+)`", sentence)) - {"failure_kind"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_documents_links_and_paths_lead_somewhere(document: Path) -> None:
    """Relative links, and the files of the repository that are named in backticks."""
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    paths = re.findall(r"`((?:aiotune|gpu|docs|tests|examples|benchmarks)/[\w./]+)`", text)

    assert [link for link in links if not (document.parent / link).exists()] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_in_a_document_exist(document: str) -> None:
    """Whoever types ``make`` and a word that is written there does not meet an error."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make (\w+)", (ROOT / document).read_text(), re.MULTILINE))

    assert named
    assert named <= targets


def test_every_benchmark_and_folder_of_tests_is_listed() -> None:
    """A script or a folder that is in no table is never run by anybody."""
    scripts = {p.name for p in (ROOT / "benchmarks").glob("[a-z]*.py")}
    listed = re.findall(r"`(\w+\.py)`", (ROOT / "benchmarks/README.md").read_text())
    folders = {p.parent.name for p in (ROOT / "tests").glob("*/test_*.py")}

    assert scripts == set(listed)
    assert folders <= first_cells("CONTRIBUTING.md")
