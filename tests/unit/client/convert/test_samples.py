"""Inputs to try a model with: each row is one call of the model."""

from pathlib import Path

import numpy as np
import pytest

from skerry.convert.converters import samples
from skerry.convert.converters.order import RefusedError
from skerry.convert.converters.samples import RANDOM, Input

IMAGE = Input("images", (None, 3, None, None), "float32")
STATE = Input("state", (2, None, 128), "float32")
RATE = Input("rate", (), "int64")


def golden(folder: Path, **arrays: object) -> str:
    np.savez(folder / "golden.npz", **arrays)  # type: ignore[arg-type]
    return str(folder / "golden.npz")


def test_samples_without_the_first_axis_get_it(tmp_path: Path) -> None:
    file = golden(tmp_path, images=np.zeros((5, 3, 8, 9)))
    found = samples.read(file, [IMAGE], most=4)["images"]
    assert (found.shape, found.dtype) == ((4, 1, 3, 8, 9), np.float32)


def test_rows_may_be_whole_calls_where_no_axis_counts_samples(tmp_path: Path) -> None:
    file = golden(tmp_path, state=np.zeros((5, 2, 1, 128)), rate=np.full(5, 16000))
    found = samples.read(file, [STATE, RATE], most=100)
    assert {name: array.shape for name, array in found.items()} == {
        "state": (5, 2, 1, 128),
        "rate": (5,),
    }
    assert found["rate"][0, ...].shape == ()


@pytest.mark.parametrize("shape", [(5, 3, 8), (5, 4, 8, 9), (5, 2, 3, 8, 9, 1)])
def test_rows_of_another_shape_are_refused_with_both_shapes(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with pytest.raises(RefusedError, match="images takes samples of shape"):
        samples.read(golden(tmp_path, images=np.zeros(shape)), [IMAGE], most=1)


def test_a_state_is_not_taken_for_a_sample(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        samples.read(golden(tmp_path, state=np.zeros((5, 1, 128))), [STATE], most=1)
    assert "all of its axes" in caught.value.remedy


def test_open_lengths_are_said_once_for_each_input_that_has_them() -> None:
    fixed = samples.shaped([IMAGE, RATE], [(3, 8, 9)])
    made = samples.made_up(fixed)
    assert made["images"].shape == (RANDOM, 1, 3, 8, 9)
    assert made["rate"].shape == (RANDOM,)
    assert samples.made_up(samples.shaped([STATE], [(1, 128)]))["state"].shape == (
        RANDOM,
        2,
        1,
        128,
    )
    assert samples.shaped([IMAGE, STATE], []) == [IMAGE, STATE]


@pytest.mark.parametrize("shapes", [[(3, 8)], [(4, 8, 9)], [(3, 8, 9), (1, 128)]])
def test_shapes_that_do_not_fit_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(RefusedError) as caught:
        samples.shaped([IMAGE, RATE, Input("fixed", (None, 4), "float32")], shapes)
    assert "--input-shape" in caught.value.remedy


def test_what_is_left_open_says_how_to_say_it() -> None:
    with pytest.raises(RefusedError, match="images leaves lengths open") as caught:
        samples.made_up([IMAGE])
    assert "--input-shape" in caught.value.remedy


def test_the_order_of_arrays_survives_a_file(tmp_path: Path) -> None:
    file = str(tmp_path / "samples.npz")
    samples.save(file, {"b": np.zeros(2), "a": np.ones(2)})
    assert list(samples.load(file)) == ["b", "a"]
