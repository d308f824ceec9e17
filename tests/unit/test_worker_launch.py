"""How fresh interpreters are started, and what they import."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from aiotune.executors._imports import imports_for
from aiotune.wire import Packed
from aiotune.worker._launch import interpreter, restore_path, worker_environment


def test_defaults_of_the_back_ends_give_way_to_the_users() -> None:
    """What the user has set is left alone; the rest makes sharing a GPU possible."""
    environment = worker_environment({"TF_CPP_MIN_LOG_LEVEL": "0", "HOME": "/h"})

    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert environment["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"
    assert environment["HOME"] == "/h"


def test_back_end_that_the_program_uses_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A back end chosen in code before the search is passed on."""
    keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", keras)

    assert worker_environment({})["KERAS_BACKEND"] == "jax"


def test_back_end_is_inherited_if_keras_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keras in this process the environment decides."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)

    assert worker_environment({"KERAS_BACKEND": "torch"})["KERAS_BACKEND"] == "torch"


@pytest.mark.parametrize("compiled", [True, False])
def test_bytecode_goes_to_a_cache_only_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, compiled: bool
) -> None:
    """The wish for no bytecode is kept in the sources' directories, at no cost of start-up."""
    package = tmp_path / "some_package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    if compiled:
        tag = sys.implementation.cache_tag
        (package / "__pycache__" / f"__init__.{tag}.pyc").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    inherited = {"PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": "/cache"}

    environment = worker_environment(inherited, ["some_package"])

    prefix = environment.get("PYTHONPYCACHEPREFIX")
    assert ("PYTHONDONTWRITEBYTECODE" in environment) is compiled
    assert prefix == (None if compiled else "/cache/aiotune/pycache")


def test_path_to_this_package_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker finds aiotune where the tuner did, and its children see the user's PYTHONPATH."""
    home = str(Path(__file__).parents[2])

    argv, environment = interpreter(["nursery", "3"], {"PYTHONPATH": "/mine"})
    for name in ("PYTHONPATH", "AIOTUNE_PYTHONPATH"):
        monkeypatch.setenv(name, environment[name])
    restore_path()

    assert argv == [sys.executable, "-P", "-m", "aiotune.worker", "nursery", "3"]
    assert environment["PYTHONPATH"] == f"{home}:/mine"
    assert os.environ["PYTHONPATH"] == "/mine"
    assert "AIOTUNE_PYTHONPATH" not in os.environ


def test_unset_path_is_unset_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a PYTHONPATH has none in a worker either."""
    _, environment = interpreter([], {})
    for name in ("PYTHONPATH", "AIOTUNE_PYTHONPATH"):
        monkeypatch.setenv(name, environment[name])

    restore_path()

    assert "PYTHONPATH" not in os.environ


def test_installed_package_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed aiotune is found by every interpreter; its directory is not put first."""
    home = str(Path(__file__).parents[2])
    monkeypatch.setattr("aiotune.worker._launch._default_path", lambda: {home})

    _, environment = interpreter([], {})

    assert environment == {}


def _packed(*modules: str, references: frozenset[str] = frozenset()) -> Packed:
    return Packed(fd=-1, size=0, modules=frozenset(modules), references=references, by_value=())


def test_installed_packages_are_imported_ahead(tmp_path: Path) -> None:
    """Installed packages are; the standard library needs no help, the user's modules may run code."""
    packed = _packed("numpy", "json", "my_training_code")

    assert imports_for(None, packed) == ("numpy",)


def test_model_needs_keras_first() -> None:
    """A target that builds a model gets keras, in front of what follows its back end."""
    target = SimpleNamespace(hypermodel=object())
    packed = _packed("numpy", references=frozenset({"aiotune.tuner", "collections"}))

    expected = ("keras", "numpy", "aiotune.worker._keras", "aiotune.tuner")
    assert imports_for(target, packed) == expected


def test_what_a_tuner_preloads_is_imported_with_the_modules_in_it() -> None:
    """A package that imports none of its own modules would leave that to each worker."""
    target = SimpleNamespace(
        hypermodel=object(), builds_keras_models=False, preloads=("sklearn.pipeline",)
    )
    packed = _packed("sklearn", references=frozenset({"sklearn.svm", "numpy.linalg"}))

    expected = ("sklearn", "sklearn.pipeline", "sklearn.svm")
    assert expected == imports_for(target, packed)


def test_target_without_a_model_needs_no_keras() -> None:
    """A black-box function's workers never see keras."""
    assert imports_for(SimpleNamespace(hypermodel=None), _packed()) == ()
