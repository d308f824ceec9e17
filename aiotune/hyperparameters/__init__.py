"""The search space: what users declare, and how algorithms see it."""

from aiotune.hyperparameters._codec import deserialize, serialize
from aiotune.hyperparameters._conditions import Parent
from aiotune.hyperparameters._discovery import discover
from aiotune.hyperparameters._draw import draw, draw_values
from aiotune.hyperparameters._kinds import Boolean, Choice, Fixed, HyperParameter
from aiotune.hyperparameters._numeric import Float, Int
from aiotune.hyperparameters._recorder import HyperParameters
from aiotune.hyperparameters._space import Space

__all__ = (
    "Boolean",
    "Choice",
    "Fixed",
    "Float",
    "HyperParameter",
    "HyperParameters",
    "Int",
    "Parent",
    "Space",
    "deserialize",
    "discover",
    "draw",
    "draw_values",
    "serialize",
)
