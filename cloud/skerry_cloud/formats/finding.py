"""What a look into a file came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_TENSORS = 200
"""Inputs or outputs that are kept of one file."""


class DamagedError(ValueError):
    """A file of a known format that does not keep to it; never leaves this package."""


class TooCostlyError(Exception):
    """Looking on would take more bytes or time than allowed; never leaves this package."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output that a file declares.

    Attributes:
        name: What the model calls it.
        dtype: Type of its elements, as NumPy spells it; empty where it is not declared.
        shape: Its dimensions, -1 for each that is open.
    """

    name: str
    dtype: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one file, or one member of an archive, is.

    Attributes:
        path: The file; a member of an archive follows after ``!/``.
        format: Name of the format, such as ``tflite``; ``docs/model-formats.md`` lists them.
        executes_code: Why loading it can execute code that it holds; empty if it cannot.
        inputs: What the model takes, where the format declares it.
        outputs: What it gives.
        facts: Producer, versions and whatever else it says of itself.
        needs: Files beside it, relative to its own folder, that it reads its weights from.
    """

    path: str
    format: str
    executes_code: str = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
