"""What the arguments of a hyperparameter must be, and the sentences where they are not."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from aiotune._printable import shown
from aiotune._values import Value
from aiotune.errors import ConfigurationError, UnknownName, WrongType
from aiotune.hyperparameters._conditions import Parent

if TYPE_CHECKING:
    from aiotune.hyperparameters._kinds import HyperParameter

__all__ = (
    "INT64",
    "check_count",
    "check_kind",
    "check_own",
    "check_portable",
    "check_range",
    "checked_conditions",
    "checked_default",
    "checked_name",
    "checked_number",
    "checked_scale",
    "checked_whole",
    "unknown",
)

INT64 = range(-(2**63), 2**63)
"""The whole numbers that a frame between processes and a record can carry."""

_SCALES = ("linear", "log", "reverse_log")
_LONGEST_NAME = 1000
_LONGEST_TEXT = 10_000
"""Characters; a space goes to a worker with each trial, and a frame holds a mebibyte."""
_MOST_STEPS = 1_000_000
"""Values of a stepped range; algorithms list them."""
_N = TypeVar("_N", int, float)
_EXAMPLES = {
    "Boolean": "hp.Boolean('dropout')",
    "Choice": "hp.Choice('optimizer', ['adam', 'sgd'])",
    "Fixed": "hp.Fixed('depth', 3)",
    "Float": "hp.Float('rate', 0.1, 0.5)",
    "Int": "hp.Int('units', 32, 512)",
}


def checked_name(kind: str, name: Any) -> str:
    """Return a name; a whole number, as of layers that are counted, becomes its text.

    Args:
        kind: Which kind of hyperparameter it is of; empty: it is not known yet.
        name: The name.

    Raises:
        WrongType: It is no text.
        ConfigurationError: It is empty, too long, or cannot be written down.
    """
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    example = _EXAMPLES.get(kind, _EXAMPLES["Int"])
    if not isinstance(name, str):
        raise WrongType(
            f"The name of {_a(kind)} must be text, but is {shown(name)} of type {type(name).__name__}. "
            f"The name comes first: {example}."
        )
    if not name:
        raise ConfigurationError(
            f"The name of {_a(kind)} is empty. Give it a name, as in {example}."
        )
    if len(name) > _LONGEST_NAME:
        raise ConfigurationError(
            f"The name {shown(name, 40)} of {_a(kind)} has {len(name):,} characters, and {_LONGEST_NAME:,} "
            "are allowed. Choose a shorter one."
        )
    _check_unicode(f"The name {shown(name)} of {_a(kind)}", name)
    return str(name)


def checked_conditions(who: str, conditions: Any) -> tuple[Parent, ...]:
    """Return conditions as a tuple.

    Raises:
        WrongType: They are no list of conditions.
    """
    try:
        listed = tuple(conditions or ())
    except TypeError:
        listed = (conditions,)
    wrong = [condition for condition in listed if not isinstance(condition, Parent)]
    if wrong:
        raise WrongType(
            f"conditions of {who} must be a list of Parent objects, but there is {shown(wrong[0])} of "
            f"type {type(wrong[0]).__name__}. Write [Parent('name', ['value'])], or use "
            "hp.conditional_scope()."
        )
    return listed


def checked_number(who: str, what: str, value: Any) -> float:
    """Return a finite number.

    Raises:
        WrongType: It is no number.
        ConfigurationError: It is infinite, NaN or too large for a float.
    """
    number = None if isinstance(value, (str, bytes, bool)) else _as_float(who, what, value)
    if number is None:
        quoted = isinstance(value, (str, bytes)) and _reads_as_number(value)
        raise WrongType(
            f"{what} must be a number, but is {shown(value)} of type {type(value).__name__} for {who}. "
            f"{'Write a number, without quotes.' if quoted else 'Write a number.'}"
        )
    if not math.isfinite(number):
        raise ConfigurationError(
            f"{what} must be finite, but is {number} for {who}. Use a finite number."
        )
    return number


def _as_float(who: str, what: str, value: Any) -> float | None:
    try:
        return float(value)
    except OverflowError:
        raise ConfigurationError(
            f"{what} {shown(value, 40)} of {who} is too large for a float. Use a finite number below "
            "1.8e308."
        ) from None
    except (TypeError, ValueError):
        return None


def _reads_as_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def checked_whole(who: str, what: str, value: Any) -> int:
    """Return a whole number of at most 64 bits.

    Raises:
        WrongType: It is no number.
        ConfigurationError: It has a fraction, or too many bits.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    number = int(value) if is_whole else checked_number(who, what, value)
    if number != int(number):
        raise ConfigurationError(
            f"{what} must be an int, but is {shown(value)} for {who}. Use a Float for numbers between "
            "whole ones."
        )
    if int(number) not in INT64:
        raise ConfigurationError(
            f"{what} is {shown(value)} for {who}, which does not fit into 64 bits. Use a Float with "
            "sampling='log', or tune the exponent."
        )
    return int(number)


def checked_scale(who: str, sampling: Any) -> str:
    """Return the name of a scale.

    Raises:
        WrongType: It is no text.
        ConfigurationError: There is no scale of that name.
    """
    if sampling is None:
        return "linear"
    if isinstance(sampling, str) and sampling.lower() in _SCALES:
        return sampling.lower()
    error = ConfigurationError if isinstance(sampling, str) else WrongType
    raise error(
        f"`sampling` must be one of {', '.join(_SCALES)}, but is {shown(sampling)} for {who}."
    )


def check_range(who: str, low: float, high: float, step: float | None, scale: str) -> None:
    """Refuse bounds, a step and a scale that do not go together.

    Raises:
        ConfigurationError: They do not.
    """
    if low > high:
        raise ConfigurationError(
            f"min_value {low} is greater than the max_value {high} of {who}. Exchange them."
        )
    if not math.isfinite(high - low):
        raise ConfigurationError(
            f"The range from {low} to {high} of {who} is wider than the largest float. Narrow it, or tune "
            "an exponent."
        )
    if scale != "linear" and low <= 0:
        raise ConfigurationError(
            f"`sampling={scale!r}` does not support negative values or 0, but min_value is {low} for "
            f"{who}. Raise min_value, or sample linearly."
        )
    if scale != "linear" and not math.isfinite(high / low):
        raise ConfigurationError(
            f"The ratio of the bounds {low} and {high} of {who} is larger than the largest float, so no "
            "number between them could be drawn. Narrow the range, or tune an exponent."
        )
    if step is not None and scale == "linear" and step <= 0:
        raise ConfigurationError(
            f"`step` must be greater than 0, but is {step} for {who}. It is the distance of two values."
        )
    if step is not None and scale != "linear" and step <= 1:
        raise ConfigurationError(
            f"`sampling={scale!r}` expected step > 1, but it is {step} for {who}. It is the ratio of "
            "two neighbouring values."
        )


def check_count(who: str, step: float, count: float) -> None:
    """Refuse so many steps that they cannot be listed.

    Raises:
        ConfigurationError: There are too many.
    """
    if count > _MOST_STEPS:
        raise ConfigurationError(
            f"A step of {step} makes {count:.3g} values of {who}, and {_MOST_STEPS:,} are allowed. Leave "
            "the step out to draw any number of the range."
        )


def checked_default(
    who: str, given: Any, low: _N, high: _N, read: Callable[[str, str, Any], _N]
) -> _N:
    """Return the default of a range; ``low`` if none is given.

    Raises:
        ConfigurationError: It lies outside the range.
    """
    if given is None:
        return low
    default = read(who, "default", given)
    if not low <= default <= high:
        raise ConfigurationError(
            f"The default {default} of {who} lies outside its range from {low} to {high}. Choose one "
            "within it, or widen the range."
        )
    return default


def check_portable(whose: str, value: Value) -> None:
    """Refuse what JSON, UTF-8 or 64 bits cannot carry to a worker and back.

    Raises:
        ConfigurationError: They cannot carry it.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(
            f"{whose} the value {value}, which JSON cannot write. Use a finite number, or a name."
        )
    if isinstance(value, int) and value not in INT64:
        raise ConfigurationError(
            f"{whose} the value {shown(value)}, which does not fit into 64 bits. Use a float, or a name."
        )
    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT:
            raise ConfigurationError(
                f"{whose} a value of {len(value):,} characters, {shown(value, 40)}, and {_LONGEST_TEXT:,} "
                "are allowed. Use a short name, and look up in build() what it stands for."
            )
        _check_unicode(f"{whose} the value {shown(value)}, which", value)


def check_own(name: str) -> None:
    """Refuse a name that is reserved for what a searcher tells a trial.

    Raises:
        ConfigurationError: It is reserved.
    """
    if name.startswith("tuner/"):
        raise ConfigurationError(
            f"The name {shown(name)} is reserved for what the tuner itself gives a trial, such as epochs: "
            f"read it with hp.get({shown(name)}), and choose another name for what is to be tuned."
        )


def unknown(name: str, names: set[str]) -> UnknownName:
    """Return the error about a name that no hyperparameter has.

    Args:
        name: The full name that was asked for.
        names: Those that there are.
    """
    said = f"The hyperparameter {shown(name)} does not exist."
    similar = get_close_matches(name, names, n=3)
    if similar:
        return UnknownName(said, hint=f"Similar names are {', '.join(map(shown, similar))}.")
    return UnknownName(
        said, hint=f"There are {shown(sorted(names), 300)}; ask for it before it is read."
    )


def _check_unicode(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{what} holds half of a surrogate pair, which no file can hold. Use whole Unicode "
            "characters."
        ) from None


def _a(kind: str) -> str:
    if not kind:
        return "a hyperparameter"
    return f"an {kind}" if kind == "Int" else f"a {kind}"


def check_kind(hp: HyperParameter, kind: type[HyperParameter], value: Value) -> Value:
    """Return a value that is asked for, if it can be one of the kind that is asked for.

    Who gives a space in advance narrows it so: ``Fixed("units", 64)`` where the model
    asks ``Int("units", ...)``. What the model cannot use, as text for a number, is a slip.

    Args:
        hp: What was registered first under the name.
        kind: What is asked for now.
        value: The value of ``hp``.

    Raises:
        ConfigurationError: The value cannot be one of ``kind``.
    """
    wanted = _NUMBERS.get(kind.kind)
    if type(hp) is kind or wanted is None or isinstance(value, wanted):
        return value
    raise ConfigurationError(
        f"The hyperparameter {shown(hp.name)} is {hp.kind} already, here {shown(value)}, and is asked for "
        f"as {kind.kind} now, under the same conditions. Rename one of them; or choose another "
        "project_name, if the project is older than this program."
    )


_NUMBERS: dict[str, tuple[type, ...]] = {"Int": (int,), "Float": (int, float), "Boolean": (int,)}
"""The types of the values of a kind; ``bool`` is an ``int``, and 0 and 1 do for a Boolean."""
