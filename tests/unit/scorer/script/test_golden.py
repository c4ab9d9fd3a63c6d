"""What counts as the expected result, and what a golden set may hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from skerry_scorer.script import golden
from skerry_scorer.script.golden import Case, GoldenSetError


@pytest.mark.parametrize(
    ("expect", "got", "tolerance"),
    [
        ({"faces": 1}, {"faces": 1, "boxes": []}, 0),
        ({}, {"anything": 1}, 0),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2], "c": 3}}, 0),
        (0.96, 0.955, 0.01),
        (1, 1.0, 0),
        ([1.0, [2.0]], [1.1, [1.9]], 0.11),
        (None, None, 0),
        ("ok", "ok", 0),
        (True, True, 0),
    ],
)
def test_these_pass(expect: Any, got: Any, tolerance: float) -> None:
    assert golden.compare(expect, got, tolerance) == []


@pytest.mark.parametrize(
    ("expect", "got", "tolerance", "text"),
    [
        ({"faces": 1}, {"faces": 0}, 0, "faces: expected 1, got 0"),
        ({"faces": 1}, {}, 0, "faces: expected 1, got nothing"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, 0, "a[0].b: expected 1, got 2"),
        (0.96, 0.9, 0.01, "expected 0.96 within 0.01, got 0.9"),
        ([1, 2], [1, 2, 3], 0, "expected [1, 2], got [1, 2, 3]"),
        (1, True, 0, "expected 1, got true"),
        (False, 0, 5, "expected false, got 0"),
        ({"a": 1}, [1], 0, 'expected {"a": 1}, got [1]'),
        (None, {}, 0, "expected null, got {}"),
        ("1", 1, 0, 'expected "1", got 1'),
    ],
)
def test_these_fail_and_say_where(expect: Any, got: Any, tolerance: float, text: str) -> None:
    assert golden.compare(expect, got, tolerance) == [text]


def test_a_result_that_is_wrong_everywhere_is_told_in_a_few_words() -> None:
    assert len(golden.compare(list(range(1000)), [-1] * 1000)) == golden.MAX_DIFFERENCES


def test_without_a_file_there_are_no_cases(tmp_path: Path) -> None:
    assert golden.read_golden(tmp_path) == []


def test_cases_are_read_with_their_tolerance(tmp_path: Path) -> None:
    cases = [{"input": "a.png", "expect": {"n": 1}, "tolerance": 0.5}, {"input": "b", "expect": 2}]
    (tmp_path / "golden.json").write_text(json.dumps(cases))
    assert golden.read_golden(tmp_path) == [Case("a.png", {"n": 1}, 0.5), Case("b", 2, 0.0)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{}", "expected a list"),
        ("[", "^cannot be read: line 1, column 2: Expecting value$"),
        ('[{"input": "a",\n  "expect" 1}]', "^cannot be read: line 2, column 12: Expecting ':'"),
        ("[" * 100_000, "^cannot be read: "),
        ("[3]", r"\[0\]: expected an object"),
        ('[{"expect": 1}]', r"\[0\]\.input: expected the path"),
        ('[{"input": "a"}]', r"\[0\]\.expect: is missing"),
        ('[{"input": "a", "expect": 1, "tolerance": -1}]', r"\[0\]\.tolerance"),
        ('[{"input": "a", "expect": 1, "tolerance": Infinity}]', r"\[0\]\.tolerance"),
    ],
)
def test_a_set_that_cannot_be_used_says_why(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "golden.json").write_text(text)
    with pytest.raises(GoldenSetError, match=match):
        golden.read_golden(tmp_path)


def test_inputs_are_text_or_bytes_by_their_ending(tmp_path: Path) -> None:
    for name in ("a.json", "b.TXT", "c.png"):
        (tmp_path / name).write_bytes(b"1")
    found = [golden.read_input(tmp_path, n, max_bytes=9) for n in ("a.json", "b.TXT", "c.png")]
    assert found == ["1", "1", b"1"]


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "link", "missing", "large", "x.txt"]
)
def test_an_input_that_cannot_be_taken_is_refused(tmp_path: Path, name: str) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (tmp_path / "secret").write_text("s")
    (app / "link").symlink_to(tmp_path / "secret")
    (app / "large").write_bytes(b"0123456789")
    (app / "x.txt").write_bytes(b"\xff")
    with pytest.raises(GoldenSetError, match=name.replace("..", r"\.\.")):
        golden.read_input(app, name, max_bytes=9)
