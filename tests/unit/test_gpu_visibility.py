"""CUDA_VISIBLE_DEVICES, read as CUDA reads it."""

from __future__ import annotations

import pytest

from gpu import (
    GIB,
    BadVisibleDevices,
    ComputeMode,
    Device,
    environment_for,
    visible_devices,
)


def _gpu(index: int, uuid: str, mode: ComputeMode = ComputeMode.DEFAULT) -> Device:
    return Device(uuid, index, "Fake GPU", 16 * GIB, mode)


def _mig(index: int, uuid: str, parent: str, gi: int) -> Device:
    name = "Fake GPU MIG"
    return Device(
        uuid, index, name, 4 * GIB, mig_parent=parent, gpu_instance=gi, compute_instance=0
    )


A, B, C = _gpu(0, "GPU-aaaa1111"), _gpu(1, "GPU-aabb2222"), _gpu(2, "GPU-cccc3333")
M0, M1 = _mig(3, "MIG-dddd4444", "GPU-eeee", 1), _mig(3, "MIG-dddd5555", "GPU-eeee", 2)
ALL = (A, B, C, M0, M1)


def _seen(value: str) -> tuple[Device, ...]:
    return visible_devices(ALL, {"CUDA_VISIBLE_DEVICES": value})


def test_without_the_variable_all_are_visible() -> None:
    """Nobody has limited the program."""
    assert visible_devices(ALL, {}) == ALL


@pytest.mark.parametrize(
    "value", ["", "  ", "-1", "-1,0", "NoDevFiles", "void", "none", ",0", "-7"]
)
def test_all_can_be_hidden_on_purpose(value: str) -> None:
    """An empty value, or one that begins with no device, hides every device without an error."""
    assert _seen(value) == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", (A,)),
        ("2,0", (C, A)),
        (" 1 ,\t2", (B, C)),
        ("GPU-cccc3333", (C,)),
        ("GPU-c", (C,)),
        ("GPU-aab,GPU-aaa", (B, A)),
        ("MIG-dddd5555", (M1,)),
        ("MIG-dddd5555,MIG-dddd4444", (M1, M0)),
        ("MIG-GPU-eeee/2/0", (M1,)),
        ("MIG-GPU-eeee/1/0,MIG-dddd5", (M0, M1)),
        ("3", (M0,)),
        ("GPU-ee", (M0,)),
        ("+1", (B,)),
        ("1gpu,2ampere", (B, C)),
    ],
)
def test_devices_are_named_by_index_uuid_or_its_beginning(
    value: str, expected: tuple[Device, ...]
) -> None:
    """The variable's order is kept; the index of a divided GPU means its first instance."""
    assert _seen(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0,-1,1", (A,)),
        ("1,99,0", (B,)),
        ("2,,0", (C,)),
        ("0,GPU-aa,1", (A,)),
        ("0,GPU-none,1", (A,)),
        ("0,GPU-cccc3333", (A,)),
        ("GPU-cccc3333,0", (C,)),
        ("GPU-cccc3333,MIG-dddd5555", (C,)),
        ("MIG-dddd5555,0", (M1,)),
        ("MIG-dddd5555,MIG-GPU-eeee/9/0,MIG-dddd4444", (M1,)),
        ("MIG-dddd5555,MIG-dddd,MIG-dddd4444", (M1,)),
        ("0,\u00b2,1", (A,)),
        ("0,", (A,)),
    ],
)
def test_an_entry_that_names_nothing_hides_those_after_it(
    value: str, expected: tuple[Device, ...]
) -> None:
    """Unknown indices, ambiguous beginnings, gaps and another kind of name end the list."""
    assert _seen(value) == expected


@pytest.mark.parametrize(
    "value",
    ["0,0", "1,0,1", "1,+1", "GPU-aaaa,GPU-aaaa1", "MIG-dddd5555,MIG-GPU-eeee/2/0", "-1,0,0"],
)
def test_a_repeated_device_hides_all(value: str) -> None:
    """Under whichever names it is repeated."""
    assert _seen(value) == ()


@pytest.mark.parametrize(
    "value", ["99", "GPU-aa", "gpu0", "GPU-zzzz,0", "MIG-dddd", "MIG-GPU-eeee/9/0", "\u00b2"]
)
def test_a_list_that_begins_with_no_device_is_an_error(value: str) -> None:
    """A mistake is told apart from hiding: the message has the value and what exists."""
    with pytest.raises(BadVisibleDevices) as caught:
        _seen(value)

    assert repr(value) in str(caught.value)
    assert "0 (GPU-aaaa1111), 1 (GPU-aabb2222)" in str(caught.value)


def test_a_name_on_a_host_without_devices_is_an_error() -> None:
    """The message says that there is nothing to name."""
    with pytest.raises(BadVisibleDevices, match="none at all"):
        visible_devices((), {"CUDA_VISIBLE_DEVICES": "0"})


def test_a_prohibited_device_is_never_used() -> None:
    """Neither by default nor when it is named; the others stay."""
    prohibited = _gpu(0, "GPU-ffff", ComputeMode.PROHIBITED)

    assert visible_devices((prohibited, B), {}) == (B,)
    assert visible_devices((prohibited, B), {"CUDA_VISIBLE_DEVICES": "0,1"}) == (B,)


def test_a_child_is_pinned_by_uuid_in_pci_order() -> None:
    """An index could mean another device to CUDA than to the driver."""
    assert environment_for([C.uuid, A.uuid]) == {
        "CUDA_VISIBLE_DEVICES": "GPU-cccc3333,GPU-aaaa1111",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


@pytest.mark.parametrize("chosen", [(), (A,), (C, A), (M1,)])
def test_a_pinned_child_sees_just_its_devices(chosen: tuple[Device, ...]) -> None:
    """What is written for a child reads back as the same devices, none included."""
    assert visible_devices(ALL, environment_for([d.uuid for d in chosen])) == chosen


def test_a_device_is_given_to_a_child_once() -> None:
    """CUDA would show it none."""
    with pytest.raises(BadVisibleDevices, match="name one twice"):
        environment_for([A.uuid, A.uuid])


@pytest.mark.parametrize("chosen", [(M0, M1), (A, M0), (M0, A)])
def test_an_instance_is_given_to_a_child_alone(chosen: tuple[Device, ...]) -> None:
    """CUDA would show it one of them without a word."""
    with pytest.raises(BadVisibleDevices, match="one MIG instance"):
        environment_for([d.uuid for d in chosen])
