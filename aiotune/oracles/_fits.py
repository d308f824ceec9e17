"""Whether the program that opens a project is the one that it was begun with, as far as that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiotune import events
from aiotune.errors import SpaceChanged

if TYPE_CHECKING:
    from aiotune._values import Value
    from aiotune.oracles._oracle import Oracle

__all__ = ("begun", "check_search")


def begun(oracle: Oracle, seed: int, *, asks_searcher: bool) -> events.SearchStarted:
    """Return the event of a search's beginning.

    Args:
        oracle: Whose search.
        seed: The project's.
        asks_searcher: Whether its searcher proposes, and not the oracle itself. An attribute ``settings``
            of the searcher is a dict of what a project cannot go on with if it is changed.
    """
    settings: Any = getattr(oracle.searcher, "settings", None) if asks_searcher else None
    kept = settings if isinstance(settings, dict) else {}
    return events.SearchStarted(
        oracle=type(oracle).__name__,
        objective=oracle.objective.to_dicts(),
        seed=seed,
        max_trials=oracle.max_trials,
        searcher=type(oracle.searcher).__name__ if asks_searcher else "",
        searcher_settings={str(k): v for k, v in kept.items() if isinstance(v, (int, float, str))},
    )


def check_search(before: events.SearchStarted | None, now: events.SearchStarted) -> None:
    """Refuse to continue a project, if it was searched before, with another objective or algorithm.

    Raises:
        SpaceChanged: They differ.
    """
    if before is None:
        return
    compared: list[tuple[str, Value, Value]] = [
        ("the objective", _listed(before.objective), _listed(now.objective)),
        ("the oracle", before.oracle, now.oracle),
    ]
    if before.searcher and now.searcher:  # an older version did not keep it
        compared.append(("the searcher", before.searcher, now.searcher))
        compared += [
            (f"{now.searcher}'s {name}", before.searcher_settings[name], new)
            for name, new in now.searcher_settings.items()
            if name in before.searcher_settings
        ]
    for what, old, new in compared:
        if old != new:
            raise SpaceChanged(
                f"This project was searched with {what} {old}; this program says {new}.",
                hint="Use another project_name, or pass overwrite=True to discard the project.",
                before=old,
                now=new,
            )


def _listed(members: Sequence[Mapping[str, str]]) -> str:
    return " and ".join(f"{member['name']!r} ({member['direction']})" for member in members)
