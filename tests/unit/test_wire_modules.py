"""Which modules a worker will import, and whose they are."""

from __future__ import annotations

import site
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiotune.wire._modules import is_installed, needed_modules


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a directory on ``sys.path`` with two modules, imported by nobody else."""
    (tmp_path / "first_of_two.py").write_text("import second_of_two\n")
    (tmp_path / "second_of_two.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("first_of_two", "second_of_two"):
        sys.modules.pop(name, None)


def test_a_package_of_an_installer_is_installed_wherever_it_is(on_path: Path) -> None:
    """A directory of ``PYTHONPATH`` that holds metadata of distributions was filled by an installer."""
    (on_path / "two-1.0.dist-info").mkdir()
    assert is_installed("first_of_two")


def test_a_source_tree_on_the_path_is_the_users(on_path: Path) -> None:
    """Modules beside the script are not installed, nor are those beside what a build left there."""
    (on_path / "two.egg-info").mkdir()
    assert not is_installed("first_of_two")


def test_the_users_site_is_a_home_of_packages(
    on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``pip install --user`` put somewhere is installed."""
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(on_path))
    assert is_installed("first_of_two")


def test_a_package_on_pythonpath_is_not_opened(on_path: Path) -> None:
    """A package that an installer put on the path stands for itself; the user's module is opened."""
    import first_of_two  # type: ignore[import-not-found]  # noqa: F401 - written by the fixture

    (on_path / "two-1.0.dist-info").mkdir()
    assert needed_modules(["first_of_two"]) == {"first_of_two"}
