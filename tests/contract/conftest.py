"""The stand-in for NVIDIA's library: compiled once, loaded into one test at a time."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiotune_gpu import IsolatedProvider, NvmlProvider
from aiotune_gpu.fake_driver import FakeDriver, FakeGpu, FakeMig

CODE = Path(__file__).with_name("fake_nvml.c")
NAME = "libnvidia-ml.so.1"
A = "GPU-00000000-0000-0000-0000-000000000000"
B = "GPU-11111111-1111-1111-1111-111111111111"
C = "GPU-22222222-2222-2222-2222-222222222222"


def compiled(folder: Path, *flags: str) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make the stand-in for NVML with")
    command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{NAME}", *flags]
    subprocess.run([*command, "-o", str(folder / NAME), str(CODE)], check=True)
    return folder / NAME


@pytest.fixture(scope="session")
def new_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the stand-in with all that a present driver has."""
    return compiled(tmp_path_factory.mktemp("new"))


@pytest.fixture(scope="session")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the stand-in that lacks what drivers before 510 lack."""
    return compiled(tmp_path_factory.mktemp("old"), "-DOLD_DRIVER")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """Script a host of two GPUs, and a third one that is cut into two instances."""
    cut = [FakeMig("MIG-33333333", gi=1), FakeMig("MIG-44444444", gi=2)]
    path = tmp_path / "nvml"
    monkeypatch.setenv("FAKE_NVML_STATE", str(path))
    return FakeDriver(path, [FakeGpu(A), FakeGpu(B), FakeGpu(C, instances=cut)])


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what loads a stand-in into this process, until the test is over."""
    import pynvml

    def into_this_process(library: Path) -> None:
        monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(library)))
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        monkeypatch.setattr(pynvml, "_nvmlLib_refcount", 0)

    return into_this_process


@pytest.fixture
def nvml(
    new_library: Path, driver: FakeDriver, load: Callable[[Path], None]
) -> Iterator[NvmlProvider]:
    """Return a provider of what ``driver`` scripts."""
    load(new_library)
    provider = NvmlProvider()
    yield provider
    provider.close()


@pytest.fixture
def isolated(
    new_library: Path, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IsolatedProvider]:
    """Return a provider that asks in a process of its own; a call is late after half a second."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(new_library.parent))
    provider = IsolatedProvider(answer=0.5, first=20.0)
    yield provider
    provider.close()
