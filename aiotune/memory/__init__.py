"""How much memory a model needs: arithmetic over sizes and observed peaks. Pure; no back end."""

from aiotune.memory._backends import Habits, habits
from aiotune.memory._calibration import Calibration, CalibrationKey
from aiotune.memory._estimate import (
    COLD_RATIO,
    FLOOR,
    Estimate,
    activation_bytes,
    estimate,
    explain,
    host_bytes,
    state_bytes,
    training_bytes,
    transient_factor,
)
from aiotune.memory._ladder import MOST_FOREIGN, MOST_TRIES, Rung, is_counted, next_rung
from aiotune.memory._size import LayerSize, MemoryLimit, MemoryPeak, ModelSize
from aiotune.memory._user import decode_calibration, encode_calibration

__all__ = (
    "COLD_RATIO",
    "FLOOR",
    "MOST_FOREIGN",
    "MOST_TRIES",
    "Calibration",
    "CalibrationKey",
    "Estimate",
    "Habits",
    "LayerSize",
    "MemoryLimit",
    "MemoryPeak",
    "ModelSize",
    "Rung",
    "activation_bytes",
    "decode_calibration",
    "encode_calibration",
    "estimate",
    "explain",
    "habits",
    "host_bytes",
    "is_counted",
    "next_rung",
    "state_bytes",
    "training_bytes",
    "transient_factor",
)
