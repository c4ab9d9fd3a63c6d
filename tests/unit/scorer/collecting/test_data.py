"""What is collected: tables of anything, policies, redaction."""

import math
from pathlib import Path
from typing import Any

import pytest

from skerry_scorer.azure.collector_v1 import CORRELATIONS, ModelDataCollector
from skerry_scorer.collecting.collection import begin, end, path_of
from skerry_scorer.collecting.redaction import Redactor
from skerry_scorer.collecting.spool import Record, Spool
from skerry_scorer.collecting.table import UnusableDataError, table_of
from skerry_scorer.settings.data import DataPolicy, read_policy
from skerry_scorer.settings.inputs import SettingsError


class Array:
    """What an array or a scalar of another package looks like."""

    def __init__(self, value: Any, nbytes: int = 8) -> None:
        self._value = value
        self.nbytes = nbytes

    def tolist(self) -> Any:
        return self._value


class Missing:
    """What stands for nothing in a data frame, and is neither true nor false."""

    def __ne__(self, _other: object) -> "Missing":  # type: ignore[override]
        return self

    def __bool__(self) -> bool:
        raise TypeError("ambiguous")


class Frame:
    """What a data frame looks like."""

    columns = ("a", 1)

    def itertuples(self, *, index: bool, name: str | None) -> Any:
        assert (index, name) == (False, None)
        return iter([(Array(1), math.nan), ("x", None)])


@pytest.mark.parametrize(
    ("data", "columns", "rows"),
    [
        ([1, 2], ["n", "1"], [[1, 2]]),
        ([[1, 2], [3, 4]], ["n", "1"], [[1, 2], [3, 4]]),
        (Array([1.5, math.inf]), ["n", "1"], [[1.5, "inf"]]),
        ([Array([1]), Array([2])], ["n"], [[1], [2]]),
        (Frame(), ["a", "1"], [[1, None], ["x", None]]),
        ([{"a": 1}, {"b": Array(2)}], ["a", "b"], [[1, None], [None, 2]]),
        ({"a": {"b": (1, b"x")}}, ["a"], [[{"b": [1, "b'x'"]}]]),
        ("text", ["n"], [["text"]]),
        ([Missing(), 1], ["n", "1"], [[None, 1]]),
        ([], ["n"], [[]]),
    ],
)
def test_anything_is_a_table(data: Any, columns: list[str], rows: list[list[Any]]) -> None:
    table = table_of(data, ["n"])
    assert (table.columns[: len(rows[0])], table.rows) == (columns[: len(rows[0])], rows)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(UnusableDataError, match="same length"):
        table_of([[1], [1, 2]])
    with pytest.raises(UnusableDataError, match="at most"):
        table_of(Array([], nbytes=10**9))


def test_fields_are_dropped_or_hashed_at_any_depth() -> None:
    redactor = Redactor({"email": "drop", "user": "hash"}, b"k")
    found = redactor.nested({"a": [{"email": 1, "user": "me", "n": 1}], "email": 2})
    assert found == {"a": [{"user": redactor.value("user", "me"), "n": 1}]}
    assert redactor.value("user", "me") != Redactor({"user": "hash"}, b"l").value("user", "me")
    assert redactor.value("email", "x") == ""


def test_a_policy_comes_from_the_run_folder_or_from_the_environment() -> None:
    assert read_policy({}, {}) is None
    env = {"SKERRY_DATA_DIR": "/d", "SKERRY_DATA_REDACT": "a=drop, b=hash"}
    found = read_policy({}, env)
    assert found == DataPolicy(Path("/d"), 100.0, {"a": "drop", "b": "hash"})
    told = {"data": {"folder": "/e", "rate_percent": 5, "budget_mb": 1}}
    assert read_policy(told, env) == DataPolicy(Path("/e"), 5.0, budget_bytes=2**20)


@pytest.mark.parametrize(
    ("told", "env", "words"),
    [
        ({"data": 1}, {}, "expected an object"),
        ({"data": {"folder": "/d", "rate_percent": 101}}, {}, "rate_percent"),
        ({"data": {"folder": "/d", "redact": {"a": "x"}}}, {}, r"redact\.a"),
        ({}, {"SKERRY_DATA_DIR": "/d", "SKERRY_DATA_RATE_PERCENT": "x"}, "rate_percent"),
    ],
)
def test_a_wrong_policy_is_named(told: dict[str, Any], env: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_policy(told, env)


def test_the_rate_keeps_about_its_share() -> None:
    policy = DataPolicy(Path(), 25.0)
    assert 200 < sum(policy.wants(f"id-{i}") for i in range(1000)) < 300
    assert not any(DataPolicy(Path(), 0.0).wants(str(i)) for i in range(1000))
    assert all(DataPolicy(Path()).wants(str(i)) for i in range(1000))


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"head\nhalf a li")
    spool = Spool(tmp_path, 1000)
    assert spool.put(Record("a/b", b"head\n", b"whole\n"))
    spool.close(5.0)
    assert (tmp_path / "a/b").read_bytes() == b"head\nhalf a li\nwhole\n"
    assert not spool.put(Record("a/b", b"", b"late\n"))


def test_a_file_that_has_its_share_of_the_budget_is_closed_and_the_oldest_goes(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, 800)
    for i in range(100):
        assert spool.put(Record("a/b.csv", b"head\n", b"%030d\n" % i))
    spool.close(20.0)
    files = sorted((tmp_path / "a").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert files[-1].name == "b.csv"
    assert all(path.name.startswith("b.") and path.suffix == ".csv" for path in files)
    assert all(path.stat().st_size <= 100 for path in files)
    assert sum(path.stat().st_size for path in files) <= 800
    parts = [path.read_bytes().splitlines() for path in files]
    assert all(lines[0] == b"head" for lines in parts)
    kept = [int(line) for lines in parts for line in lines[1:]]
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) >= 18


def test_a_record_larger_than_a_share_has_a_file_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 800)
    for line in (b"1\n", b"x" * 500 + b"\n", b"2\n"):
        assert spool.put(Record("a/b.csv", b"", line))
    spool.close(20.0)
    sizes = sorted(path.stat().st_size for path in (tmp_path / "a").iterdir())
    assert sizes == [2, 2, 501]


def test_a_path_leads_nowhere_else() -> None:
    assert path_of("..", "a/b", "", "x" * 200) == f"_/a_b/_/{'x' * 100}"


def test_correlations_are_added_to_what_has_rows(tmp_path: Path) -> None:
    begin(DataPolicy(tmp_path))
    try:
        collector = ModelDataCollector("m", "inputs")
        correlations = collector.collect([1, 2], "mine")
        assert correlations is not None
        assert correlations[CORRELATIONS[0]] == "mine"
        added = list(correlations.values())
        assert collector.add_correlations([1], correlations) == [1, *added]
        assert collector.add_correlations([[1], [2]], correlations) == [[1, *added], [2, *added]]
        assert collector.add_correlations("x", correlations) == "x"
        assert collector.add_correlations([1], None) == [1]
    finally:
        end(5.0)
    assert collector.collect([1]) is None
