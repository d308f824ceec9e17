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
from aiotune.searchers._bayesian import BayesianSearcher
from aiotune.searchers._grid import GridSearcher
from aiotune.searchers._history import FrozenHistory, values_key
from aiotune.searchers._hyperband import HyperbandSearcher
from aiotune.searchers._random import RandomSearcher

__all__ = (
    "BayesianSearcher",
    "Exhausted",
    "FrozenHistory",
    "GridSearcher",
    "History",
    "HyperbandSearcher",
    "Proposal",
    "RandomSearcher",
    "Searcher",
    "SearcherDecision",
    "Tried",
    "Wait",
    "values_key",
)
