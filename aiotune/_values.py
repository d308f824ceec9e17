"""The kinds of value that a hyperparameter can take."""

from __future__ import annotations

from collections.abc import Mapping

Value = int | float | str | bool
"""One value of one hyperparameter."""

Values = Mapping[str, Value]
"""The values of one configuration, by full hyperparameter name; active ones only."""
