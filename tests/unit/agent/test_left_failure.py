"""What an instance left behind before it gave up: believed as far as it goes, and no further."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.host import left_failure
from skerry_contract import shape
from skerry_contract.messages import MAX_DETAIL_CHARS, Failure


def left(folder: Path, value: Any) -> Failure | None:
    (folder / "failure.json").write_text(json.dumps(value))
    return left_failure(folder)


def test_the_traceback_of_a_scorer_is_found(tmp_path: Path) -> None:
    found = left(tmp_path, {"code": "INIT_FAILED", "text": "no model", "detail": "Traceback"})
    assert found is not None
    assert (found.code, found.text, found.detail) == ("INIT_FAILED", "no model", "Traceback")
    assert found.remedy


def test_a_module_cannot_claim_another_failure(tmp_path: Path) -> None:
    found = left(tmp_path, {"code": "NO_SPACE", "text": "x"})
    assert found is not None
    assert found.code == "INIT_FAILED"


def test_a_long_failure_is_cut_to_what_a_report_may_hold(tmp_path: Path) -> None:
    found = left(tmp_path, {"text": "t" * 5000, "detail": "x" + "d" * MAX_DETAIL_CHARS})
    assert found is not None
    assert found.detail == "d" * MAX_DETAIL_CHARS
    assert shape.read(Failure, shape.write(found), strict=True) == found


@pytest.mark.parametrize("value", [None, [], {}, {"text": 1}, {"text": "x" * 100_001}])
def test_what_is_no_failure_counts_as_none(tmp_path: Path, value: Any) -> None:
    assert left(tmp_path, value) is None


def test_nothing_there_or_too_much_there_counts_as_none(tmp_path: Path) -> None:
    assert left_failure(tmp_path / "missing") is None
    (tmp_path / "failure.json").write_bytes(b'{"text":"x"}' + b" " * 1024 * 1024)
    assert left_failure(tmp_path) is None


@pytest.mark.timeout(10)
def test_a_pipe_that_nobody_writes_to_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "failure.json")
    assert left_failure(tmp_path) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"text":"secret"}')
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "failure.json").symlink_to(tmp_path / "secret.json")
    assert left_failure(run_dir) is None


def test_a_folder_of_that_name_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "failure.json").mkdir()
    assert left_failure(tmp_path) is None
