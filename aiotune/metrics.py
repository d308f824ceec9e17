"""What a trial measured: values of metrics over steps and executions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from aiotune._arguments import check_whole
from aiotune._printable import shown
from aiotune.errors import ConfigurationError, WrongType
from aiotune.objective import infer_metric_direction

__all__ = (
    "MetricHistory",
    "MetricObservation",
    "MetricsTracker",
    "checked_report",
    "checked_value",
)


def checked_report(metrics: Any, step: Any) -> dict[str, float]:
    """Return the metrics that a program reports for a step as numbers.

    Raises:
        ConfigurationError: The step is no whole number >= 0.
        WrongType: They are no dict of numbers; that is a ``TypeError``.
    """
    check_whole("step", step, 0)
    if not isinstance(metrics, Mapping):
        raise WrongType(
            f"The metrics reported to the Oracle must be a dict, but are {shown(metrics)} of type "
            f"{type(metrics).__name__}. Report {{'val_loss': value}}, under the name of the objective."
        )
    return {str(name): checked_value(str(name), value) for name, value in metrics.items()}


def checked_value(name: str, value: Any) -> float:
    """Return a metric's value as a number.

    Raises:
        WrongType: It is not one; that is a ``TypeError``.
    """
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (OverflowError, TypeError, ValueError):
        pass  # told below, with those that are not tried
    raise WrongType(
        f"The metric {shown(name)} is {shown(value)} of type {type(value).__name__}. Report a number that "
        "fits into a float."
    )


class MetricObservation:
    """The values of a metric at one step, one for each execution."""

    __slots__ = ("step", "value")

    def __init__(self, value: float | Iterable[float], step: int) -> None:
        self.value = [float(v) for v in value] if isinstance(value, Iterable) else [float(value)]
        self.step = step

    def append(self, value: float) -> None:
        """Add another execution's value."""
        self.value.append(float(value))

    def mean(self) -> float:
        """Return the mean over executions."""
        return sum(self.value) / len(self.value)

    def get_config(self) -> dict[str, Any]:
        """Return the observation as data."""
        return {"value": list(self.value), "step": self.step}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MetricObservation) and other.get_config() == self.get_config()

    def __hash__(self) -> int:
        return hash(self.step)

    def __repr__(self) -> str:
        return f"MetricObservation(value={self.value}, step={self.step})"


class MetricHistory:
    """One metric's observations by step.

    Args:
        direction: ``"min"`` or ``"max"``.

    Raises:
        ConfigurationError: The direction is neither.
    """

    __slots__ = ("_observations", "direction")

    def __init__(self, direction: str = "min") -> None:
        if direction not in {"min", "max"}:
            raise ConfigurationError(
                f"`direction` should be one of 'min' and 'max', but is {shown(direction)}."
            )
        self.direction = direction
        self._observations: dict[int, MetricObservation] = {}

    def update(self, value: float, step: int) -> None:
        """Add a value; one at a known step is another execution's."""
        if step in self._observations:
            self._observations[step].append(value)
        else:
            self._observations[step] = MetricObservation(value, step)

    def get_history(self) -> list[MetricObservation]:
        """Return the observations in order of steps."""
        return [self._observations[step] for step in sorted(self._observations)]

    def get_best_value(self) -> float | None:
        """Return the best mean over steps; NaN only if there is nothing else, ``None`` if nothing."""
        means = [observation.mean() for observation in self._observations.values()]
        numbers = [mean for mean in means if not math.isnan(mean)]
        if numbers:
            return min(numbers) if self.direction == "min" else max(numbers)
        return math.nan if means else None

    def get_best_step(self) -> int | None:
        """Return the first step with the best mean."""
        best = self.get_best_value()
        if best is None:
            return None
        history = self.get_history()
        return next((o.step for o in history if o.mean() == best), history[0].step)

    def get_value(self, step: int) -> float | None:
        """Return the mean at a step, or ``None`` if nothing was observed there."""
        observation = self._observations.get(step)
        return None if observation is None else observation.mean()

    def get_last_value(self) -> float | None:
        """Return the mean at the last step."""
        return self._observations[max(self._observations)].mean() if self._observations else None

    def get_statistics(self) -> dict[str, float]:
        """Return min, max, mean, median, var and std of the steps' means, NaN left out."""
        numbers = [m for o in self._observations.values() if not math.isnan(m := o.mean())]
        if not numbers:
            return {}
        variance = statistics.pvariance(numbers)
        return {
            "min": min(numbers),
            "max": max(numbers),
            "mean": statistics.fmean(numbers),
            "median": statistics.median(numbers),
            "var": variance,
            "std": math.sqrt(variance),
        }

    def get_config(self) -> dict[str, Any]:
        """Return the history as data."""
        return {
            "direction": self.direction,
            "observations": [observation.get_config() for observation in self.get_history()],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricHistory:
        """Rebuild from :meth:`get_config`."""
        made = cls(config["direction"])
        for observation in config["observations"]:
            made._observations[observation["step"]] = MetricObservation(**observation)
        return made


class MetricsTracker:
    """All metrics of one trial, by name."""

    __slots__ = ("metrics",)

    def __init__(self) -> None:
        self.metrics: dict[str, MetricHistory] = {}

    def exists(self, name: str) -> bool:
        """Whether a metric is known."""
        return name in self.metrics

    def register(self, name: str, direction: str | None = None) -> None:
        """Make a metric known.

        Args:
            name: Its name.
            direction: Default inferred from the name, else ``"min"``.

        Raises:
            ConfigurationError: It is known already.
        """
        if name in self.metrics:
            raise ConfigurationError(
                f"The metric {shown(name)} already exists. Report its values with update()."
            )
        self.metrics[name] = MetricHistory(direction or infer_metric_direction(name) or "min")

    def update(self, name: str, value: float, step: int = 0) -> bool:
        """Add a value; return whether the best mean over executions became better by it.

        Raises:
            WrongType: The value is not a number; that is a ``TypeError``.
        """
        value = checked_value(name, value)
        if name not in self.metrics:
            self.register(name)
        history = self.metrics[name]
        before = history.get_best_value()
        history.update(value, step)
        after = history.get_best_value()
        if after is None or math.isnan(after):
            return False
        if before is None or math.isnan(before):
            return True
        return after < before if history.direction == "min" else after > before

    def get_history(self, name: str) -> list[MetricObservation]:
        """Return a metric's observations.

        Raises:
            ConfigurationError: No metric is known by that name; so of the methods below.
        """
        return self._of(name).get_history()

    def set_history(self, name: str, observations: Iterable[MetricObservation]) -> None:
        """Replace a metric's observations."""
        if name not in self.metrics:
            self.register(name)
        history = MetricHistory(self.metrics[name].direction)
        for observation in observations:
            for value in observation.value:
                history.update(value, observation.step)
        self.metrics[name] = history

    def get_best_value(self, name: str) -> float | None:
        """Return a metric's best value."""
        return self._of(name).get_best_value()

    def get_best_step(self, name: str) -> int | None:
        """Return the step of a metric's best value."""
        return self._of(name).get_best_step()

    def get_statistics(self, name: str) -> dict[str, float]:
        """Return a metric's statistics over steps."""
        return self._of(name).get_statistics()

    def get_last_value(self, name: str) -> float | None:
        """Return a metric's last value."""
        return self._of(name).get_last_value()

    def get_direction(self, name: str) -> str:
        """Return a metric's direction."""
        return self._of(name).direction

    def latest(self) -> dict[str, float]:
        """Return the last value of every metric."""
        last = {name: history.get_last_value() for name, history in self.metrics.items()}
        return {name: value for name, value in last.items() if value is not None}

    def at(self, step: int) -> dict[str, float]:
        """Return every metric at a step; the last value of one that was not observed there."""
        found = {}
        for name, history in self.metrics.items():
            value = history.get_value(step)
            value = history.get_last_value() if value is None else value
            if value is not None:
                found[name] = value
        return found

    def _of(self, name: str) -> MetricHistory:
        if name not in self.metrics:
            raise ConfigurationError(
                f"Unknown metric {shown(name)}; known: {shown(sorted(self.metrics), 200)}. Metrics become "
                "known by register() and update()."
            )
        return self.metrics[name]

    def get_config(self) -> dict[str, Any]:
        """Return all metrics as data."""
        return {"metrics": {name: history.get_config() for name, history in self.metrics.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricsTracker:
        """Rebuild from :meth:`get_config`."""
        made = cls()
        for name, history in config["metrics"].items():
            made.metrics[name] = MetricHistory.from_config(history)
        return made
