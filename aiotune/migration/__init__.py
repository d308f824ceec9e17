"""Projects that KerasTuner has left on disk, as projects of aiotune."""

from aiotune.migration._import import Imported, import_keras_tuner
from aiotune.migration._tuner import from_keras_tuner

__all__ = ("Imported", "from_keras_tuner", "import_keras_tuner")
