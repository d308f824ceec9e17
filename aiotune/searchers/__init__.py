"""Search algorithms: pure functions of the history to the next proposal."""

from aiotune.searchers._base import (
    Exhausted,
    History,
    Proposal,
    Searcher,
    SearcherDecision,
    Tried,
    Wait,
)

__all__ = (
    "Exhausted",
    "History",
    "Proposal",
    "Searcher",
    "SearcherDecision",
    "Tried",
    "Wait",
)
