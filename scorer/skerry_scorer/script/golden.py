"""The golden set: inputs with expected outputs that travel with a module.

``compare`` decides; ``read_golden`` and ``read_input`` read what lies beside the entry script.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_SET_BYTES = 1024 * 1024
"""Largest ``golden.json``."""
MAX_CASES = 1000
"""Most cases of one set."""
MAX_DIFFERENCES = 5
"""Differences that one case tells at most."""
TEXT_SUFFIXES = (".json", ".txt", ".csv")
"""Files with these endings are given to ``run()`` as text."""


class GoldenSetError(Exception):
    """The set or an input of it cannot be used; the text says what is wrong with it."""


@dataclass(frozen=True)
class Case:
    """One input and what is expected of it.

    Attributes:
        input: Path of the input, relative to the entry script's folder.
        expect: What the result must hold.
        tolerance: How far numbers may lie apart, absolutely.
    """

    input: str
    expect: Any
    tolerance: float = 0.0


def read_golden(app_root: Path) -> list[Case]:
    """Return the cases of ``golden.json``; none if there is no such file.

    Raises:
        GoldenSetError: It cannot be read, or a field is missing or wrong. The text leaves out the
            name of the file, which is told beside it.
    """
    try:
        with (app_root / "golden.json").open("rb") as file:
            data = file.read(MAX_SET_BYTES + 1)
        value = json.loads(data) if len(data) <= MAX_SET_BYTES else None
    except FileNotFoundError:
        return []
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise GoldenSetError(f"cannot be read: {where}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise GoldenSetError(f"cannot be read: {error}") from error
    if not isinstance(value, list) or len(value) > MAX_CASES:
        raise GoldenSetError(
            f"expected a list of at most {MAX_CASES} cases, in at most {MAX_SET_BYTES} bytes"
        )
    return [_case(entry, i) for i, entry in enumerate(value)]


def read_input(app_root: Path, name: str, *, max_bytes: int) -> str | bytes:
    """Return the input of a case, as text or bytes by its ending.

    Raises:
        GoldenSetError: It is not there, too large, no UTF-8, or lies outside ``app_root``.
    """
    path = (app_root / name).resolve()
    if not path.is_relative_to(app_root.resolve()):
        raise GoldenSetError(f"{name} lies outside the scorer's folder")
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise GoldenSetError(f"{name} has more than {max_bytes} bytes")
        return as_input(path.name, data)
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenSetError(f"{name}: {error}") from error


def as_input(name: str, data: bytes) -> str | bytes:
    """Return what ``run()`` gets of a file: text for ``.json .txt .csv``, else its bytes.

    Raises:
        UnicodeDecodeError: It should be text and is not UTF-8.
    """
    return data.decode("utf-8") if name.lower().endswith(TEXT_SUFFIXES) else data


def compare(expect: Any, got: Any, tolerance: float = 0.0) -> list[str]:
    """Return how ``got`` differs from ``expect``; an empty list means that the case has passed.

    Objects need the keys that ``expect`` names, others are free; lists are compared item by item.
    Numbers may lie ``tolerance`` apart; true and false are no numbers.

    Args:
        expect: JSON value from the golden set.
        got: JSON value that came from ``run()``.
        tolerance: Largest absolute difference of two numbers, 0 or above.
    """
    found: list[str] = []
    _compare(expect, got, tolerance, "", found)
    return found


def _compare(expect: Any, got: Any, tolerance: float, path: str, found: list[str]) -> None:
    if len(found) >= MAX_DIFFERENCES:
        return
    if isinstance(expect, dict) and isinstance(got, dict):
        for key, value in expect.items():
            inner = f"{path}.{key}" if path else key
            if key in got:
                _compare(value, got[key], tolerance, inner, found)
            else:
                found.append(f"{inner}: expected {_shown(value)}, got nothing")
    elif isinstance(expect, list) and isinstance(got, list) and len(expect) == len(got):
        for i, (one, other) in enumerate(zip(expect, got, strict=True)):
            _compare(one, other, tolerance, f"{path}[{i}]", found)
    elif not _same(expect, got, tolerance):
        where = f"{path}: " if path else ""
        within = f" within {tolerance:g}" if tolerance and _is_number(expect) else ""
        found.append(f"{where}expected {_shown(expect)}{within}, got {_shown(got)}")


def _same(expect: Any, got: Any, tolerance: float) -> bool:
    if _is_number(expect) and _is_number(got):
        return bool(expect == got or abs(expect - got) <= tolerance)
    return type(expect) is type(got) and bool(expect == got)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _case(entry: Any, i: int) -> Case:
    if not isinstance(entry, dict):
        raise GoldenSetError(f"[{i}]: expected an object")
    name, tolerance = entry.get("input"), entry.get("tolerance", 0.0)
    if not isinstance(name, str) or not name or "\0" in name:
        raise GoldenSetError(f"[{i}].input: expected the path of a file")
    if "expect" not in entry:
        raise GoldenSetError(f"[{i}].expect: is missing")
    if not _is_number(tolerance) or not 0 <= tolerance < math.inf:
        raise GoldenSetError(f"[{i}].tolerance: expected a number of at least 0")
    return Case(name, entry["expect"], tolerance)
