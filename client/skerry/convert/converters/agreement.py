"""How far two models say the same, by arithmetic that needs nothing but Python.

The formulas stand in ``docs/howto/convert-a-model.md``; ``a`` is what the original says, ``b`` what
the converted model says.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["auto", "classification", "binary", "regression", "labels"]

SUM_TOLERANCE = 1e-2
"""How far the probabilities of one sample may be from 1 and still be taken for such."""


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be off: ``|b - a| <= absolute + relative * |a|``; both 0 or above."""

    absolute: float = 1e-3
    relative: float = 1e-2


@dataclass(frozen=True)
class Agreement:
    """How far two models agree on one output.

    Attributes:
        task: What the output was taken for.
        share: Share of samples on which they agree, 0 to 1.
        samples: How many there were.
        max_abs: Largest absolute difference of any number; infinite where one is not a number.
        max_rel: Largest difference relative to the original's, of numbers other than 0.
        r2: Coefficient of determination; 1 where all numbers are equal, None where all of the
            original's are the same and some differ, and for labels.
    """

    task: str
    share: float
    samples: int
    max_abs: float = 0.0
    max_rel: float = 0.0
    r2: float | None = None


def compare(
    a: Sequence[Sequence[Any]],
    b: Sequence[Sequence[Any]],
    task: Task = "auto",
    tolerance: Tolerance | None = None,
) -> Agreement:
    """Return how far two models agree on an output.

    Args:
        a: Of the original: one row of numbers, or of labels, for each sample, at least one.
        b: Of the converted model: as many rows, each as long.
        task: What the output means; ``auto`` looks at ``a``.
        tolerance: Of ``regression``.

    Raises:
        ValueError: The two differ in the number or length of their rows, or are empty.
    """
    if not a or not a[0]:
        raise ValueError("there is nothing to compare")
    if len(a) != len(b):
        raise ValueError(f"{len(a)} samples became {len(b)}")
    if sizes := {(len(x), len(y)) for x, y in zip(a, b, strict=True) if len(x) != len(y)}:
        raise ValueError(f"{min(sizes)[0]} numbers a sample became {min(sizes)[1]}")
    meant = guess(a) if task == "auto" else task
    agree = _RULES[meant](tolerance or Tolerance())
    share = sum(agree(x, y) for x, y in zip(a, b, strict=True)) / len(a)
    if meant == "labels":
        return Agreement(meant, share, len(a))
    return Agreement(meant, share, len(a), *_differences(a, b))


def guess(rows: Sequence[Sequence[Any]]) -> Task:
    """Return what an output looks like: labels, probabilities of classes, or plain numbers."""
    if any(not isinstance(value, float) for value in rows[0]):
        return "labels"  # names, or whole numbers that stand for classes
    if len(rows[0]) > 1 and all(_probabilities(row) for row in rows):
        return "classification"
    return "regression"


def _probabilities(row: Sequence[float]) -> bool:
    return all(-1e-6 <= value <= 1 + 1e-6 for value in row) and abs(sum(row) - 1) <= SUM_TOLERANCE


def _same_class(_tolerance: Tolerance) -> Any:
    return lambda x, y: _finite(y) and _largest(x) == _largest(y)


def _same_side(_tolerance: Tolerance) -> Any:
    return lambda x, y: _finite(y) and [v >= 0.5 for v in x] == [v >= 0.5 for v in y]


def _same_labels(_tolerance: Tolerance) -> Any:
    return lambda x, y: list(x) == list(y)


def _close(tolerance: Tolerance) -> Any:
    def close(a: float, b: float) -> bool:
        if not math.isfinite(a):
            return a == b or (math.isnan(a) and math.isnan(b))
        return abs(b - a) <= tolerance.absolute + tolerance.relative * abs(a)

    return lambda x, y: all(map(close, x, y))


_RULES = {
    "classification": _same_class,
    "binary": _same_side,
    "labels": _same_labels,
    "regression": _close,
}


def _finite(row: Sequence[float]) -> bool:
    return all(map(math.isfinite, row))


def _largest(row: Sequence[float]) -> int:
    return max(range(len(row)), key=lambda index: row[index])


def _differences(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]
) -> tuple[float, float, float | None]:
    """Return the largest absolute and relative difference, and R² = 1 - Σ(a-b)² / Σ(a-mean(a))²."""
    pairs = [
        (x, y) for row, other in zip(a, b, strict=True) for x, y in zip(row, other, strict=True)
    ]
    pairs = [pair for pair in pairs if math.isfinite(pair[0])]
    if any(not math.isfinite(y) for _, y in pairs):
        return math.inf, math.inf, None
    if not pairs:
        return 0.0, 0.0, None
    largest = max(abs(y - x) for x, y in pairs)
    relative = max((abs(y - x) / abs(x) for x, y in pairs if x), default=0.0)
    mean = math.fsum(x for x, _ in pairs) / len(pairs)
    residual = math.fsum((y - x) ** 2 for x, y in pairs)
    total = math.fsum((x - mean) ** 2 for x, _ in pairs)
    if residual == 0:
        return largest, relative, 1.0
    return largest, relative, (1 - residual / total if total else None)
