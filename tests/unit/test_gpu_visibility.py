"""CUDA_VISIBLE_DEVICES, read as CUDA reads it."""

from __future__ import annotations

import pytest

from aiotune_gpu import (
    GIB,
    BadVisibleDevices,
    ComputeMode,
    Device,
    doubts,
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


def _card(index: int, name: str, cores: int | None) -> Device:
    return Device(f"GPU-{index}{name}", index, name, 16 * GIB, cores=cores)


SCREEN, LARGE, SMALL = _card(0, "T400", 384), _card(1, "A100", 6912), _card(2, "A10", 9216 // 2)
MIXED = (SCREEN, LARGE, SMALL)


@pytest.mark.parametrize(
    ("value", "fastest", "by_bus"),
    [
        ("0", (LARGE,), (SCREEN,)),
        ("1", (SMALL,), (LARGE,)),
        ("2,0", (SCREEN, LARGE), (SMALL, SCREEN)),
        ("0,1,2", (LARGE, SMALL, SCREEN), (SCREEN, LARGE, SMALL)),
    ],
)
def test_cards_of_several_kinds_are_counted_as_cuda_counts_them(
    value: str, fastest: tuple[Device, ...], by_bus: tuple[Device, ...]
) -> None:
    """The fastest first, as far as cores tell, unless CUDA is told to follow the bus."""
    environ = {"CUDA_VISIBLE_DEVICES": value}

    assert visible_devices(MIXED, environ) == fastest
    assert visible_devices(MIXED, environ | {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}) == fastest
    assert visible_devices(MIXED, environ | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == by_bus


def test_a_number_that_may_mean_another_card_is_told_with_both_readings() -> None:
    """What it was taken for, what it would be by the bus, and what leaves no doubt."""
    (told,) = doubts(MIXED, {"CUDA_VISIBLE_DEVICES": "0"})

    assert told == (
        "CUDA_VISIBLE_DEVICES='0' counts cards of several kinds, and CUDA counts those first that it takes "
        "to be fast. It is taken for GPU 1 (A100, GPU-1A100), by the number of cores. In the order of the "
        "PCI bus, which nvidia-smi has, it is GPU 0 (T400, GPU-0T400). To leave no doubt, name UUIDs, or "
        "set CUDA_DEVICE_ORDER=PCI_BUS_ID."
    )


def test_without_cores_numbers_follow_the_bus_and_are_in_doubt() -> None:
    """An old driver does not tell them; then there is nothing to guess by."""
    untold = (_card(0, "T400", None), _card(1, "A100", None))
    environ = {"CUDA_VISIBLE_DEVICES": "1"}

    assert visible_devices(untold, environ) == (untold[1],)
    (told,) = doubts(untold, environ)
    assert "It is taken for GPU 1 (A100, GPU-1A100), in the order of the PCI bus." in told


@pytest.mark.parametrize(
    ("devices", "environ"),
    [
        (MIXED, {}),
        (MIXED, {"CUDA_VISIBLE_DEVICES": "2,0,1"}),
        (MIXED, {"CUDA_VISIBLE_DEVICES": "GPU-1"}),
        (MIXED, {"CUDA_VISIBLE_DEVICES": ""}),
        (MIXED, {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
        ((A, B, C), {"CUDA_VISIBLE_DEVICES": "1"}),
        ((LARGE, SMALL), {"CUDA_VISIBLE_DEVICES": "1"}),
        ((), {"CUDA_VISIBLE_DEVICES": "1"}),
    ],
    ids=str,
)
def test_what_can_be_read_in_one_way_only_is_not_in_doubt(
    devices: tuple[Device, ...], environ: dict[str, str]
) -> None:
    """All cards, UUIDs, cards alike, CUDA told to follow the bus, or both readings the same."""
    assert doubts(devices, environ) == ()


def test_a_card_that_does_not_answer_leaves_the_numbers_of_the_others() -> None:
    """They are alike, and the one in the middle is lost."""
    assert visible_devices((A, C), {"CUDA_VISIBLE_DEVICES": "2"}) == (C,)


def test_instances_that_a_number_leaves_out_are_told() -> None:
    """To CUDA the number of a GPU that is cut is its first instance."""
    (told,) = doubts((M0, M1), {"CUDA_VISIBLE_DEVICES": "3"})

    assert "the first of them, and so 1 more are not used. Name instances by UUID" in told
    assert doubts((M0, M1), {"CUDA_VISIBLE_DEVICES": "MIG-dddd4444"}) == ()
