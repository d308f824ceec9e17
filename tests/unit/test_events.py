"""The facts of the journal: their names, and that no field can be lost."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from aiotune import events
from aiotune.events import EVENT_TYPES, Event, event_tag


def test_every_event_has_a_name_of_its_own() -> None:
    """No record can be read as another kind."""
    tags = [struct.__struct_config__.tag for struct in EVENT_TYPES]

    assert len(set(tags)) == len(tags)
    assert tags == [event_tag(struct.__name__) for struct in EVENT_TYPES]


# Written out, not derived: a journal of last year holds exactly these.
_NAMES_ON_DISK = [
    "project_created",
    "project_opened",
    "search_started",
    "space_grew",
    "trial_created",
    "attempt_started",
    "metrics_reported",
    "attempt_ended",
    "retry_scheduled",
    "trial_requeued",
    "trial_ended",
    "search_ended",
    "project_closed",
]


def test_no_name_on_disk_was_changed_or_removed() -> None:
    """Journals outlive versions: names are added at most."""
    tags = [struct.__struct_config__.tag for struct in EVENT_TYPES]

    assert [tag for tag in tags if tag in _NAMES_ON_DISK] == _NAMES_ON_DISK


def test_the_union_holds_every_event() -> None:
    """A new class that was left out of the union could be written and never read."""
    defined = {
        value
        for name, value in vars(events).items()
        if isinstance(value, type) and issubclass(value, events._Fact) and name != "_Fact"
    }

    assert defined == set(EVENT_TYPES)
    assert {struct.__name__ for struct in EVENT_TYPES} <= set(events.__all__)


@pytest.mark.parametrize("struct", EVENT_TYPES, ids=lambda struct: struct.__name__)
def test_events_are_facts(struct: type[Event]) -> None:
    """Nobody changes one after it happened, and its fields are given by name."""
    config = struct.__struct_config__

    assert config.frozen
    make: Callable[..., Event] = struct
    with pytest.raises(TypeError, match="positional"):
        make(0)
    assert config.tag_field == "type"
    assert "type" not in {field.name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("TrialCreated", "trial_created"), ("SpaceGrew", "space_grew"), ("Event", "event")],
)
def test_names_are_derived_from_classes(name: str, expected: str) -> None:
    """One rule, so that a class and its record are found from each other."""
    assert expected == event_tag(name)


def test_two_events_do_not_share_a_container() -> None:
    """The default of a field is made anew for each event."""
    first = events.TrialCreated(trial_id="0", index=0, values={})
    second = events.TrialCreated(trial_id="1", index=1, values={})

    assert first.budget == second.budget == {}
    assert first.budget is not second.budget
