"""Inputs to try a model with: read from a file, or made up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .order import RefusedError

SHAPE_OPTION = "--input-shape 3,224,224 once for each input that is open, of one sample"
RANDOM = 32
"""How many samples are made up where there are none."""


@dataclass(frozen=True)
class Input:
    """One input of a model.

    Attributes:
        name: Its name.
        shape: Its lengths, None for any; the first axis counts what one call takes, most often 1.
        dtype: NumPy's name of its type.
        below: It holds whole numbers from 0 to below this, such as words; None if it does not.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    below: int | None = None


def read(file: str, inputs: Sequence[Input], *, most: int) -> dict[str, Any]:
    """Return the arrays of an npz file by the model's input names, one call of the model a row.

    Arrays are matched by name; if no name fits, by order. One whose samples lack the input's first
    axis gets it, of length 1.

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

    They are for one call of the model a row, as ``read`` returns them.

    Raises:
        RefusedError: A shape leaves a length open.
    """
    source = np.random.default_rng(seed)
    made = {}
    for one in inputs:
        if None in one.shape[1:]:
            raise RefusedError(
                f"the input {one.name} leaves lengths open: {list(one.shape)}",
                f"Give inputs with --golden FILE.npz, or {SHAPE_OPTION}.",
            )
        shape = (RANDOM, *(size or 1 for size in one.shape))
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


def shaped(inputs: Sequence[Input], shapes: Sequence[Sequence[int]]) -> list[Input]:
    """Return inputs with lengths that somebody said: of all, or of those that leave some open.

    Args:
        inputs: What the model takes.
        shapes: Lengths of one sample, the first axis left out; none for no wish.

    Raises:
        RefusedError: They do not fit the model.
    """
    wanted = [one for one in inputs if None in one.shape[1:]]
    if not shapes or len(shapes) == len(inputs):
        wanted = list(inputs)
    if shapes and len(shapes) != len(wanted):
        names = ", ".join(f"{one.name} {list(one.shape)}" for one in inputs)
        raise RefusedError(
            f"{len(shapes)} shapes were given for the inputs {names}", f"Give {SHAPE_OPTION}."
        )
    given = {one.name: tuple(shape) for one, shape in zip(wanted, shapes, strict=False)}
    return [_with(one, given.get(one.name)) for one in inputs]


def _with(one: Input, shape: tuple[int, ...] | None) -> Input:
    if shape is None:
        return one
    if not _fits(one.shape[1:], shape):
        raise RefusedError(
            f"the input {one.name} takes samples of shape {list(one.shape[1:])}, not {list(shape)}",
            f"Give {SHAPE_OPTION}.",
        )
    return replace(one, shape=(*one.shape[:1], *shape))


def _fits(want: Sequence[int | None], have: Sequence[int]) -> bool:
    return len(want) == len(have) and all(w in (None, h) for w, h in zip(want, have, strict=True))


def _fitting(one: Input, array: Any) -> Any:
    """Return an array with one call of the model a row, of the input's type."""
    typed = array.astype(np.dtype(one.dtype))
    if _fits(one.shape, array.shape[1:]):  # a row is a whole call, as it is
        return typed
    if one.shape[:1] in ((None,), (1,)) and _fits(one.shape[1:], array.shape[1:]):
        return typed[:, None]
    raise RefusedError(
        f"the input {one.name} takes samples of shape {list(one.shape[1:])}, not "
        f"{list(array.shape[1:])}",
        "The first axis of each array counts the samples; where the model's own first axis is no "
        f"count, give all of its axes, {list(one.shape)}, behind it.",
    )
