"""One thing that a look at a project has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ("Finding", "Weight")


class Weight(StrEnum):
    """How much a finding matters."""

    NOTE = "note"
    """Nothing is wrong; good to know."""
    FAULT = "fault"
    """Something is lost, damaged or in the way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing.

    Attributes:
        about: Which part of a project: ``"journal"``, ``"checkpoints"`` and so on.
        weight: Whether it is a fault.
        what: A sentence.
        remedy: What to do, as a sentence; empty if nothing has to be done.
        path: The file or folder, if it is about one.
        mended_by: What a repair does about it: ``"aside"`` moves the file away, ``"private"``
            takes rights from others, ``"end"`` ends processes, ``"journal"`` writes the journal
            anew; empty: nothing.
    """

    about: str
    weight: Weight
    what: str
    remedy: str = ""
    path: Path | None = None
    mended_by: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong."""
        return self.weight is Weight.FAULT

    def line(self) -> str:
        """Return it as one line for people."""
        return " ".join(filter(None, (f"{self.weight:<5}  {self.about}:", self.what, self.remedy)))

    def to_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        path = None if self.path is None else str(self.path)
        return {**asdict(self), "weight": str(self.weight), "path": path}
