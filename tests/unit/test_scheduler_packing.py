"""Whether sharing pays, judged by step times."""

from __future__ import annotations

import itertools

from aiotune.scheduler._packing import Packing, Verdict

GPU = "GPU-0"


def epochs(packing: Packing, trial_id: str, seconds: float, count: int = 4) -> list[Verdict]:
    """Time so many epochs; return the verdicts."""
    times = [packing.timed(GPU, trial_id, seconds) for _ in range(count)]
    return [verdict for verdict in times if verdict is not None]


fresh = itertools.count()


def together(packing: Packing, alone: float, shared: float, trials: int = 4) -> list[Verdict]:
    """One trial alone, then beside another; and again with other trials."""
    verdicts = []
    for _ in range(trials):
        first, second = f"a{next(fresh)}", f"b{next(fresh)}"
        packing.joined(GPU, first)
        verdicts += epochs(packing, first, alone)
        packing.joined(GPU, second)
        verdicts += epochs(packing, first, shared)
        packing.left(GPU, second)
        packing.left(GPU, first)
    return verdicts


def test_trials_that_only_take_turns_are_unpacked() -> None:
    """Each takes twice as long beside the other: nothing is gained, so one at a time."""
    (verdict,) = together(Packing(4), alone=1.0, shared=2.0)

    assert verdict.most == 1
    assert "2 trials together do 1.00 times the work of one" in verdict.reason


def test_trials_that_fill_each_others_gaps_go_on_sharing() -> None:
    """Side by side at full speed: nothing changes."""
    assert together(Packing(4), alone=1.0, shared=1.1) == []


def test_the_number_with_the_most_throughput_is_kept() -> None:
    """Two together gain, three lose: two from then on."""
    packing = Packing(4)
    together(packing, alone=1.0, shared=1.2)
    verdicts: list[Verdict] = []
    for number in range(4):
        here = [f"{letter}{number}" for letter in "xyz"]
        packing.joined(GPU, here[0])
        verdicts += epochs(packing, here[0], 1.0)
        packing.joined(GPU, here[1])
        packing.joined(GPU, here[2])
        verdicts += epochs(packing, here[0], 3.5)
        for name in here:
            packing.left(GPU, name)

    assert [verdict.most for verdict in verdicts] == [2]


def test_a_trial_that_was_never_alone_before_is_compared_with_itself_afterwards() -> None:
    """Its times together wait until it has the device for itself."""
    packing = Packing(4)
    verdicts: list[Verdict] = []
    for number in range(4):
        first, second = f"a{number}", f"b{number}"
        packing.joined(GPU, first)
        packing.joined(GPU, second)
        verdicts += epochs(packing, first, 2.2)
        packing.left(GPU, second)
        verdicts += epochs(packing, first, 1.0)
        packing.left(GPU, first)

    assert [verdict.most for verdict in verdicts] == [1]


def test_epochs_in_which_somebody_came_or_went_say_nothing() -> None:
    """Only whole epochs with the same neighbours count, and never a trial's first, which compiles."""
    packing = Packing(4)
    for number in range(20):
        first, second = f"a{number}", f"b{number}"
        packing.joined(GPU, first)
        assert epochs(packing, first, 9.0, count=1) == []
        packing.joined(GPU, second)
        assert epochs(packing, first, 90.0, count=1) == []
        packing.left(GPU, second)
        packing.left(GPU, first)


def test_one_trial_of_many_epochs_says_too_little() -> None:
    """Trials count, not epochs: a hundred epochs of one model limit nobody."""
    packing = Packing(4)
    packing.joined(GPU, "a")
    epochs(packing, "a", 1.0)
    packing.joined(GPU, "b")

    assert epochs(packing, "a", 2.5, count=100) == []
    packing.left(GPU, "b")
    packing.left(GPU, "a")
    assert together(packing, alone=1.0, shared=2.5, trials=1) == []
    assert [v.most for v in together(packing, alone=1.0, shared=2.5, trials=2)] == [1]


def limited(packing: Packing) -> None:
    """Show that sharing does not pay."""
    assert [v.most for v in together(packing, alone=1.0, shared=2.5)] == [1]


def until_tried(packing: Packing, uuid: str = GPU) -> tuple[int, Verdict]:
    """Let trials run alone until more are tried; return how many that were, and the verdict."""
    for number in range(1, 1000):
        packing.joined(uuid, f"alone{number}")
        if (verdict := packing.left(uuid, f"alone{number}")) is not None:
            return number, verdict
    raise AssertionError("it is for ever")


def test_a_verdict_is_put_to_the_test_again() -> None:
    """After some trials one device shares again, and goes on if it pays now."""
    packing = Packing(4)
    limited(packing)

    trials, verdict = until_tried(packing)

    assert (verdict.most, verdict.devices) == (4, (GPU,))
    assert trials <= 20
    assert "trials have ended since" in verdict.reason
    assert together(packing, alone=1.0, shared=1.1) == [], "it pays now, and goes on"


def test_what_does_not_pay_again_is_tried_less_often() -> None:
    """Each time that it is confirmed, twice as many trials are waited for."""
    packing = Packing(4)
    limited(packing)
    first, _ = until_tried(packing)
    limited(packing)

    second, _ = until_tried(packing)

    assert second >= 2 * first - 8  # those that showed it have ended as well


EQUAL = {GPU: "A", "GPU-1": "A", "GPU-2": "B"}


def test_equal_devices_share_what_they_learn() -> None:
    """A verdict is about all devices of a kind, and about no other."""
    verdicts = together(Packing(4, EQUAL), alone=1.0, shared=2.0)

    assert [(v.most, v.devices) for v in verdicts] == [(1, (GPU, "GPU-1"))]


def test_only_one_of_equal_devices_tries_again() -> None:
    """The others keep to the verdict until it has shown that it pays."""
    packing = Packing(4, EQUAL)
    limited(packing)

    _, verdict = until_tried(packing, "GPU-1")

    assert verdict.devices == ("GPU-1",)
    assert packing.left(GPU, "another") is None
    paid = together_on(packing, "GPU-1", shared=1.1)
    assert [(v.most, v.devices) for v in paid] == [(4, (GPU,))]


def together_on(packing: Packing, uuid: str, *, shared: float) -> list[Verdict]:
    """Three trials alone on a device and then beside another."""
    verdicts: list[Verdict | None] = []
    for number in range(3):
        first, second = f"c{number}", f"d{number}"
        packing.joined(uuid, first)
        verdicts += [packing.timed(uuid, first, 1.0) for _ in range(3)]
        packing.joined(uuid, second)
        verdicts += [packing.timed(uuid, first, shared) for _ in range(3)]
        verdicts += [packing.left(uuid, second), packing.left(uuid, first)]
    return [verdict for verdict in verdicts if verdict is not None]


def test_devices_of_another_kind_are_judged_apart() -> None:
    """What one GPU shows says nothing of another model."""
    packing = Packing(4, EQUAL)
    limited(packing)

    assert together_on(packing, "GPU-2", shared=1.1) == []
    assert [v.devices for v in together_on(Packing(4, EQUAL), "GPU-2", shared=9.0)] == [("GPU-2",)]
