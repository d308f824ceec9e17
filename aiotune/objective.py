"""What is optimised, and in which direction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from aiotune._printable import shown
from aiotune.errors import ConfigurationError, UnknownDirection, WrongType

__all__ = (
    "DEFAULT_OBJECTIVE_NAME",
    "DefaultObjective",
    "MultiObjective",
    "Objective",
    "create_objective",
    "infer_metric_direction",
    "objective_from_dicts",
)

DEFAULT_OBJECTIVE_NAME = "default_objective"
_DIRECTIONS = ("min", "max")
_LONGEST = 1000
"""Characters of a metric's name."""


class Objective:
    """A metric and whether less or more of it is better.

    Args:
        name: The metric's name, e.g. ``"val_loss"``.
        direction: ``"min"`` or ``"max"``.

    Raises:
        ConfigurationError: The direction is neither, or the name empty or too long.
        WrongType: The name is not text; that is a ``TypeError``.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str, direction: str) -> None:
        _check_name(name)
        if not isinstance(direction, str) or direction not in _DIRECTIONS:
            meant = f" Write Objective({direction!r}, {name!r})." if name in _DIRECTIONS else ""
            raise ConfigurationError(
                f"The direction of the objective {shown(name)} must be 'min' or 'max', but is "
                f"{shown(direction)}.{meant}"
            )
        self.name = name
        self.direction = direction

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that a result must hold."""
        return (self.name,)

    def has_value(self, logs: Mapping[str, Any]) -> bool:
        """Whether the metrics hold the objective."""
        return self.name in logs

    def get_value(self, logs: Mapping[str, Any]) -> float:
        """Return the objective among metrics."""
        return float(logs[self.name])

    def better_than(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``; never if one of them is NaN."""
        return a < b if self.direction == "min" else a > b

    def to_dicts(self) -> list[dict[str, str]]:
        """Return the objective as data, one dict a member."""
        return [{"name": self.name, "direction": self.direction}]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objective) and other.to_dicts() == self.to_dicts()

    def __repr__(self) -> str:
        return f'Objective(name="{self.name}", direction="{self.direction}")'


class DefaultObjective(Objective):
    """Stands where no objective is named: a trial's single number, to be minimised."""

    def __init__(self) -> None:
        super().__init__(DEFAULT_OBJECTIVE_NAME, "min")


class MultiObjective(Objective):
    """Several objectives, added up: those to be minimised less those to be maximised.

    Args:
        objectives: The members, unweighted. One that has members itself stands for these.

    Raises:
        ConfigurationError: There are none, or two of them are of one metric.
        WrongType: One is not an :class:`Objective`; that is a ``TypeError``.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__("multi_objective", "min")
        _check_members(objectives)
        # What is stored lists metrics, and a result must hold metrics: a sum within a sum is the same sum.
        self.objectives: tuple[Objective, ...] = tuple(
            member
            for objective in objectives
            for member in (
                objective.objectives if isinstance(objective, MultiObjective) else (objective,)
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The members' metrics."""
        return tuple(objective.name for objective in self.objectives)

    def has_value(self, logs: Mapping[str, Any]) -> bool:
        """Whether the metrics hold every member."""
        return all(objective.has_value(logs) for objective in self.objectives)

    def get_value(self, logs: Mapping[str, Any]) -> float:
        """Return the sum."""
        return sum(
            objective.get_value(logs) * (1 if objective.direction == "min" else -1)
            for objective in self.objectives
        )

    def to_dicts(self) -> list[dict[str, str]]:
        """Return the members as data, ordered by name."""
        return sorted(
            (d for objective in self.objectives for d in objective.to_dicts()),
            key=lambda d: d["name"],
        )

    def __repr__(self) -> str:
        return f'MultiObjective(name="multi_objective", direction="min"): {list(self.objectives)}'


def create_objective(objective: Any) -> Objective:
    """Return the objective for what a user passed.

    Args:
        objective: ``None`` (a single number, minimised), a metric's name whose
            direction is known, an :class:`Objective`, or a list of these.

    Raises:
        UnknownDirection: A name does not tell its direction.
        ConfigurationError: It is an empty list or name, or names a metric twice.
        WrongType: It is something else; that is a ``TypeError``.
    """
    match objective:
        case None:
            return DefaultObjective()
        case MultiObjective(objectives=(only,)):
            # Stored, the two are the same, and one to be maximised would be minimised under the other.
            return only
        case Objective():
            return objective
        case str():
            return _by_name(objective)
        case list() | tuple() if objective:
            members = [create_objective(member) for member in objective]
            return MultiObjective(members) if len(members) > 1 else members[0]
        case list() | tuple():
            raise ConfigurationError(
                "`objective` not understood: it is an empty list. Name at least one metric, or leave the objective out if "
                "trials return a single number."
            )
        case _:
            raise WrongType(
                "`objective` not understood, expected a metric's name, an Objective or a list of "
                f"these, but received {shown(objective)} of type {type(objective).__name__}."
            )


def _by_name(name: str) -> Objective:
    _check_name(name)
    direction = infer_metric_direction(name)
    if direction is None:
        quoted = shown(name)
        raise UnknownDirection(
            f"Could not infer optimization direction: that of {quoted} is unknown.",
            hint=f"Write Objective({quoted}, 'max') or Objective({quoted}, 'min').",
        )
    return Objective(name, direction)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise WrongType(
            f"`objective` must be the name of a metric, but is {shown(name)} of type {type(name).__name__}."
        )
    if not name:
        raise ConfigurationError("`objective` is an empty text. Write the name of a metric.")
    if len(name) > _LONGEST:
        raise ConfigurationError(
            f"The name {shown(name, 40)} of a metric has {len(name):,} characters, and {_LONGEST:,} are "
            "allowed. Choose a shorter one."
        )


def _check_members(members: Sequence[Any]) -> None:
    wrong = [member for member in members if not isinstance(member, Objective)]
    if wrong:
        raise WrongType(
            f"A MultiObjective consists of Objectives, but {shown(wrong[0])} of type "
            f"{type(wrong[0]).__name__} is none. Write Objective(name, 'min') or Objective(name, 'max')."
        )
    if not members:
        raise ConfigurationError(
            "A MultiObjective was given no objectives, so all trials would be equally good. Name at least one."
        )
    names = [name for member in members for name in member.names]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigurationError(
            f"The metric {shown(twice[0])} is in the objective twice. Name each metric once."
        )


def objective_from_dicts(members: Sequence[Mapping[str, str]]) -> Objective:
    """Rebuild an objective from :meth:`Objective.to_dicts`."""
    objectives = [Objective(member["name"], member["direction"]) for member in members]
    return objectives[0] if len(objectives) == 1 else MultiObjective(objectives)


_MIN = frozenset(
    """loss crossentropy ce bce mse mae mape msle rmse mean_squared_error mean_absolute_error
    mean_absolute_percentage_error mean_squared_logarithmic_error root_mean_squared_error kld
    kl_divergence kullback_leibler_divergence poisson logcosh log_cosh huber hinge squared_hinge
    categorical_hinge binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy
    binary_focal_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy
    mean_relative_error log_cosh_error false_positives false_negatives ctc dice tversky circle error
    perplexity""".split()
)
_MAX = frozenset(
    """acc accuracy binary_accuracy categorical_accuracy sparse_categorical_accuracy
    top_k_categorical_accuracy sparse_top_k_categorical_accuracy true_positives true_negatives
    precision recall auc f1 f1_score fbeta_score f_beta_score r2 r2_score cosine_similarity pearson_correlation
    concordance_correlation iou io_u binary_iou binary_io_u mean_iou mean_io_u one_hot_iou
    one_hot_io_u one_hot_mean_iou one_hot_mean_io_u sensitivity_at_specificity
    specificity_at_sensitivity precision_at_recall recall_at_precision""".split()
)
_TOP_K = re.compile(r"^(sparse_)?top_\d+_(categorical_)?(accuracy|acc)$")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def infer_metric_direction(metric: Any) -> str | None:
    """Return ``"min"`` or ``"max"`` for a metric of Keras, ``None`` for an unknown one.

    Args:
        metric: A name, with or without ``val_`` and ``weighted_``, in snake or
            camel case; or a metric or loss object, or a function, by its name.
    """
    names = [metric] if isinstance(metric, str) else _names_of(metric)
    return next((d for name in names if (d := _direction_of(name)) is not None), None)


@lru_cache(maxsize=1024)
def _direction_of(name: str) -> str | None:
    name = _WORD_START.sub("_", name).lower().removeprefix("val_").removeprefix("weighted_")
    # Keras numbers the second metric object of a kind: auc_1. A model with
    # several outputs puts their names first: digit_loss, digit_accuracy.
    for candidate in (name, re.sub(r"_\d+$", "", name)):
        if candidate in _MIN or candidate.endswith("_loss"):
            return "min"
        if candidate in _MAX or candidate.endswith("_accuracy") or _TOP_K.match(candidate):
            return "max"
    return None


def _names_of(metric: Any) -> list[str]:
    """Return an object's own name, which its user may have chosen, and that of its class."""
    names = (getattr(metric, "name", None), getattr(metric, "__name__", type(metric).__name__))
    return [name for name in names if isinstance(name, str)]
