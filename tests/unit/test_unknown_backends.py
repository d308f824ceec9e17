"""A back end of Keras that nothing here knows by name gets defaults that are safe."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aiotune._devices import Resources
from aiotune.failures import MemoryCause
from aiotune.memory import (
    Calibration,
    ModelSize,
    habits,
    host_bytes,
    state_bytes,
    training_bytes,
    transient_factor,
)
from aiotune.scheduler import Admission
from aiotune.scheduler._admission import Need
from aiotune.worker import _cpu, _oom, _selftest, _tracing
from aiotune.worker._limits import limit_memory
from aiotune.worker._oom import Counters, classify_memory
from aiotune_gpu import NeverFits
from aiotune_gpu.fake import fake_devices

GIB = 1 << 30
KNOWN = ["tensorflow", "jax", "torch"]


def size(backend: str, **changes: Any) -> ModelSize:
    facts: dict[str, Any] = {
        "parameters": GIB,
        "trainable_parameters": GIB,
        "weight_bytes": 4 * GIB,
        "gradient_bytes": 4 * GIB,
        "slot_bytes": 8 * GIB,
        "optimizer": "Adam",
        "accumulation_steps": 2,
    }
    return ModelSize(backend=backend, **facts | changes)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let this process have imported a keras that runs on a back end of somebody's own."""
    keras: Any = ModuleType("keras")
    keras.backend = SimpleNamespace(backend=lambda: "plugin")
    monkeypatch.setitem(sys.modules, "keras", keras)
    return "plugin"


@pytest.mark.parametrize("known", KNOWN)
def test_what_is_predicted_of_one_is_never_less_than_of_those_known(known: str) -> None:
    """Too much costs a place for a trial; too little costs the trial."""
    assert transient_factor("plugin", "Nadam") >= transient_factor(known, "Nadam")
    assert training_bytes(size("plugin")) >= training_bytes(size(known))
    for on_device in (True, False):
        own, theirs = (
            host_bytes(size(name), None, on_device=on_device) for name in ("plugin", known)
        )
        assert own >= theirs


@pytest.mark.parametrize("known", KNOWN)
def test_no_model_is_refused_for_good_that_one_known_might_train(known: str) -> None:
    """What a training cannot do without is not guessed."""
    assert state_bytes(size("plugin")) <= state_bytes(size(known))


@pytest.mark.parametrize(
    ("backend", "traced"), [("plugin", False), ("tensorflow", False), ("jax", True)]
)
def test_no_worker_is_spent_on_a_trace_that_nobody_can_make(*, backend: str, traced: bool) -> None:
    """Only a step of JAX or torch is traced; of another the answer would be none."""
    resources = Resources(most=1, reason="", devices=tuple(fake_devices(1, gib=16)))
    admission = Admission(resources, Calibration(), space="s")
    close = size(
        backend,
        weight_bytes=2 * GIB,
        gradient_bytes=2 * GIB,
        slot_bytes=4 * GIB,
        activation_bytes=3 * GIB,
        has_activations=True,
    )

    assert admission.wants_trace(Need(close)) is traced
    assert (habits(backend).traced_margin is not None) is traced
    assert not isinstance(admission.admit("0", Need(close, traced=GIB)), NeverFits)


def test_its_step_is_not_traced() -> None:
    """There is nothing that could follow it; the model is not even built."""
    assert _tracing.traced_peak(pytest.fail, (None, None), "plugin") is None


def test_whoever_can_be_traced_has_a_margin_and_a_tracer() -> None:
    """The two tables, of the parent and of the worker, name the same back ends."""
    names = [name for name in [*KNOWN, "plugin"] if habits(name).traced_margin is not None]

    assert sorted(names) == sorted(_tracing._TRACERS)
    for module in _tracing._TRACERS.values():
        assert importlib.util.find_spec(module) is not None


def test_it_is_left_alone_where_no_gpu_is_seen(plugin: str) -> None:
    """That the GPUs are hidden has to do; it may know no device's name."""
    with _cpu.on_the_cpu():
        pass


def test_its_own_error_of_memory_is_one_of_memory(plugin: str) -> None:
    """Of the package that Keras runs on, a class with the name of it is believed."""
    error = type("ResourceExhaustedError", (RuntimeError,), {"__module__": f"{plugin}.core"})

    memory = classify_memory(error("no room"), Counters(on_device=False))

    assert memory is not None
    assert memory.cause is MemoryCause.HOST


def test_without_it_the_same_class_is_a_program_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that Keras does not run on is not taken for a back end."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    error = type("ResourceExhaustedError", (RuntimeError,), {"__module__": "plugin.core"})

    assert classify_memory(error("no room"), Counters(on_device=False)) is None


def test_half_imported_keras_is_no_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import of keras that failed leaves no second error."""
    monkeypatch.setitem(sys.modules, "keras", ModuleType("keras"))

    assert _oom._back_ends() == _oom._BACK_ENDS


def test_limits_on_a_device_change_nothing_of_it(
    plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is held to a share of a GPU begins all the same."""
    from aiotune.memory import MemoryLimit

    for name in ("torch", "tensorflow", "jaxlib.xla_client"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("KERAS_BACKEND", plugin)
    for name in ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        monkeypatch.setenv(name, "1")

    limit_memory(MemoryLimit(bytes=GIB, device_total=2 * GIB), [])


class _Model:
    """As much of a model as the self-test calls; it can only predict."""

    def __init__(self, predicted: float) -> None:
        self._predicted = predicted

    def compile(self, **_: object) -> None:
        pass

    def fit(self, *_: object, **__: object) -> Any:
        raise NotImplementedError("fit not implemented for this back end.")

    def predict(self, x: Any, **_: object) -> Any:
        return x[:, :1] * self._predicted

    def count_params(self) -> int:
        return 3


@pytest.mark.parametrize("predicted", [1.0, float("nan")])
def test_forks_of_one_that_only_predicts_are_proven_by_predicting(
    plugin: str, predicted: float
) -> None:
    """That it cannot train says nothing of forks; what it predicts in one does."""
    keras: Any = sys.modules["keras"]
    keras.Input = lambda shape: shape
    keras.layers = SimpleNamespace(Dense=lambda units: units)
    keras.Sequential = lambda layers: _Model(predicted)

    if predicted == 1.0:
        assert _selftest.run_self_test().parameters == 3
    else:
        with pytest.raises(RuntimeError, match="predictions"):
            _selftest.run_self_test()
