"""The kinds of value that a hyperparameter can take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Value = int | float | str | bool
"""One value of one hyperparameter."""

Values = Mapping[str, Value]
"""The values of one configuration, by full hyperparameter name; active ones only."""


class FrozenValues(Mapping[str, Value]):
    """The values of a configuration that does not change any more, in a third of a dict's memory.

    Args:
        places: Where in ``row`` each name's value is; one table serves all configurations
            with the same names.
        row: The values.
    """

    __slots__ = ("_places", "_row")

    def __init__(self, places: Mapping[str, int], row: tuple[Value, ...]) -> None:
        self._places, self._row = places, row

    def __getitem__(self, name: str) -> Value:
        return self._row[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._row)

    def __repr__(self) -> str:
        return repr(dict(self))


class ValueTable:
    """Freezes configurations, of which thousands have the same names."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[tuple[str, ...], dict[str, int]] = {}

    def frozen(self, values: Values) -> FrozenValues:
        """Return the same values in a form that never changes."""
        names = tuple(values)
        places = self._places.get(names)
        if places is None:
            places = self._places[names] = {name: place for place, name in enumerate(names)}
        return FrozenValues(places, tuple(values.values()))
