"""How far two models say the same: the formulas, row by row."""

import math
from typing import Any

import pytest

from skerry.convert.converters.agreement import Task, Tolerance, compare, guess

NAN = math.nan


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        ([[0.2, 0.8], [1.0, 0.0]], "classification"),
        ([[0.2, 0.7]], "regression"),
        ([[-0.5, 1.5]], "regression"),
        ([[1.0]], "regression"),
        ([["cat"]], "labels"),
        ([[3]], "labels"),
    ],
)
def test_what_an_output_means_is_seen_from_its_numbers(rows: Any, task: Task) -> None:
    assert guess(rows) == task


@pytest.mark.parametrize(
    ("task", "a", "b", "share"),
    [
        pytest.param("classification", [[0.6, 0.4]], [[0.51, 0.49]], 1, id="same largest"),
        pytest.param("classification", [[0.6, 0.4]], [[0.49, 0.51]], 0, id="other largest"),
        pytest.param("classification", [[5.0, 4.0]], [[9.0, NAN]], 0, id="not a number"),
        pytest.param("binary", [[0.7], [0.2]], [[0.5], [0.49]], 1, id="same side of a half"),
        pytest.param("binary", [[0.7], [0.2]], [[0.4], [0.2]], 0.5, id="one on the other side"),
        pytest.param("labels", [["cat"], ["dog"]], [["cat"], ["cat"]], 0.5, id="one other label"),
        pytest.param("regression", [[100.0]], [[101.0]], 1, id="within 1 percent"),
        pytest.param("regression", [[100.0]], [[101.1]], 0, id="outside"),
        pytest.param("regression", [[0.0]], [[0.001]], 1, id="within the absolute tolerance"),
        pytest.param("regression", [[0.0]], [[0.0011]], 0, id="outside of it"),
        pytest.param("regression", [[1.0, 5.0]], [[1.0, 6.0]], 0, id="every number counts"),
        pytest.param("regression", [[NAN]], [[NAN]], 1, id="both not a number"),
        pytest.param("regression", [[1.0]], [[NAN]], 0, id="became not a number"),
    ],
)
def test_agreement_is_the_share_of_samples(task: Task, a: Any, b: Any, share: float) -> None:
    assert compare(a, b, task).share == share


def test_the_tolerance_is_the_callers() -> None:
    assert compare([[10.0]], [[12.0]], "regression", Tolerance(2.0, 0.0)).share == 1
    assert compare([[10.0]], [[12.0]], "regression", Tolerance(1.9, 0.0)).share == 0


def test_differences_and_r2_are_those_of_the_page() -> None:
    found = compare([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]], "regression")

    assert found.max_abs == 1.0
    assert found.max_rel == pytest.approx(1 / 3)
    assert found.r2 == pytest.approx(1 - 1 / 2)


def test_a_number_that_became_none_is_infinitely_far_off() -> None:
    found = compare([[1.0]], [[NAN]], "regression")
    assert (found.max_abs, found.r2) == (math.inf, None)


def test_r2_of_a_constant_is_not_defined_unless_it_is_met() -> None:
    assert compare([[2.0], [2.0]], [[2.0], [2.1]], "regression").r2 is None
    assert compare([[2.0], [2.0]], [[2.0], [2.0]], "regression").r2 == 1.0


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ([], [], "nothing to compare"),
        ([[1.0]], [], "1 samples became 0"),
        ([[1.0, 2.0]], [[1.0]], "2 numbers a sample became 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(a: Any, b: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        compare(a, b)
