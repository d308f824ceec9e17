"""What was learned of memory, as the text of a user's file. Where it lies is not said here."""

from __future__ import annotations

from typing import Any

import msgspec

from aiotune.errors import ConfigurationError
from aiotune.memory._calibration import Calibration

__all__ = ("decode_calibration", "encode_calibration")


def encode_calibration(calibration: Calibration) -> bytes:
    """Return a calibration as JSON, indented, with a line feed at the end."""
    text = msgspec.json.encode(calibration.to_dicts())
    return msgspec.json.format(text, indent=1) + b"\n"


def decode_calibration(text: bytes) -> Calibration:
    """Return the calibration that a file holds.

    Raises:
        ConfigurationError: The file is cut, damaged, or written by a newer aiotune.
    """
    try:
        data: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"What was learned of memory cannot be read: {error}.",
            hint="Delete the file that it was kept in; it is learned anew.",
        ) from error
    return Calibration.from_dicts(data)
