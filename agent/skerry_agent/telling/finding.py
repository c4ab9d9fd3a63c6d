"""What a check of the device saw."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw.

    Attributes:
        name: What was looked at.
        level: How bad it is.
        text: What was seen.
        fix: What to do about it; empty if it is well.
    """

    name: str
    level: Level
    text: str
    fix: str = ""
