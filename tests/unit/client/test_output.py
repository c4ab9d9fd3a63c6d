"""What reaches stdout and stderr."""

import io
import json

import pytest

from skerry.output import Form, Output, facts, printable, size_text
from skerry_contract.errors import DigestError


def written(form: Form) -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Output(form, out, err), out, err


def test_json_goes_to_stdout_alone_and_parts_for_people_do_not() -> None:
    output, out, err = written("json")
    output.note("building")
    output.result({"a": [1, "ü"]}, "a: 1")
    assert json.loads(out.getvalue()) == {"a": [1, "ü"]}
    assert err.getvalue() == "building\n"


def test_a_failure_has_code_remedy_and_evidence() -> None:
    for form in ("table", "json"):
        output, out, err = written(form)
        output.failure(DigestError("a.png differs", remedy="Send it again.", detail="x\ny"))
        assert err.getvalue() == "skerry: a.png differs [DIGEST]\n  Send it again.\n  | x\n  | y\n"
        if form == "json":
            assert json.loads(out.getvalue())["error"] == {
                "code": "DIGEST",
                "text": "a.png differs",
                "remedy": "Send it again.",
                "detail": "x\ny",
            }


def test_a_table_in_a_file_has_one_whole_line_a_row_and_takes_nothing_for_markup() -> None:
    output, out, _ = written("table")
    long = "[red]:smile: " + "x" * 500
    output.result([], output.table(("A", "B"), [(long, 1), ("\x1b[31mred", 2)]))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[1] == f"{long}  1"
    assert lines[2].startswith("�[31mred")
    assert len(lines) == 3


def test_facts_are_aligned_and_empty_ones_left_out() -> None:
    assert facts((("a", 1), ("long", "x"), ("none", ""), ("nil", None))) == "a     1\nlong  x"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (2**40, "1024.0 GiB"),
    ],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert size_text(size) == text


def test_nothing_that_a_device_says_can_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\tc\nd\x9b") == "a�[2Jb\tc\nd�"
