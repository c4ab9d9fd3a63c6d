"""The inputs that original and result are compared on, and those that quantising needs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import samples
from .samples import Input

MOST_CALIBRATION = 500


def prepare(order: dict[str, Any], inputs: Sequence[Input]) -> dict[str, Any]:
    """Write the samples of an order to ``samples.npz`` and return what there is to say of them."""
    if given := order.get("golden"):
        arrays = samples.read(given, inputs, most=order["samples"])
    else:
        arrays = samples.made_up(samples.shaped(inputs, order.get("input_shapes", ())))
    samples.save(str(Path(order["folder"]) / "samples.npz"), arrays)
    count = len(next(iter(arrays.values())))
    return {"samples": count, "random": not given, "inputs": [_shown(one) for one in inputs]}


def calibration(order: dict[str, Any], inputs: Sequence[Input]) -> dict[str, Any] | None:
    """Return the samples that the ranges of int8 are found with; None where there are none."""
    given = order.get("calibration")
    return samples.read(given, inputs, most=MOST_CALIBRATION) if given else None


def concrete(order: dict[str, Any], inputs: Sequence[Input]) -> list[Input]:
    """Return ``inputs`` with the lengths that the golden set has where the model leaves them open.

    Raises:
        RefusedError: A length is open, and there is no golden set to take it from.
    """
    given = order.get("golden")
    if not given:
        fixed = samples.shaped(inputs, order.get("input_shapes", ()))
        samples.made_up(fixed)  # says which length is open
        return fixed
    arrays = samples.read(given, inputs, most=1)
    return [replace(one, shape=(None, *arrays[one.name].shape[2:])) for one in inputs]


def _shown(one: Input) -> dict[str, Any]:
    return {"name": one.name, "shape": list(one.shape), "dtype": one.dtype}
