"""Whether sharing pays, judged by step times."""

from __future__ import annotations

from aiotune.scheduler._packing import Packing, Verdict

GPU = "GPU-0"


def epochs(packing: Packing, trial_id: str, seconds: float, count: int = 4) -> list[Verdict]:
    """Time so many epochs; return the verdicts."""
    times = [packing.timed(GPU, trial_id, seconds) for _ in range(count)]
    return [verdict for verdict in times if verdict is not None]


def together(packing: Packing, alone: float, shared: float, trials: int = 4) -> list[Verdict]:
    """One trial alone, then beside another; and again with other trials."""
    verdicts = []
    for number in range(trials):
        first, second = f"a{number}", f"b{number}"
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
        names = [f"{letter}{number}" for letter in "xyz"]
        packing.joined(GPU, names[0])
        verdicts += epochs(packing, names[0], 1.0)
        packing.joined(GPU, names[1])
        packing.joined(GPU, names[2])
        verdicts += epochs(packing, names[0], 3.5)
        for name in names:
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


def test_devices_are_judged_apart() -> None:
    """What one GPU shows says nothing of another."""
    packing = Packing(4)
    together(packing, alone=1.0, shared=2.0)
    for number in range(3):
        packing.joined("GPU-1", f"c{number}")

    assert packing.timed("GPU-1", "c0", 5.0) is None
    assert packing.timed("GPU-1", "c0", 5.0) is None
