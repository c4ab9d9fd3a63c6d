"""What can be told from the text of ``score.py``."""

from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.entry_script import check_entry_script, check_script
from skerry_contract.errors import ScorerError
from support.modules import stored

GOOD = {
    "plain": "def init(): pass\ndef run(data): return data",
    "assigned": "init = run = print",
    "annotated": "from typing import Any\ninit: Any = print\nrun: Any = print",
    "imported": "from model import load as init, score as run",
    "star": "from model import *",
    "inside if and try": "if 1:\n  def init(): pass\ntry:\n  from a import run\nfinally: x = 1",
    "in an except": "def init(): pass\ntry:\n  x = 1\nexcept E:\n  def run(d): pass",
    "decorated": "@schema\ndef run(): pass\ndef init(): pass",
    "more parameters": "def init(a=1): pass\ndef run(data, request_headers=None): pass",
    "any arguments": "def init(*a): pass\ndef run(*a, **k): pass",
    "keyword": "def init(): pass\ndef run(*, data): pass",
    "old escape": "def init(): pass\ndef run(d): return '\\d'",
    "latin-1": "# coding: latin-1\nname = 'é'\ndef init(): pass\ndef run(d): pass",
    "tuple": "init, run = print, print",
}
BAD = {
    "no init": ("def run(d): pass", "does not define init()"),
    "no run": ("def init(): pass", "does not define run(data)"),
    "nested only": ("class A:\n  def init(): pass\n  def run(d): pass", "does not define init()"),
    "run without data": ("def init(): pass\ndef run(): pass", "score.py:2: run() takes no data"),
    "init with data": ("def init(m): pass\ndef run(d): pass", "score.py:1: init() is called"),
    "async": ("def init(): pass\nasync def run(d): pass", "score.py:2: run is async"),
    "syntax": ("def init(): pass\ndef run(d:\n  pass", "score.py:2:8: '(' was never closed"),
    "indent": ("def init():\npass", "score.py:2:1: expected an indented block"),
    "null": ("def init(): pass\0", "score.py"),
    "deep": ("(" * 5000, "score.py"),
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_script_that_may_work_is_accepted(text: str) -> None:
    encoding = "latin-1" if "latin-1" in text else "utf-8"
    check_script("score.py", text.encode(encoding))


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_a_script_that_cannot_work_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ScorerError) as caught:
        check_script("score.py", text.encode())
    assert said in caught.value.text
    assert caught.value.remedy


def test_a_syntax_error_shows_the_line_itself() -> None:
    with pytest.raises(ScorerError, match=r"return = data"):
        check_script("score.py", b"def init(): pass\ndef run(data):\n    return = data\n")


def test_a_missing_script_lists_what_was_there(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    files = stored(blobs, {"main.py": "x", "lib/a.py": "y"})
    with pytest.raises(ScorerError, match=r"no 'score.py' .*: lib/a.py, main.py"):
        check_entry_script("score.py", files, blobs)


def test_a_script_of_another_kind_is_refused() -> None:
    with pytest.raises(ScorerError, match=r"'score.sh' is no .py file"):
        check_script("score.sh", b"echo")
