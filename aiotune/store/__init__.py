"""The journal of a project: facts appended, made durable, folded into state."""

from aiotune.store._base import Store

__all__ = ("Store",)
