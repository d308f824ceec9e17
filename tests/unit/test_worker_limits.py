"""What each back end is told of a worker's lease, with stand-ins for the back ends."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from aiotune.memory import MemoryLimit
from aiotune.worker import _limits
from aiotune.worker._limits import limit_memory

GIB = 1 << 30
LEASE = MemoryLimit(bytes=10 * GIB, device_total=80 * GIB)
VARIABLES = (
    "KERAS_BACKEND", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "XLA_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE",
)  # fmt: skip
MODULES = ("jaxlib.xla_client", "tensorflow", "torch")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    # limit_memory writes to os.environ itself: set first, so that all of it is undone.
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.delitem(sys.modules, name)


class FakeTorch:
    """A torch that has not started CUDA."""

    def __init__(self, *, built: bool = True) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.fractions: dict[int, float] = {}
        self.cuda = SimpleNamespace(
            _lazy_call=self.waiting.append,
            device_count=lambda: 2,
            set_per_process_memory_fraction=self.set_fraction,
            is_available=lambda: True,
        )
        self.backends = SimpleNamespace(cuda=SimpleNamespace(is_built=lambda: built))

    def set_fraction(self, fraction: float, device: int) -> None:
        self.fractions[device] = fraction


class FakeTensorflow:
    """A TensorFlow with two GPUs, as far as its configuration goes."""

    def __init__(self, *, initialized: bool = False) -> None:
        self.initialized = initialized
        self.limits: dict[str, int] = {}
        self.growth: dict[str, bool] = {}
        self.config = SimpleNamespace(
            list_physical_devices=lambda kind: ["gpu0", "gpu1"] if kind == "GPU" else ["cpu"],
            get_logical_device_configuration=self.limits.get,
            set_logical_device_configuration=self.set_limit,
            LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
            experimental=SimpleNamespace(
                get_memory_growth=lambda gpu: self.growth.get(gpu, False),
                set_memory_growth=self.set_growth,
            ),
        )

    def set_limit(self, gpu: str, devices: list[int]) -> None:
        if self.initialized:
            raise RuntimeError("Virtual devices cannot be modified after being initialized")
        self.limits[gpu] = devices[0]

    def set_growth(self, gpu: str, enable: bool) -> None:
        if gpu in self.limits:
            raise ValueError("Cannot set memory growth on device when virtual devices configured")
        self.growth[gpu] = enable


def install(monkeypatch: pytest.MonkeyPatch, name: str, module: Any) -> None:
    monkeypatch.setitem(sys.modules, name, module)


def test_torch_gets_its_fraction_when_cuda_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call waits for the start of CUDA, and then holds on every visible device."""
    torch = FakeTorch()
    install(monkeypatch, "torch", torch)

    limit_memory(LEASE, [])

    assert torch.fractions == {}
    for call in torch.waiting:
        call()
    assert torch.fractions == {0: 0.125, 1: 0.125}


UNLIKE = MemoryLimit(bytes=20 * GIB, device_total=24 * GIB, totals=(24 * GIB, 80 * GIB))


def test_torch_gets_of_each_device_what_it_was_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 of 24 and 20 of 80 GiB; with devices hidden, what is promised of each of them at most."""
    torch = FakeTorch()
    install(monkeypatch, "torch", torch)

    limit_memory(UNLIKE, [])
    for call in torch.waiting:
        call()
    each = dict(torch.fractions)
    torch.fractions.clear()
    torch.cuda.device_count = lambda: 1
    for call in torch.waiting:
        call()

    assert each == {0: 20 / 24, 1: 0.25}
    assert torch.fractions == {0: 0.25}


@pytest.mark.parametrize(("alone", "expected"), [(False, "0.250000"), (True, "0.833333")])
def test_one_fraction_for_all_exceeds_the_promise_nowhere(
    monkeypatch: pytest.MonkeyPatch, alone: bool, expected: str
) -> None:
    """JAX, and torch that is not imported yet, have one; a trial that is alone takes from nobody."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(_limits, "_version_of", lambda _: (2, 13))

    limit_memory(msgspec.structs.replace(UNLIKE, alone=alone), [])

    name = next(n for n in os.environ if n.endswith("MEM_FRACTION"))
    assert os.environ[name] == expected
    assert os.environ["PYTORCH_ALLOC_CONF"] == f"per_process_memory_fraction:{expected}"


def test_torch_without_deferred_calls_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that has lost the private list is still held to the lease."""
    torch = FakeTorch()
    del torch.cuda._lazy_call
    install(monkeypatch, "torch", torch)

    limit_memory(LEASE, [])

    assert torch.fractions == {0: 0.125, 1: 0.125}


def test_torch_without_cuda_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch for the CPU has nothing to limit."""
    torch = FakeTorch(built=False)
    install(monkeypatch, "torch", torch)

    limit_memory(LEASE, [])

    assert torch.waiting == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"PYTORCH_ALLOC_CONF": "per_process_memory_fraction:0.125000"}),
        (
            {"PYTORCH_ALLOC_CONF": "expandable_segments:True"},
            {"PYTORCH_ALLOC_CONF": "expandable_segments:True,per_process_memory_fraction:0.125000"},
        ),
        (
            {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64"},
            {
                "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64,"
                "per_process_memory_fraction:0.125000"
            },
        ),
        (
            {"PYTORCH_ALLOC_CONF": "per_process_memory_fraction:0.5"},
            {"PYTORCH_ALLOC_CONF": "per_process_memory_fraction:0.5"},
        ),
    ],
)
def test_torch_that_is_not_imported_yet_reads_the_environment(
    given: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fraction is added to what the user has set, in the variable that is read first."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(_limits, "_version_of", lambda package: (2, 13))
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    limit_memory(LEASE, [])

    assert {n: v for n, v in os.environ.items() if n.startswith("PYTORCH_")} == expected


def test_old_torch_is_not_given_a_key_that_it_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown key would fail every trial."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(_limits, "_version_of", lambda package: (2, 5))

    limit_memory(LEASE, [])

    assert "PYTORCH_ALLOC_CONF" not in os.environ


def _reads_new_name() -> str:
    return os.environ.get("XLA_CLIENT_MEM_FRACTION", "")


def _reads_old_name() -> str:
    return os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", "")


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        (_reads_new_name, "XLA_CLIENT_MEM_FRACTION"),
        (_reads_old_name, "XLA_PYTHON_CLIENT_MEM_FRACTION"),
    ],
)
def test_jax_gets_its_fraction_by_the_name_that_it_reads(
    reader: Callable[[], str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly one name is set, since both at once are an error to JAX."""
    client = ModuleType("jaxlib.xla_client")
    client.__dict__["options"] = reader
    install(monkeypatch, "jaxlib.xla_client", client)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.9")
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.9")

    limit_memory(LEASE, [])

    assert {n: v for n, v in os.environ.items() if n.endswith("MEM_FRACTION")} == {name: "0.125000"}
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_user_may_have_jax_preallocate_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preallocation within the lease does no harm to others."""
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")

    limit_memory(LEASE, [])

    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


def test_fraction_is_rounded_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share is never more than the lease, nor more than the device."""
    install(monkeypatch, "jaxlib.xla_client", ModuleType("jaxlib.xla_client"))

    limit_memory(MemoryLimit(bytes=2, device_total=3), [])
    two_thirds = os.environ["XLA_CLIENT_MEM_FRACTION"]
    limit_memory(MemoryLimit(bytes=4, device_total=3), [])

    assert (two_thirds, os.environ["XLA_CLIENT_MEM_FRACTION"]) == ("0.666666", "1.000000")


def test_tensorflow_gets_a_logical_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each GPU is limited, in MiB."""
    tensorflow = FakeTensorflow()
    install(monkeypatch, "tensorflow", tensorflow)

    limit_memory(LEASE, [])

    assert tensorflow.limits == {"gpu0": 10 * 1024, "gpu1": 10 * 1024}


def test_growth_that_a_program_asks_for_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three lines that many programs begin with do not fail under a limit."""
    tensorflow = FakeTensorflow()
    install(monkeypatch, "tensorflow", tensorflow)

    limit_memory(LEASE, [])
    tensorflow.config.experimental.set_memory_growth("gpu0", True)
    tensorflow.config.experimental.set_memory_growth("gpu9", True)

    assert tensorflow.growth == {"gpu9": True}
    assert tensorflow.limits["gpu0"] == 10 * 1024


def test_what_the_user_configured_for_tensorflow_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit or growth that was set before is the user's word."""
    tensorflow = FakeTensorflow()
    tensorflow.limits["gpu0"], tensorflow.growth["gpu1"] = 512, True
    install(monkeypatch, "tensorflow", tensorflow)

    limit_memory(LEASE, [])

    assert tensorflow.limits == {"gpu0": 512}


def test_tensorflow_beside_another_back_end_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TensorFlow only reads data it does not take the whole lease at once."""
    tensorflow = FakeTensorflow()
    install(monkeypatch, "tensorflow", tensorflow)
    monkeypatch.setenv("KERAS_BACKEND", "jax")

    limit_memory(LEASE, [])

    assert (tensorflow.limits, tensorflow.growth) == ({}, {"gpu0": True, "gpu1": True})


def test_tensorflow_that_has_begun_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit that comes too late is said in the log and fails nothing."""
    install(monkeypatch, "tensorflow", FakeTensorflow(initialized=True))

    limit_memory(LEASE, [])

    assert "could not be held to its share" in capsys.readouterr().err


def test_no_limit_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit no back end is touched."""
    torch, tensorflow = FakeTorch(), FakeTensorflow()
    install(monkeypatch, "torch", torch)
    install(monkeypatch, "tensorflow", tensorflow)
    before = dict(os.environ)

    limit_memory(None, [])

    assert (torch.waiting, tensorflow.limits, dict(os.environ)) == ([], {}, before)


class Calls(list[tuple[Any, ...]]):
    def __call__(self, *args: Any) -> None:
        self.append(args)


def test_worker_without_a_gpu_may_grow_by_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is what the process has now, and the limit; no back end is touched."""
    calls, torch = Calls(), FakeTorch()
    install(monkeypatch, "torch", torch)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: unlimited)
    monkeypatch.setattr(resource, "setrlimit", calls)
    monkeypatch.setattr(_limits, "_data_bytes", lambda: 3 * GIB)

    limit_memory(MemoryLimit(bytes=GIB, device_total=0), [])

    assert calls == [(resource.RLIMIT_DATA, (4 * GIB, resource.RLIM_INFINITY))]
    assert torch.waiting == []


def test_limit_of_the_host_is_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tighter limit, of a shell or a batch system, stays."""
    calls = Calls()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2 * GIB, 5 * GIB))
    monkeypatch.setattr(resource, "setrlimit", calls)
    monkeypatch.setattr(_limits, "_data_bytes", lambda: 3 * GIB)

    limit_memory(MemoryLimit(bytes=GIB, device_total=0), [])

    assert calls == [(resource.RLIMIT_DATA, (2 * GIB, 5 * GIB))]


def test_data_of_this_process_is_counted() -> None:
    """The size of the data segment is read in bytes, of the order of this process's memory."""
    assert 1 << 20 < _limits._data_bytes() < 1 << 40


@pytest.mark.parametrize(
    ("cpus", "expected"), [([], []), ([2, 3, 9], [{2, 3}]), ([8, 9], []), ([0], [{0}])]
)
def test_threads_stay_near_the_device(
    cpus: list[int], expected: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only processors that the process may use anyway are asked for, and never none."""
    asked = Calls()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(os, "sched_setaffinity", asked)

    limit_memory(None, cpus)

    assert [mask for _, mask in asked] == expected


def test_processors_that_have_gone_are_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may narrow the set at any time."""

    def refuse(pid: int, mask: set[int]) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "sched_setaffinity", refuse)

    assert limit_memory(None, [1]) is None  # type: ignore[func-returns-value] # it returns at all
