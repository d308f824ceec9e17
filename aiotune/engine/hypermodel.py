"""Models with holes."""

from aiotune.hypermodel import HyperModel

__all__ = ("HyperModel",)
