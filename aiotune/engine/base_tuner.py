"""What all tuners have in common."""

from aiotune.base_tuner import BaseTuner

__all__ = ("BaseTuner",)
