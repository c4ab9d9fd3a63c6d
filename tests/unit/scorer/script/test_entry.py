"""The entry script and its faults."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry_scorer.script.entry import (
    MAX_DETAIL_CHARS,
    InitFailedError,
    RunFailedError,
    Scorer,
    to_json,
)


@pytest.fixture(autouse=True)
def import_state() -> Iterator[None]:
    """Loading a script changes where Python looks for modules; put it back."""
    before, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def load(folder: Path, script: str) -> Scorer:
    (folder / "score.py").write_text(script)
    return Scorer.load(folder, "score.py")


def test_a_script_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "besides.py").write_text("answer = 42\n")
    scorer = load(
        tmp_path, "from besides import answer\ndef init(): ...\ndef run(d): return answer"
    )
    assert scorer.run("") == b"42"


def test_a_script_in_a_folder_of_its_own_works_too(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("def init(): ...\ndef run(d): return d\n")
    assert Scorer.load(tmp_path, "src/main.py").run("é") == '"é"'.encode()


def test_what_init_sets_run_sees(tmp_path: Path) -> None:
    script = "def init():\n    global x\n    x = 3\ndef run(d): return x\n"
    assert load(tmp_path, script).run("") == b"3"


def test_a_fault_deep_in_a_library_is_told_by_the_scripts_own_line(tmp_path: Path) -> None:
    scorer = load(tmp_path, "import json\ndef init(): ...\ndef run(d):\n    return json.loads(d)\n")
    with pytest.raises(RunFailedError) as caught:
        scorer.run("?")
    assert caught.value.text.endswith("(score.py:4)")
    assert "decoder.py" in caught.value.detail
    assert "skerry_scorer" not in caught.value.detail


def test_endless_recursion_is_a_failure_of_bounded_length(tmp_path: Path) -> None:
    scorer = load(tmp_path, "def init(): ...\ndef run(d): return run(d)\n")
    with pytest.raises(RunFailedError, match="RecursionError") as caught:
        scorer.run("")
    assert len(caught.value.detail) <= MAX_DETAIL_CHARS


def test_groups_of_exceptions_keep_their_parts(tmp_path: Path) -> None:
    script = "def init(): raise ExceptionGroup('both', [ValueError('one'), KeyError('two')])\n"
    with pytest.raises(InitFailedError) as caught:
        load(tmp_path, script + "def run(d): ...\n")
    assert "ValueError: one" in caught.value.detail
    assert "KeyError: 'two'" in caught.value.detail


def test_a_result_without_end_is_a_failure(tmp_path: Path) -> None:
    scorer = load(
        tmp_path, "def init(): ...\ndef run(d):\n    x = []\n    x.append(x)\n    return x\n"
    )
    with pytest.raises(RunFailedError, match="cannot be written as JSON"):
        scorer.run("")


@pytest.mark.parametrize(
    ("value", "text"),
    [({"é": (1, 2.5, None, True)}, '{"é":[1,2.5,null,true]}'), ("", '""'), ([], "[]")],
)
def test_results_are_compact_json(value: Any, text: str) -> None:
    assert to_json(value) == text.encode()


def test_the_time_of_a_run_counts_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    seen: list[float] = []

    def run(data: str | bytes) -> int:
        if data == b"bad":
            raise ValueError
        while not scorer.busy_s:
            pass
        seen.append(scorer.busy_s)
        return 1

    scorer = Scorer(tmp_path / "score.py", run)
    assert scorer.busy_s == 0.0
    scorer.run(b"")
    assert seen[0] > 0
    assert scorer.busy_s == 0.0
    with pytest.raises(RunFailedError):
        scorer.run(b"bad")
    assert scorer.busy_s == 0.0
