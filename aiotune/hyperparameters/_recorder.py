"""``HyperParameters``: what a model-building function asks, and what it asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aiotune._printable import shown
from aiotune._values import Value
from aiotune.errors import ConfigurationError
from aiotune.hyperparameters._checks import check_kind, check_own, checked_name, unknown
from aiotune.hyperparameters._codec import checked_entries, read_space, serialize
from aiotune.hyperparameters._conditions import Parent, hold
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
        unseen: Gives the value of a hyperparameter that is asked for, active and
            not among ``values``; ``None`` gives it its default. A worker sets it
            to draw what the search did not know of. Copies do not inherit it.
        active_scopes: Condition stacks that held when they were entered.
        inactive_scopes: Condition stacks that did not.
    """

    __slots__ = (
        "_conditions",
        "_known",
        "_names",
        "_shared",
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
        # Whether another container has the same list and table: thousands of trials do.
        self._shared = False
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
        """Return one of several values; see :class:`~aiotune.hyperparameters.Choice`.

        Raises:
            ConfigurationError: An argument is impossible, or the parent was not asked for before.
            WrongType: An argument is of a wrong type; it is a ``TypeError``.
        """
        with self._parent_scope(parent_name, parent_values):
            return self._ask(
                Choice,
                name,
                lambda n, c: Choice(n, values, ordered=ordered, default=default, conditions=c),
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
        """Return a whole number; see :class:`~aiotune.hyperparameters.Int`.

        Raises:
            ConfigurationError: An argument is impossible, or the parent was not asked for before.
            WrongType: An argument is of a wrong type; it is a ``TypeError``.
        """
        with self._parent_scope(parent_name, parent_values):
            return self._ask(
                Int, name, lambda n, c: Int(n, min_value, max_value, step, sampling, default, c)
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
        """Return a number; see :class:`~aiotune.hyperparameters.Float`.

        Raises:
            ConfigurationError: An argument is impossible, or the parent was not asked for before.
            WrongType: An argument is of a wrong type; it is a ``TypeError``.
        """
        with self._parent_scope(parent_name, parent_values):
            return self._ask(
                Float, name, lambda n, c: Float(n, min_value, max_value, step, sampling, default, c)
            )

    def Boolean(  # noqa: N802
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] | None = None,
    ) -> Any:
        """Return ``True`` or ``False``; see :class:`~aiotune.hyperparameters.Boolean`.

        Raises:
            ConfigurationError: An argument is impossible, or the parent was not asked for before.
            WrongType: An argument is of a wrong type; it is a ``TypeError``.
        """
        with self._parent_scope(parent_name, parent_values):
            return self._ask(Boolean, name, lambda n, c: Boolean(n, default, c))

    def Fixed(  # noqa: N802
        self,
        name: str,
        value: Value,
        parent_name: str | None = None,
        parent_values: Value | Sequence[Value] | None = None,
    ) -> Any:
        """Return a constant; see :class:`~aiotune.hyperparameters.Fixed`.

        Raises:
            ConfigurationError: An argument is impossible, or the parent was not asked for before.
            WrongType: An argument is of a wrong type; it is a ``TypeError``.
        """
        with self._parent_scope(parent_name, parent_values):
            return self._ask(Fixed, name, lambda n, c: Fixed(n, value, c))

    def _ask(
        self,
        kind: type[HyperParameter],
        name: str,
        make: Callable[[str, tuple[Parent, ...]], HyperParameter],
    ) -> Value | None:
        full = self._full_name(name)
        conditions = tuple(self._conditions)
        hp = self._known.get((full, conditions))
        if hp is None:
            check_own(full)
            if any(condition.name == full for condition in conditions):
                raise ConfigurationError(
                    f"The hyperparameter {full!r} cannot have the same name as its parent. Rename one "
                    "of them."
                )
            hp = make(full, conditions)
            self.add((hp,))
        if not hold(conditions, self.values):
            return None
        return check_kind(hp, kind, self._valued(hp))

    def _valued(self, hp: HyperParameter) -> Value:
        """Return the value of an active hyperparameter, after giving it one if it has none."""
        if hp.name not in self.values:
            self.values[hp.name] = hp.default if self.unseen is None else self.unseen(hp)
        return self.values[hp.name]

    # ── scopes ─────────────────────────────────────────────────────────────

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Prefix names: ``Int("units")`` in ``name_scope("a")`` is ``"a/units"``.

        Raises:
            ConfigurationError: The prefix is empty, too long, or cannot be written down.
            WrongType: It is not text; that is a ``TypeError``.
        """
        self._names.append(checked_name("", name))
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

        Args:
            parent_name: A hyperparameter that was asked for before. If it is itself conditional,
                its conditions must hold as well.
            parent_values: One value or several.

        Raises:
            ConfigurationError: The parent was not asked for before, or no value of it is named.
            WrongType: A parent value is not an ``int``, ``float``, ``str`` or ``bool``; that is a
                ``TypeError``.
        """
        full = self._full_name(parent_name)
        outer = len(self._conditions)
        self._conditions += [*self._implied_by(full), Parent(full, parent_values)]
        try:
            stack = tuple(self._conditions)
            seen = self.active_scopes if hold(stack, self.values) else self.inactive_scopes
            if stack not in seen:
                seen.append(stack)
            yield
        finally:
            del self._conditions[outer:]

    def _implied_by(self, parent: str) -> list[Parent]:
        """Return the conditions of a parent that are not open: whatever depends on it needs them, too."""
        needed = [held for name, held in self._known if name == parent]
        if not needed:
            said = f"The parent {parent!r} of a conditional scope is not defined here."
            raise ConfigurationError(f"{said} Ask for it before the scope.")
        if len(needed) > 1:
            return []  # whichever of that name is active decides
        return [condition for condition in needed[0] if condition not in self._conditions]

    @contextmanager
    def _parent_scope(
        self, parent_name: str | None, parent_values: Value | Sequence[Value] | None
    ) -> Iterator[None]:
        if parent_name:
            with self.conditional_scope(parent_name, parent_values):  # type: ignore[arg-type]
                yield
            return
        if parent_values is not None:
            raise ConfigurationError(
                f"parent_values={shown(parent_values)} are values of no parent. Name it with "
                "parent_name=..., or leave parent_values out."
            )
        yield

    def _full_name(self, name: str) -> str:
        plain = name if type(name) is str and name else checked_name("", name)
        return "/".join([*self._names, plain]) if self._names else plain

    # ── reading ────────────────────────────────────────────────────────────

    def is_active(self, hyperparameter: HyperParameter | str) -> bool:
        """Whether a hyperparameter's conditions hold; a name, if any of that name is active."""
        if isinstance(hyperparameter, HyperParameter):
            return hold(hyperparameter.conditions, self.values)
        name = str(hyperparameter)
        return any(hp.name == name and hold(hp.conditions, self.values) for hp in self.space)

    def get(self, name: str) -> Any:
        """Return the value under a name, within the open name scopes.

        Raises:
            ConfigurationError: The hyperparameter is known and not active.
            UnknownName: There is none of that name; it is a ``KeyError``.
            WrongType: The name is not text; it is a ``TypeError``.
        """
        full = self._full_name(name)
        if full in self.values:
            return self.values[full]
        names = {hp.name for hp in self.space}
        if full in names:
            raise ConfigurationError(
                f"The hyperparameter {full!r} is currently inactive. Ask `hp.is_active({full!r})` before, "
                "or read it within its conditional scope."
            )
        raise unknown(full, names)

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
                self._own()
                self._known[hp.identity] = hp
                self.space.append(hp)
                new.append(hp)
        return new

    def known(self, hp: HyperParameter) -> HyperParameter | None:
        """Return the registered hyperparameter with the same name and conditions, if any."""
        return self._known.get(hp.identity)

    def with_values(self, values: Mapping[str, Value]) -> HyperParameters:
        """Return a container of the same entries that holds exactly these values.

        Scopes and :attr:`unseen` are not taken along. Cheap: entries are shared, and so is
        their list, until one of the two learns of another.
        """
        made = HyperParameters()
        made.space, made._known = self.space, self._known
        made._shared = self._shared = True
        made.values = dict(values)
        return made

    def _own(self) -> None:
        if self._shared:
            self.space, self._known = self.space.copy(), self._known.copy()
            self._shared = False

    def copy(self) -> HyperParameters:
        """Return an independent container with the same entries and values."""
        made = self.with_values(self.values)
        made._own()  # noqa: SLF001 - one of its own kind
        return made

    def merge(
        self, hps: HyperParameters | Iterable[HyperParameter], overwrite: bool = True
    ) -> None:
        """Register another container's entries; its values are not taken, only defaults.

        Args:
            hps: A container, or entries.
            overwrite: Whether an entry replaces the known one with its name and
                conditions, and an active one resets the value to its default.
                If not, known entries and existing values stay.

        Raises:
            WrongType: It is neither; that is a ``TypeError``.
        """
        for hp in checked_entries(hps):
            is_new = bool(self.add((hp,)))
            if overwrite and not is_new:
                self._own()
                self.space[self.space.index(self._known[hp.identity])] = hp
                self._known[hp.identity] = hp
            if (is_new or overwrite) and hold(hp.conditions, self.values):
                if overwrite:
                    self.values[hp.name] = hp.default
                self.values.setdefault(hp.name, hp.default)

    def ensure_active_values(self) -> None:
        """Give active hyperparameters without a value one, and drop the values of inactive ones.

        The value comes from :attr:`unseen`, or is the default: the same each
        time. Values under names that are not in the space stay.
        """
        # In space order, and each condition looked up among what is settled: an
        # inactive parent's old value must not make its children active, nor an
        # inactive namesake take the value of an active one.
        names = {hp.name for hp in self.space}
        settled = {name: value for name, value in self.values.items() if name not in names}
        for hp in self.space:
            if hp.name not in settled and hold(hp.conditions, settled):
                settled[hp.name] = self._valued(hp)
        self.values = settled

    def get_config(self) -> dict[str, Any]:
        """Return entries and values as data."""
        return {"space": [serialize(hp) for hp in self.space], "values": dict(self.values)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> HyperParameters:
        """Rebuild from :meth:`get_config`.

        Raises:
            ConfigurationError: It is in another form.
        """
        made = cls()
        entries, made.values = read_space(config)
        made.add(entries)
        return made
