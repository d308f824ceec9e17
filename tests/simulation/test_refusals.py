"""The checker of refusals itself: what it takes for justified, and that it has something to judge."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from aiotune.testing.simulator import Plan, Setup
from aiotune.testing.simulator._monitors import Truth
from aiotune.testing.simulator._refusals import check_refusals
from aiotune.testing.simulator._training import size_of
from aiotune_gpu import GIB

SMALL, LARGE = "GPU-small", "GPU-large"
COULD = {SMALL: 7 * GIB, LARGE: 39 * GIB}
PLAN = Plan(0, Setup(gpus=2, gib=(40, 8), weighs=True), frozenset(), 0.0)


def journal(*records: dict[str, Any]) -> bytes:
    """The bytes of a journal, a record a line."""
    lines = []
    for number, record in enumerate(records):
        text = json.dumps({"seq": number, "b": 0, "trial_id": "0"} | record).encode()
        lines.append(b"%08x %s\n" % (zlib.crc32(text), text))
    return b"".join(lines)


def created(index: int) -> dict[str, Any]:
    return {"type": "trial_created", "index": index}


def refused(kind: str) -> dict[str, Any]:
    return {"type": "trial_ended", "status": "REJECTED", "failure": {"kind": kind}}


def attempt(device: str, reservation: int, *, alone: bool, cause: str) -> list[dict[str, Any]]:
    """An attempt that ran out of memory."""
    failure = {"kind": "out_of_memory", "memory": {"cause": cause}}
    return [
        {
            "type": "attempt_started",
            "attempt_id": "0-1",
            "devices": [device],
            "reservation": reservation,
            "alone": alone,
        },
        {"type": "attempt_ended", "failure": failure},
    ]


def judge(*records: dict[str, Any], could: dict[str, int] | None) -> list[str]:
    """Return what is wrong with the refusal at the end of a journal."""
    wrong: list[str] = []
    truth = Truth()
    if could is not None:
        truth.refused["0"] = could
    judged = check_refusals(
        [journal(*records)], PLAN, truth, lambda i, s: wrong.append(f"{i}: {s}")
    )
    assert judged["refused"] == (could is not None)
    return wrong


def index_of(*, fits: bool) -> int:
    """The number of a trial whose model does, or does not, fit the large GPU."""
    return next(i for i in range(100) if (size_of(PLAN, i)[1] < 30 * GIB) is fits)


@pytest.mark.parametrize(
    ("device", "reservation", "alone", "cause", "says"),
    [
        (LARGE, 39 * GIB, True, "device", None),
        (LARGE, 36 * GIB, True, "workspace", None),
        (LARGE, 30 * GIB, True, "device", "its last attempt had"),
        (SMALL, 7 * GIB, True, "device", "its last attempt had"),
        (LARGE, 39 * GIB, False, "device", "it was never alone"),
        (SMALL, 2 * GIB, False, "host", "it was never alone"),
        (SMALL, 2 * GIB, True, "host", None),
        (LARGE, 39 * GIB, True, "foreign", "others were in the way 1 times only"),
    ],
)
def test_who_ran_out_of_memory_must_have_had_the_largest_gpu_alone(
    device: str, reservation: int, *, alone: bool, cause: str, says: str | None
) -> None:
    """Nine tenths of it at least; for the host's sake it must have been alone, and others six times in the way."""
    ended = attempt(device, reservation, alone=alone, cause=cause)

    wrong = judge(created(0), *ended, refused("out_of_memory"), could=COULD)

    assert [says in text for text in wrong if says] == [True] * bool(says)
    assert bool(wrong) is bool(says)


@pytest.mark.parametrize(("fits", "right"), [(False, True), (True, False)])
def test_who_is_refused_untried_must_be_too_large_for_what_there_is(
    *, fits: bool, right: bool
) -> None:
    """What its training really takes is held against the largest GPU that may still be had."""
    wrong = judge(created(index_of(fits=fits)), refused("oversized"), could=COULD)

    assert (wrong == []) is right


def test_a_gpu_that_is_lost_counts_no_more() -> None:
    """With the large one gone the small one is the largest."""
    ended = attempt(SMALL, 7 * GIB, alone=True, cause="device")

    wrong = judge(created(0), *ended, refused("out_of_memory"), could={SMALL: 7 * GIB})

    assert wrong == []


def test_a_refusal_that_nobody_decided_is_wrong() -> None:
    """A record that says so without the tuner having done it."""
    assert judge(created(0), refused("oversized"), could=None) != []
