"""The states of a trial and the moves between them."""

from __future__ import annotations

import pytest

from aiotune.hyperparameters import HyperParameters
from aiotune.status import TRANSITIONS, TrialStatus
from aiotune.trial import Trial

_FINAL = {TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.REJECTED}
_ANSWERS = {TrialStatus.IDLE, TrialStatus.STOPPED}
"""What KerasTuner's vocabulary has for "no trial"; no trial is ever in them."""


def _reachable(start: TrialStatus) -> set[TrialStatus]:
    seen: set[TrialStatus] = set()
    waiting = [start]
    while waiting:
        status = waiting.pop()
        if status not in seen:
            seen.add(status)
            waiting += TRANSITIONS[status]
    return seen


def test_the_table_has_every_status() -> None:
    """A status without a row would be a crash at its first move."""
    assert set(TRANSITIONS) == set(TrialStatus)


def test_the_final_statuses_have_no_way_out() -> None:
    """What is final stays, and only that is called final."""
    assert {status for status in TrialStatus if status.is_final} == _FINAL
    assert {s for s, after in TRANSITIONS.items() if not after} == _FINAL | _ANSWERS


@pytest.mark.parametrize("status", sorted(set(TrialStatus) - _FINAL - _ANSWERS))
def test_an_unfinished_trial_can_always_run_and_end(status: TrialStatus) -> None:
    """From everywhere a trial can come to run, and to each of the final statuses."""
    assert _reachable(status) >= _FINAL | {TrialStatus.RUNNING}


def test_no_trial_comes_to_stand_for_no_trial() -> None:
    """IDLE and STOPPED are answers, not states."""
    assert _reachable(TrialStatus.QUEUED) & _ANSWERS == set()


def test_no_status_moves_to_itself() -> None:
    """Assigning the present status is no move, and needs no row."""
    assert [s for s, after in TRANSITIONS.items() if s in after] == []


def test_only_what_ran_can_complete() -> None:
    """A score comes from an attempt and from nowhere else."""
    before = {s for s, after in TRANSITIONS.items() if TrialStatus.COMPLETED in after}

    assert before == {TrialStatus.RUNNING}


@pytest.mark.parametrize("status", list(TrialStatus))
def test_a_status_is_its_name(status: TrialStatus) -> None:
    """On disk, in logs and compared with KerasTuner's strings."""
    assert status == status.name == str(status) == f"{status}"


@pytest.mark.parametrize("before", list(TrialStatus))
@pytest.mark.parametrize("after", list(TrialStatus))
def test_a_trial_keeps_to_the_table(before: TrialStatus, after: TrialStatus) -> None:
    """A move is possible exactly if the table has it, or it is none."""
    from aiotune.errors import InternalError

    trial = Trial(HyperParameters(), "0001", before)

    if after in TRANSITIONS[before] or after is before:
        trial.status = after
        assert trial.status is after
    else:
        with pytest.raises(InternalError, match=f"0001 cannot go from {before} to {after}"):
            trial.status = after
        assert trial.status is before
