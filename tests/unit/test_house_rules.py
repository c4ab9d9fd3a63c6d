"""Rules of this code base that no linter knows."""

import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("agent", "client", "cloud", "contract", "scorer", "tests", "benchmarks")
LONGEST_FILE = 400

# What the device installs besides Python: nothing else may be imported there.
ON_DEVICE = {"skerry_agent", "skerry_contract", "paho"}
IMPORT_ALL = """
import importlib, pkgutil, sys
before = set(sys.modules)
for name in ("skerry_agent", "skerry_contract"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names))
"""


def sources() -> Iterator[Path]:
    for part in PARTS:
        yield from sorted((ROOT / part).rglob("*.py"))


def lines_of_code(path: Path) -> int:
    """Return the number of lines that hold more than comment, blank or the like."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return len({t.start[0] for t in tokens if t.type not in skipped and t.string.strip()})


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {
        str(p.relative_to(ROOT)): n for p in sources() if (n := lines_of_code(p)) > LONGEST_FILE
    }
    assert not long


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "misc"])
def test_no_file_has_a_name_that_says_nothing(word: str) -> None:
    assert [p for p in sources() if word in {p.stem, p.parent.name}] == []


def test_the_device_imports_nothing_but_python_and_paho() -> None:
    command = [sys.executable, "-c", IMPORT_ALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= ON_DEVICE


def test_the_page_about_dependencies_names_each_of_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(need for extra in extras for need in extra)]
    names = {re.split(r"[^\w-]", need)[0] for need in wanted} - {"skerry"}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert {name for name in names if not re.search(rf"[|,] {name} ?[|,]", page)} == set()
