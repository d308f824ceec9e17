"""Peaks and counters, read from stand-ins for back ends and for the driver."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aiotune.memory import MemoryLimit, MemoryPeak
from aiotune.worker._oom import Counters
from aiotune.worker._peaks import device_peak, memory_counters, settle_variables, uses_a_device

GPU = "GPU-00000000-0000-0000-0000-000000000000"
NAMES = ("torch", "jax", "jax._src.xla_bridge", "tensorflow", "tensorflow.python.eager.context")


@pytest.fixture(autouse=True)
def _no_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def torch_with(*devices: tuple[int, int], initialized: bool = True) -> Any:
    return SimpleNamespace(
        cuda=SimpleNamespace(
            is_initialized=lambda: initialized,
            device_count=lambda: len(devices),
            max_memory_allocated=lambda i: devices[i][0],
            max_memory_reserved=lambda i: devices[i][1],
            memory_reserved=lambda i: devices[i][1] - 1,
        )
    )


class JaxDevice:
    def __init__(self, stats: dict[str, int] | None, platform: str = "gpu") -> None:
        self.stats, self.platform = stats, platform

    def memory_stats(self) -> dict[str, int] | None:
        return self.stats


def use_jax(monkeypatch: pytest.MonkeyPatch, *devices: JaxDevice, started: bool = True) -> None:
    jax = SimpleNamespace(local_devices=lambda: list(devices), waited=[])
    jax.block_until_ready = jax.waited.append
    bridge = SimpleNamespace(backends_are_initialized=lambda: started)
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", bridge)


def use_tensorflow(monkeypatch: pytest.MonkeyPatch, *, started: bool = True) -> None:
    memory = {"current": 50, "peak": 70}
    config = SimpleNamespace(
        list_logical_devices=lambda kind: ["GPU:0"],
        experimental=SimpleNamespace(get_memory_info=lambda name: memory),
    )
    context = SimpleNamespace(context_safe=lambda: SimpleNamespace(_initialized=started))
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    monkeypatch.setitem(sys.modules, "tensorflow.python.eager.context", context)


def test_without_back_ends_there_is_no_peak() -> None:
    """A process without a back end has used no device."""
    assert device_peak() is None
    assert not uses_a_device()


def test_back_ends_that_have_not_begun_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking would start them, and take memory of the GPU."""
    monkeypatch.setitem(sys.modules, "torch", torch_with((5, 6), initialized=False))
    use_jax(monkeypatch, JaxDevice({"peak_bytes_in_use": 9}), started=False)
    use_tensorflow(monkeypatch, started=False)

    assert device_peak() is None
    assert not uses_a_device()


def test_the_fullest_of_torchs_devices_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is of each device, so the largest peak is what it needs."""
    monkeypatch.setitem(sys.modules, "torch", torch_with((100, 120), (90, 150)))

    assert device_peak() == MemoryPeak(allocated=100, reserved=150)


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({"peak_bytes_in_use": 10}, MemoryPeak(allocated=10, reserved=10)),
        ({"peak_bytes_in_use": 10, "pool_bytes": 16}, MemoryPeak(allocated=10, reserved=16)),
        (
            {"peak_bytes_in_use": 10, "pool_bytes": 16, "peak_pool_bytes": 20},
            MemoryPeak(allocated=10, reserved=20),
        ),
        ({}, None),
        (None, None),
    ],
)
def test_jax_tells_its_peak_and_its_pool(
    stats: dict[str, int] | None, expected: MemoryPeak | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool's size is taken where a version tells it."""
    use_jax(monkeypatch, JaxDevice(None, platform="cpu"), JaxDevice(stats))

    assert device_peak() == expected


def test_tensorflow_tells_its_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow does not tell the size of its pool; the peak stands for it."""
    use_tensorflow(monkeypatch)

    assert device_peak() == MemoryPeak(allocated=70, reserved=70)


def test_pools_of_two_back_ends_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that uses torch beside JAX holds both pools."""
    monkeypatch.setitem(sys.modules, "torch", torch_with((100, 120)))
    use_jax(monkeypatch, JaxDevice({"peak_bytes_in_use": 10, "pool_bytes": 16}))

    assert device_peak() == MemoryPeak(allocated=110, reserved=136)


def test_counter_that_fails_costs_only_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fault of CUDA every question raises; the other back end is still asked."""

    def raising(index: int) -> int:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    torch = torch_with((100, 120))
    torch.cuda.max_memory_allocated = torch.cuda.memory_reserved = raising
    monkeypatch.setitem(sys.modules, "torch", torch)
    use_jax(monkeypatch, JaxDevice({"peak_bytes_in_use": 10}))

    assert device_peak() == MemoryPeak(allocated=10, reserved=10)
    assert memory_counters(None).in_use is None


def test_counters_of_a_process_without_a_device() -> None:
    """A limit of the host's memory is none of a device."""
    counters = memory_counters(MemoryLimit(bytes=5, device_total=0))

    assert counters == Counters(on_device=False)


class FakeNvml(ModuleType):
    """NVML with one GPU, known by its UUID."""

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802 - NVML's name
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - NVML's name
        if uuid != GPU:
            raise LookupError(uuid)
        return uuid

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:  # noqa: N802 - NVML's name
        return SimpleNamespace(free=300, total=1000)


def test_counters_join_the_lease_the_back_end_and_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Limit, use, peak and the driver's free memory are told together, and NVML is left again."""
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setitem(sys.modules, "torch", torch_with((100, 120)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", GPU)

    counters = memory_counters(MemoryLimit(bytes=500, device_total=1000))

    assert counters == Counters(
        on_device=True, limit=500, in_use=119, peak=100, free=300, total=1000
    )
    assert nvml.open == 0


@pytest.mark.parametrize("visible", ["0", "", "GPU-unknown"])
def test_driver_that_does_not_know_the_device_tells_nothing(
    visible: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index may mean another GPU to NVML than to CUDA, so only UUIDs are asked for."""
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setitem(sys.modules, "torch", torch_with((100, 120)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    counters = memory_counters(None)

    assert (counters.free, counters.total, nvml.open) == (None, None, 0)


def model_with(*values: str) -> Any:
    return SimpleNamespace(
        variables=[SimpleNamespace(value=value) for value in values],
        optimizer=SimpleNamespace(variables=[SimpleNamespace(value="slot")]),
    )


def test_variables_on_a_gpu_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and slots must exist before training is said to have begun."""
    use_jax(monkeypatch, JaxDevice({}))

    settle_variables(model_with("kernel", "bias"))

    assert sys.modules["jax"].waited == [["kernel", "bias", "slot"]]


def test_nothing_is_waited_for_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU the wait would only cost time."""
    use_jax(monkeypatch, JaxDevice(None, platform="cpu"))

    settle_variables(model_with("kernel"))

    assert sys.modules["jax"].waited == []
