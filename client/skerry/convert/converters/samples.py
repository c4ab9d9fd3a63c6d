"""Inputs to try a model with: read from a file, or made up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .order import RefusedError

RANDOM = 32
"""How many samples are made up where there are none."""


@dataclass(frozen=True)
class Input:
    """One input of a model.

    Attributes:
        name: Its name.
        shape: Its lengths; the first axis counts the samples, and None is any length.
        dtype: NumPy's name of its type.
        below: It holds whole numbers from 0 to below this, such as words; None if it does not.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    below: int | None = None


def read(file: str, inputs: Sequence[Input], *, most: int) -> dict[str, Any]:
    """Return the arrays of an npz file by the model's input names.

    Arrays are matched by name; if no name fits, by order.

    Args:
        file: An npz file, or a folder of npy files, one for each input.
        inputs: What the model takes.
        most: Only so many samples are used.

    Raises:
        RefusedError: They do not fit the model.
    """
    found = arrays(Path(file))
    names = [one.name for one in inputs]
    if set(names) <= set(found):
        chosen = [found[name] for name in names]
    elif len(found) == len(inputs):
        chosen = list(found.values())
    else:
        raise RefusedError(
            f"{Path(file).name} holds {', '.join(found)}; the model takes {', '.join(names)}",
            "Save one array for each input, under the input's name, with numpy.savez.",
        )
    counts = {len(array) if array.ndim else 0 for array in chosen}
    if len(counts) != 1 or 0 in counts:
        raise RefusedError("the arrays differ in their number of samples, or have none")
    return {
        one.name: _fitting(one, array[:most]) for one, array in zip(inputs, chosen, strict=True)
    }


def arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of an npz file, or of a folder of npy files, by name.

    Raises:
        RefusedError: They cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(path.glob("*.npy"))
            return {file.stem: np.load(file, allow_pickle=False) for file in files}
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, OSError, AttributeError) as error:
        raise RefusedError(
            f"{path.name} cannot be read: {error}", "Write it with numpy.savez."
        ) from error


def made_up(inputs: Sequence[Input], seed: int = 0) -> dict[str, Any]:
    """Return random inputs of the declared shapes: better than nothing, and no more than that.

    Raises:
        RefusedError: A shape leaves a length open.
    """
    source = np.random.default_rng(seed)
    made = {}
    for one in inputs:
        if None in one.shape[1:]:
            raise RefusedError(
                f"the input {one.name} leaves lengths open: {list(one.shape)}",
                "Give inputs with --golden FILE.npz.",
            )
        shape = (RANDOM, *(size or 1 for size in one.shape[1:]))
        kind = np.dtype(one.dtype)
        if one.below is not None:
            made[one.name] = source.integers(0, one.below, shape).astype(kind)
        elif kind.kind == "f":
            made[one.name] = source.standard_normal(shape).astype(kind)
        elif kind.kind in "iub":
            made[one.name] = source.integers(0, 2 if kind.kind == "b" else 10, shape).astype(kind)
        else:
            raise RefusedError(
                f"no values can be made up for the input {one.name} of type {one.dtype}",
                "Give inputs with --golden FILE.npz.",
            )
    return made


def save(file: str, arrays: dict[str, Any]) -> None:
    """Write arrays for another process, with their names and order."""
    names = np.array(list(arrays), dtype=str)
    np.savez(file, names=names, **{f"a{n}": array for n, array in enumerate(arrays.values())})


def load(file: str) -> dict[str, Any]:
    """Return what ``save`` wrote."""
    with np.load(file, allow_pickle=False) as found:
        return {str(name): found[f"a{n}"] for n, name in enumerate(found["names"])}


def _fitting(one: Input, array: Any) -> Any:
    want, have = one.shape[1:], array.shape[1:]
    if len(want) != len(have) or any(w not in (None, h) for w, h in zip(want, have, strict=True)):
        raise RefusedError(
            f"the input {one.name} takes samples of shape {list(want)}, not {list(have)}",
            "The first axis of each array counts the samples.",
        )
    return array.astype(np.dtype(one.dtype))
