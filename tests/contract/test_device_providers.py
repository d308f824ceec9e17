"""All providers keep the contract; NVML is asked through a library made for the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from aiotune.testing._providers import PROVIDER_CHECKS, DeviceScript, FakeRig, ProviderCheck
from aiotune_gpu import DeviceProvider, IsolatedProvider, NvmlProvider
from aiotune_gpu.fake import FakeProvider, fake_devices
from aiotune_gpu.fake_driver import FakeDriver

# Before driver 565 a device could not say that it must be reset.
KNOWN_OF_OLD = [c for c in PROVIDER_CHECKS if c.__name__ != "check_health_is_as_of_now"]


def each(checks: Sequence[ProviderCheck]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("check", checks, ids=lambda check: check.__name__)


class NvmlRig:
    def __init__(self, provider: DeviceProvider, script: DeviceScript) -> None:
        self.provider, self.script = provider, script


@pytest.fixture
def nvml_rig(driver: FakeDriver) -> Iterator[Callable[[], NvmlRig]]:
    made: list[NvmlProvider] = []

    def rig() -> NvmlRig:
        made.append(NvmlProvider())
        return NvmlRig(made[-1], driver)

    yield rig
    for provider in made:
        provider.close()


@each(PROVIDER_CHECKS)
def test_the_fake_keeps_the_contract(check: ProviderCheck) -> None:
    """Scripted devices behave as real ones must."""
    devices = fake_devices(3)
    reserved = {devices[1].uuid: 1 << 29}

    check(FakeRig(FakeProvider(devices, reserved=reserved)))


@each(PROVIDER_CHECKS)
def test_nvml_keeps_the_contract(
    check: ProviderCheck,
    new_library: Path,
    load: Callable[[Path], None],
    nvml_rig: Callable[[], NvmlRig],
) -> None:
    """The real provider does, MIG instances among its devices."""
    load(new_library)

    check(nvml_rig())


@each(KNOWN_OF_OLD)
def test_nvml_of_an_old_driver_keeps_the_contract(
    check: ProviderCheck,
    old_library: Path,
    load: Callable[[Path], None],
    nvml_rig: Callable[[], NvmlRig],
) -> None:
    """The real provider does without the symbols that came with drivers 510 to 565."""
    load(old_library)

    check(nvml_rig())


@each(PROVIDER_CHECKS)
def test_nvml_asked_by_a_process_of_its_own_keeps_the_contract(
    check: ProviderCheck, isolated: IsolatedProvider, driver: FakeDriver
) -> None:
    """What comes back from that process, errors included, is what the driver said."""
    check(NvmlRig(isolated, driver))
