"""Searches in simulated trouble: what holds, what is found, and that a seed is a story."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from aiotune.testing.simulator import BUGS, Fault, Story, draw_plan, planted, simulate

_SEEDS = 20

QUICKLY_FOUND = [
    "alone_anywhere_is_enough",
    "attempt_ids_repeat",
    "computing_weigher_is_silent",
    "durable_too_early",
    "end_recorded_twice",
    "end_waits_for_the_terminal",
    "ended_by_others_fails",
    "ended_with_the_job_alone",
    "launch_lost_with_the_nursery",
    "failed_try_not_cut",
    "free_is_all",
    "full_disk_not_waited_for",
    "late_memory_soon_given_up",
    "lease_kept",
    "lease_released_before_reap",
    "loop_writes_itself",
    "nobody_is_woken",
    "not_synced",
    "pruned_before_recorded",
    "requeue_not_recorded",
    "result_before_durable",
    "result_of_another",
    "result_of_the_dead_dropped",
    "retry_not_recorded",
    "retry_wakes_nobody",
    "segment_begins_unnamed",
    "sighup_not_heard",
    "snapshot_too_short",
    "spawn_before_intent",
    "spool_ignored_when_not_sent",
    "torn_tail_not_cut",
    "weigher_left_behind",
]
"""The others take more seeds; ``make simulate`` looks for all."""


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    return [simulate(seed) for seed in range(_SEEDS)]


def test_nothing_is_wrong_in_a_world_of_trouble(stories: list[Story]) -> None:
    """Some seeds: searches that are killed, starved and interrupted keep every invariant."""
    wrong = {s.seed: [str(v) for v in s.violations] for s in stories if s.violations}

    assert wrong == {}, "python tests/simulation/simulate.py --seed N tells the story"


def test_the_trouble_is_real(stories: list[Story]) -> None:
    """Most kinds of faults strike, tuners die and live again, and twins are there to compare with."""
    struck = Counter[Fault]()
    for story in stories:
        struck.update(story.faults)

    assert len(struck) >= 40
    assert sum(story.lives for story in stories) > 2 * _SEEDS
    assert sum(story.attempts for story in stories) > sum(story.trials for story in stories)
    assert any(story.compared for story in stories)


def test_refusals_are_there_to_be_judged(stories: list[Story]) -> None:
    """Trials are refused before and after they ran, others only run out of memory; GPUs are given up."""
    judged = sum((story.judged for story in stories), Counter[str]())

    assert judged["refused before it ran"] > 10
    assert judged["refused after it ran"] > 10
    assert judged["completed after memory ran out"] > 3
    assert judged["gave up for lack of devices"] > 0


def test_a_seed_tells_the_same_story_byte_for_byte(stories: list[Story]) -> None:
    """Twice the same seed: the same lines at the same times."""
    for story in stories[3:9]:
        assert simulate(story.seed).text == story.text


def test_a_seed_tells_the_same_story_in_another_process(stories: list[Story]) -> None:
    """Neither addresses nor hashes of that process have a say in it."""
    script = "from aiotune.testing.simulator import simulate; print(simulate(1).digest)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == stories[1].digest


def test_without_faults_nothing_goes_wrong() -> None:
    """No fault, no violation: each trial completes at its first attempt, in one life of the tuner."""
    for seed in range(8):
        story = simulate(seed, faults=(), trials=6)

        assert story.violations == (), story.text
        assert (story.lives, sum(story.faults.values())) == (1, 0)
        assert set(story.statuses) <= {"COMPLETED", "REJECTED"}


def test_only_the_faults_that_were_asked_for_happen() -> None:
    """A seed can be held to one kind of trouble."""
    for seed in range(4):
        story = simulate(seed, faults=[Fault.TUNER_KILLED, Fault.SEGFAULT])

        assert set(story.faults) <= {Fault.TUNER_KILLED, Fault.SEGFAULT}


def test_every_kind_of_fault_is_drawn_by_some_seed() -> None:
    """Swarm testing leaves out families of faults, another one with each seed."""
    drawn = [draw_plan(seed).faults for seed in range(100)]

    assert frozenset().union(*drawn) == frozenset(Fault)
    assert len(set(drawn)) > 90
    assert len(Fault) >= 40


def test_there_are_bugs_to_find() -> None:
    """At least thirty, each with a sentence, and those below among them."""
    assert len(BUGS) >= 30
    assert all(bug.what for bug in BUGS.values())
    assert set(QUICKLY_FOUND) <= set(BUGS)


@pytest.mark.parametrize("name", QUICKLY_FOUND)
def test_a_planted_bug_is_found(name: str, stories: list[Story]) -> None:
    """A few seeds are enough; and without the bug, the seed that found it is clean."""
    with planted(name):
        found = next((s for s in map(simulate, range(_SEEDS)) if s.violations), None)

    assert found is not None
    assert stories[found.seed].violations == ()


def test_the_command_replays_a_seed_with_a_planted_bug() -> None:
    """Its story, what was wrong and its digest are printed; the exit code says that it was wrong."""
    script = Path(__file__).parent / "simulate.py"
    done = subprocess.run(
        [sys.executable, str(script), "--seed", "0", "--bug", "spawn_before_intent"],
        capture_output=True,
        text=True,
        check=False,
    )

    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert lines[0].startswith("seed 0: Setup(")
    assert any("I2 at" in line for line in lines)
    assert lines[-1].startswith("digest ")
