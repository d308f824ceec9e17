"""Both providers keep the contract; NVML is asked through a library made for the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aiotune.testing._providers import PROVIDER_CHECKS, ProviderCheck
from gpu import DeviceLost, DeviceProcess, NvmlProvider, NvmlUnavailable
from gpu.fake import FakeProvider, fake_devices

CODE = Path(__file__).with_name("fake_nvml.c")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make the stand-in for NVML with")
    folder = tmp_path_factory.mktemp("nvml")
    name = "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name)]
    subprocess.run([*command, str(CODE)], check=True)
    return folder


def ask(library: Path, code: str, fault: str = "") -> str:
    """Run code in a process that finds the stand-in as its NVML."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_NVML": fault},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("check", PROVIDER_CHECKS, ids=lambda check: check.__name__)
def test_the_fake_keeps_the_contract(check: ProviderCheck) -> None:
    """Scripted devices behave as real ones must."""
    devices = fake_devices(3)
    provider = FakeProvider(
        devices,
        used={devices[0].uuid: 1 << 30},
        reserved={devices[1].uuid: 1 << 29},
        running={devices[0].uuid: [DeviceProcess(1234, None)]},
    )

    check(provider)


@pytest.mark.parametrize("fault", ["", "old"])
@pytest.mark.parametrize("check", PROVIDER_CHECKS, ids=lambda check: check.__name__)
def test_nvml_keeps_the_contract(library: Path, check: ProviderCheck, fault: str) -> None:
    """The real provider does, with a new driver and with one that lacks the second memory form."""
    code = (
        "from aiotune.testing import _providers as p; from gpu import NvmlProvider; "
        f"n = NvmlProvider(); p.{check.__name__}(n); n.close(); print('kept')"
    )

    assert ask(library, code, fault) == "kept"


def test_nvml_sees_instances_instead_of_their_gpu(library: Path) -> None:
    """A GPU in MIG mode is listed as its instances, with their parent; modes and CPUs are read."""
    code = (
        "import json; from gpu import NvmlProvider; n = NvmlProvider(); print(json.dumps("
        "[(d.uuid[:5], d.index, d.mig_parent, str(d.mode), sorted(d.cpus), d.total_bytes >> 30)"
        " for d in n.devices()]))"
    )

    parent = "GPU-11111111-1111-1111-1111-111111111111"
    assert json.loads(ask(library, code)) == [
        ["GPU-0", 0, None, "exclusive", [0, 1], 16],
        ["MIG-2", 1, parent, "default", [0, 1], 8],
        ["MIG-3", 1, parent, "default", [0, 1], 8],
    ]


def test_a_device_that_falls_off_the_bus_is_lost(library: Path) -> None:
    """NVML's error is the package's own, and names the device."""
    code = (
        "from gpu import NvmlProvider, DeviceLost\n"
        "try: NvmlProvider().memory('GPU-00000000-0000-0000-0000-000000000000')\n"
        "except DeviceLost as error: print(error)"
    )

    assert "GPU-00000000" in ask(library, code, "lost")


def test_a_lost_device_does_not_take_the_others_along(library: Path) -> None:
    """The rest of the host is listed under the indices it had."""
    code = (
        "from gpu import NvmlProvider\n"
        "print([(d.uuid[:5], d.index) for d in NvmlProvider().devices()])"
    )

    assert ask(library, code, "lost") == "[('MIG-2', 1), ('MIG-3', 1)]"


def test_a_host_whose_devices_are_all_lost_is_not_one_without_devices(library: Path) -> None:
    """Training on the CPU instead would be a surprise."""
    code = (
        "from gpu import NvmlProvider, DeviceLost\n"
        "try: NvmlProvider().devices()\n"
        "except DeviceLost as error: print(error)"
    )

    assert ask(library, code, "all_lost") == "Asking GPU 1 failed: GPU is lost."


def test_the_fake_leaves_out_what_is_lost() -> None:
    """As the real one does: some lost, the rest; all lost, an error."""
    devices = fake_devices(3)

    assert FakeProvider(devices, lost={devices[0].uuid}).devices() == devices[1:]
    with pytest.raises(DeviceLost):
        FakeProvider(devices, lost={d.uuid for d in devices}).devices()
    assert FakeProvider().devices() == []


def test_a_driver_that_may_not_be_asked_is_unavailable(library: Path) -> None:
    """Without permission there are no GPUs, for a reason."""
    code = (
        "from gpu import NvmlProvider, NvmlUnavailable\n"
        "try: NvmlProvider()\n"
        "except NvmlUnavailable as error: print(error)"
    )

    assert "cannot be asked" in ask(library, code, "no_permission")


def test_slots_are_planned_from_nvml(library: Path) -> None:
    """The whole way: library, NVML, devices, slots pinned by UUID."""
    code = (
        "from aiotune._devices import Wanted, find_resources\n"
        "plan = find_resources(Wanted(), environ={})\n"
        "print([s.environment['CUDA_VISIBLE_DEVICES'][:5] for s in plan.slots])"
    )

    assert ask(library, code) == "['GPU-0', 'MIG-2', 'MIG-3']"


def test_without_a_driver_nvml_is_unavailable() -> None:
    """On a machine without an NVIDIA driver the reason is told."""
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")

    with pytest.raises(NvmlUnavailable, match="driver"):
        NvmlProvider()


def test_another_distributions_pynvml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stale module of the same name is told, with what to remove."""
    import types

    monkeypatch.setitem(sys.modules, "pynvml", types.ModuleType("pynvml"))

    with pytest.raises(NvmlUnavailable, match="nvidia-ml-py3"):
        NvmlProvider()
