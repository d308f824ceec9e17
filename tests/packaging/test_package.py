"""What is installed, what an import brings along, and what the tree may not hold."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import aiotune

ROOT = Path(__file__).parent.parent.parent
HEAVY = {
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "sklearn",
    "rich",
    "anyio",
}


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split() if listed.returncode == 0 else []
    return [ROOT / name for name in names] or sorted(
        path for path in ROOT.rglob(pattern) if ".venv" not in path.parts
    )


def imported_by(code: str) -> set[str]:
    script = (
        f"{code}\nimport sys, json; print(json.dumps([n for n in sys.modules if '.' not in n]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_wheel_holds_both_packages_and_nothing_else(tmp_path: Path) -> None:
    """What users install: aiotune and aiotune_gpu, typed, without tests."""
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")

    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"aiotune", "aiotune_gpu"}
    assert {"aiotune/py.typed", "aiotune_gpu/py.typed", "aiotune/worker/__main__.py"} <= set(names)
    assert not any("test_" in name for name in names)
    assert f"aiotune-{aiotune.__version__}-py3-none-any.whl" == wheel.name
    assert f"aiotune-{aiotune.__version__}.dist-info/licenses/LICENSE" in names


def test_importing_aiotune_brings_nothing_heavy() -> None:
    """A script pays for what it uses, and the parent never imports a back end."""
    assert imported_by("import aiotune") & (HEAVY | {"asyncio", "structlog", "msgspec"}) == set()


def test_a_tuner_in_the_program_imports_no_back_end() -> None:
    """Constructing a tuner and asking for its objective leaves keras alone."""
    code = "import aiotune; aiotune.RandomSearch(lambda hp: None, objective='val_loss')"

    assert imported_by(code) & {"keras", "tensorflow", "jax", "torch", "numpy"} == set()


def test_every_public_name_resolves_and_no_other() -> None:
    """The lazy table and the names that type checkers see are the same."""
    source = (ROOT / "aiotune/__init__.py").read_text()
    seen = set(re.findall(r"import (\w+) as \1", source))

    for name in aiotune.__all__:
        assert getattr(aiotune, name) is not None
    assert seen == set(aiotune.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = aiotune.Nonsense


@pytest.mark.parametrize(
    "name",
    [
        "HyperModel", "HyperParameters", "Objective", "Oracle", "Tuner", "RandomSearch", "GridSearch",
        "Hyperband", "errors", "oracles", "pruners", "tuners", "Trial", "TrialStatus", "SearchResult",
    ],
)  # fmt: skip
def test_the_familiar_names_are_there(name: str) -> None:
    """What KerasTuner's users look for, as far as it exists."""
    assert name in aiotune.__all__


def test_the_familiar_errors_are_there() -> None:
    """All five, with their double inheritance."""
    errors = aiotune.errors

    assert issubclass(errors.FatalValueError, (errors.FatalError, ValueError))
    assert issubclass(errors.FatalTypeError, (errors.FatalError, TypeError))
    assert issubclass(errors.FatalRuntimeError, (errors.FatalError, RuntimeError))
    assert not issubclass(errors.FailedTrialError, errors.FatalError)


def test_each_dependency_says_why_it_is_there() -> None:
    """One line of reason where it is declared; the deprecated pynvml is not among them."""
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    block = text[text.index("dependencies = [") : text.index("[project.optional-dependencies]")]
    lines = [line for line in block.splitlines() if line.strip().startswith('"')]

    assert len(lines) == len(project["dependencies"])
    assert all(re.search(r"#\s+\w{3,}.+", line) for line in lines)
    assert not any(re.match(r"pynvml\b", name) for name in project["dependencies"])
    assert project["requires-python"] == ">=3.11"


def test_no_file_names_a_machine() -> None:
    """No absolute path of somebody's home or workplace in what is tracked."""
    pattern = re.compile(r"(?<![\w.])/(?:work|root|home|farm)/[A-Za-z.]")
    own = Path(__file__)

    found = [
        str(path.relative_to(ROOT))
        for path in tracked("*")
        if path.is_file() and path != own and path.suffix in {".py", ".md", ".toml", ".json", ""}
        if pattern.search(path.read_text(errors="replace"))
    ]

    assert found == []


def test_files_and_functions_stay_small() -> None:
    """400 lines a file; 45 lines of code a function, docstring aside; exceptions say why."""
    long_files = [p.name for p in tracked("*.py") if len(p.read_text().splitlines()) > 400]
    long_functions = [
        f"{path.name}:{node.name}"
        for package in ("aiotune", "gpu")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and _code_lines(node) > 45
        and not _only_parameters(node)
    ]

    assert long_files == []
    assert long_functions == []


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = ast.get_docstring(node, clean=False)
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    return length - (docstring.count("\n") + 1 if docstring else 0)


def _only_parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a long list of parameters, KerasTuner's, is what makes it long."""
    return len(node.args.args) + len(node.args.kwonlyargs) > 15


def test_everything_public_is_documented() -> None:
    """Each module, class, function and method says what it is for."""
    silent = [
        f"{path.relative_to(ROOT)}:{name}"
        for package in ("aiotune", "gpu")
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in _undocumented(ast.parse(path.read_text()))
    ]

    assert silent == []


def _undocumented(tree: ast.Module | ast.ClassDef) -> list[str]:
    found = [] if ast.get_docstring(tree) else [getattr(tree, "name", "module")]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += _undocumented(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found += [node.name] if _needs_words(node) else []
    return found


def _needs_words(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    if node.name.startswith("_") or ast.get_docstring(node):
        return False
    # A setter is documented by its property; an overload and a protocol's
    # bare line by what they belong to.
    is_bare = ast.unparse(node.body[0]) == "..."
    return not is_bare and not any(ast.unparse(d).endswith("setter") for d in node.decorator_list)


def test_every_command_exists() -> None:
    """What the installation puts on the PATH can be run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    for target in project.get("scripts", {}).values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_importing_gpu_asks_no_driver() -> None:
    """Only what constructs the real provider loads its library; nothing of aiotune comes along."""
    beyond = {"pynvml", "numpy", "aiotune", "asyncio", "structlog", "msgspec"}

    assert imported_by("import aiotune_gpu; aiotune_gpu.NvmlProvider") & beyond == set()


@pytest.mark.parametrize("name", ["aiotune_gpu", "aiotune.testing"])
def test_every_exported_name_exists(name: str) -> None:
    """The other public packages promise no more than they have, and nothing twice."""
    module = importlib.import_module(name)

    assert [n for n in module.__all__ if not hasattr(module, n)] == []
    assert len(set(module.__all__)) == len(module.__all__)


def test_type_checkers_see_the_test_kit() -> None:
    """Its lazy table and the names that type checkers see are the same."""
    source = (ROOT / "aiotune/testing/__init__.py").read_text()

    seen = set(re.findall(r"import (\w+) as \1$", source, re.MULTILINE))
    assert seen == set(importlib.import_module("aiotune.testing").__all__)


def test_every_test_says_what_it_tests() -> None:
    """One sentence in each test's docstring."""
    silent = [
        f"{path.name}:{node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []
