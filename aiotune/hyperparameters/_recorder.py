"""``HyperParameters``: what a model-building function asks, and what it asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aiotune._values import Value
from aiotune.hyperparameters._codec import deserialize, serialize
from aiotune.hyperparameters._conditions import Parent
from aiotune.hyperparameters._kinds import Boolean, Choice, Fixed, HyperParameter
from aiotune.hyperparameters._numeric import Float, Int

__all__ = ("HyperParameters",)


class HyperParameters:
    """A search space and one configuration of it, grown by asking.

    Asking for a hyperparameter registers it, if its name and conditions are
    new, and returns its value; ``None`` where its conditions do not hold.

    Attributes:
        space: All hyperparameters seen, in order; parents before children.
        values: Values of the active ones, by full name.
        unseen: Gives the value of a hyperparameter that is new, active and not
            among ``values``; ``None`` gives it its default.
        active_scopes: Condition stacks that held when they were entered.
        inactive_scopes: Condition stacks that did not.
    """

    __slots__ = (
        "_conditions",
        "_known",
        "_names",
        "active_scopes",
        "inactive_scopes",
        "space",
        "unseen",
        "values",
    )

    def __init__(self) -> None:
        self.space: list[HyperParameter] = []
        self.values: dict[str, Value] = {}
        self.unseen: Callable[[HyperParameter], Value] | None = None
        self.active_scopes: list[tuple[Parent, ...]] = []
        self.inactive_scopes: list[tuple[Parent, ...]] = []
        self._known: dict[tuple[str, tuple[Parent, ...]], HyperParameter] = {}
        self._names: list[str] = []
        self._conditions: list[Parent] = []

    # ── asking ─────────────────────────────────────────────────────────────

    def Choice(  # noqa: N802 - KerasTuner's name
        self,
        name: str,
        values: Iterable[Value],
        ordered: bool | None = None,
        default: Value | None = None,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] | None = None,
    ) -> Any:
        """Return one of several values; see :class:`~aiotune.hyperparameters.Choice`."""
        with self._parent_scope(parent_name, parent_values):
            return self._ask(
                name, lambda n, c: Choice(n, values, ordered=ordered, default=default, conditions=c)
            )

    def Int(  # noqa: N802
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] | None = None,
    ) -> Any:
        """Return a whole number; see :class:`~aiotune.hyperparameters.Int`."""
        with self._parent_scope(parent_name, parent_values):
            return self._ask(
                name, lambda n, c: Int(n, min_value, max_value, step, sampling, default, c)
            )

    def Float(  # noqa: N802
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] | None = None,
    ) -> Any:
        """Return a number; see :class:`~aiotune.hyperparameters.Float`."""
        with self._parent_scope(parent_name, parent_values):
            return self._ask(
                name, lambda n, c: Float(n, min_value, max_value, step, sampling, default, c)
            )

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] | None = None,
    ) -> Any:
        """Return ``True`` or ``False``."""
        with self._parent_scope(parent_name, parent_values):
            return self._ask(name, lambda n, c: Boolean(n, default, c))

    def Fixed(  # noqa: N802
        self,
        name: str,
        value: Value,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] | None = None,
    ) -> Any:
        """Return a constant, which is listed with the others."""
        with self._parent_scope(parent_name, parent_values):
            return self._ask(name, lambda n, c: Fixed(n, value, c))

    def _ask(
        self, name: str, make: Callable[[str, tuple[Parent, ...]], HyperParameter]
    ) -> Value | None:
        full = self._full_name(name)
        conditions = tuple(self._conditions)
        hp = self._known.get((full, conditions))
        if hp is None:
            if any(condition.name == full for condition in conditions):
                raise ValueError(
                    f"The hyperparameter {full!r} cannot have the same name as its parent. Rename one."
                )
            return self._register(make(full, conditions))
        return self.values.get(full) if self._holds(hp.conditions) else None

    def _register(self, hp: HyperParameter) -> Value | None:
        self.space.append(hp)
        self._known[hp.identity] = hp
        if not self._holds(hp.conditions):
            return None
        if hp.name not in self.values:
            self.values[hp.name] = hp.default if self.unseen is None else self.unseen(hp)
        return self.values[hp.name]

    # ── scopes ─────────────────────────────────────────────────────────────

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Prefix names: ``Int("units")`` in ``name_scope("a")`` is ``"a/units"``."""
        self._names.append(str(name))
        try:
            yield
        finally:
            self._names.pop()

    @contextmanager
    def conditional_scope(
        self, parent_name: str, parent_values: Value | Sequence[Value]
    ) -> Iterator[None]:
        """Make what is asked for within active only while a parent has one of some values.

        The body always runs. Scopes nest: all their conditions must hold.

        Raises:
            ValueError: The parent has not been asked for under the same conditions.
        """
        full = self._full_name(parent_name)
        known = any(
            name == full and set(conditions) <= set(self._conditions)
            for name, conditions in self._known
        )
        if not known:
            raise ValueError(
                f"The parent {full!r} of a conditional scope is not defined here. Ask for it before "
                "the scope, under the same conditions."
            )
        self._conditions.append(Parent(full, parent_values))
        try:
            stack = tuple(self._conditions)
            seen = self.active_scopes if self._holds(stack) else self.inactive_scopes
            if stack not in seen:
                seen.append(stack)
            yield
        finally:
            self._conditions.pop()

    @contextmanager
    def _parent_scope(
        self, parent_name: str | None, parent_values: Value | Sequence[Value] | None
    ) -> Iterator[None]:
        if not parent_name:
            yield
            return
        with self.conditional_scope(parent_name, parent_values):  # type: ignore[arg-type]
            yield

    def _full_name(self, name: str) -> str:
        return "/".join([*self._names, str(name)]) if self._names else str(name)

    def _holds(self, conditions: tuple[Parent, ...]) -> bool:
        return not conditions or all(c.is_active(self.values) for c in conditions)

    # ── reading ────────────────────────────────────────────────────────────

    def is_active(self, hyperparameter: HyperParameter | str) -> bool:
        """Whether a hyperparameter's conditions hold; a name, if any of that name is active."""
        if isinstance(hyperparameter, HyperParameter):
            return self._holds(hyperparameter.conditions)
        name = str(hyperparameter)
        return any(hp.name == name and self._holds(hp.conditions) for hp in self.space)

    def get(self, name: str) -> Any:
        """Return a value.

        Raises:
            ValueError: The hyperparameter is known and not active.
            KeyError: There is none of that name.
        """
        full = self._full_name(name)
        if full in self.values:
            return self.values[full]
        if any(hp.name == full for hp in self.space):
            raise ValueError(f"{full} is currently inactive.")
        raise KeyError(f"{full} does not exist. Known: {sorted({hp.name for hp in self.space})}.")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        try:
            self.get(str(name))
        except (KeyError, ValueError):
            return False
        return True

    def __repr__(self) -> str:
        return f"HyperParameters({len(self.space)} in the space, values={self.values!r})"

    # ── whole containers ───────────────────────────────────────────────────

    def add(self, entries: Iterable[HyperParameter]) -> list[HyperParameter]:
        """Register entries whose name and conditions are new, without valuing them; return these."""
        new = []
        for hp in entries:
            if hp.identity not in self._known:
                self._known[hp.identity] = hp
                self.space.append(hp)
                new.append(hp)
        return new

    def known(self, hp: HyperParameter) -> HyperParameter | None:
        """Return the registered hyperparameter with the same name and conditions, if any."""
        return self._known.get(hp.identity)

    def with_values(self, values: Mapping[str, Value]) -> HyperParameters:
        """Return a container of the same entries that holds exactly these values."""
        made = HyperParameters()
        made.space = self.space.copy()
        made._known = self._known.copy()
        made.values = dict(values)
        made.unseen = self.unseen
        return made

    def copy(self) -> HyperParameters:
        """Return an independent container with the same entries and values."""
        return self.with_values(self.values)

    def merge(
        self, other: HyperParameters | Iterable[HyperParameter], overwrite: bool = True
    ) -> None:
        """Register another container's entries; its values are not taken, only defaults.

        Args:
            other: A container, or entries.
            overwrite: Whether an entry with the name and conditions of a known
                one replaces it and resets its value to the default.
        """
        entries = other.space if isinstance(other, HyperParameters) else list(other)
        for hp in entries:
            known = self._known.get(hp.identity)
            if known is None:
                self.space.append(hp)
            elif overwrite:
                self.space[self.space.index(known)] = hp
            else:
                continue
            self._known[hp.identity] = hp
            if self._holds(hp.conditions):
                self.values[hp.name] = hp.default

    def ensure_active_values(self) -> None:
        """Give active hyperparameters without a value their default; drop the values of inactive ones."""
        active = set()
        for hp in self.space:
            if self._holds(hp.conditions):
                active.add(hp.name)
                if hp.name not in self.values:
                    self.values[hp.name] = hp.default if self.unseen is None else self.unseen(hp)
            elif hp.name not in active:
                self.values.pop(hp.name, None)

    def get_config(self) -> dict[str, Any]:
        """Return entries and values as data."""
        return {"space": [serialize(hp) for hp in self.space], "values": dict(self.values)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> HyperParameters:
        """Rebuild from :meth:`get_config`."""
        made = cls()
        made.add(deserialize(entry) for entry in config["space"])
        made.values = dict(config["values"])
        return made
