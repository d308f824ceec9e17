"""The journal of a project: facts appended, made durable, folded into state."""

from aiotune._layout import AttemptPaths, Layout
from aiotune.store._base import Store
from aiotune.store._file import FileStore, open_project, read_events
from aiotune.store._memory import MemoryStore
from aiotune.store._space import DiskPause

__all__ = (
    "AttemptPaths",
    "DiskPause",
    "FileStore",
    "Layout",
    "MemoryStore",
    "Store",
    "open_project",
    "read_events",
)
