"""Compare what two models said."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from . import samples
from .agreement import Tolerance, compare
from .order import RefusedError

MOST_NUMBERS = 20_000_000


def do(order: dict[str, Any]) -> dict[str, Any]:
    """Return the agreement on each output of the original; outputs are matched by their order."""
    before, after = samples.load(order["before"]), samples.load(order["after"])
    if len(before) > len(after):  # converters of scikit-learn may add scores
        raise RefusedError(f"{len(before)} outputs became {len(after)}")
    tolerance = Tolerance(order["absolute"], order["relative"])
    found = []
    for (name, a), b in zip(before.items(), after.values(), strict=False):
        if a.size > MOST_NUMBERS:
            raise RefusedError(
                f"{name}: {a.size} numbers are too many to compare", "Give fewer --samples."
            )
        one = compare(_rows(a), _rows(b), _task(order["task"], a), tolerance)
        found.append({"output": name, **{key: _plain(v) for key, v in asdict(one).items()}})
    return {"outputs": found}


def _task(given: Any, array: Any) -> Any:
    """Return what an output is taken for: classes that are named need no arg-max."""
    named = array.dtype.kind in "biuSU"
    return "labels" if named and given != "regression" else given


def _plain(value: Any) -> Any:
    """Return ``value``, or None for what JSON has no number for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rows(array: Any) -> Any:
    if array.dtype.kind == "f":
        return array.astype(np.float64).tolist()
    if array.dtype.kind in "SU":
        return array.astype(str).tolist()
    return array.tolist()
