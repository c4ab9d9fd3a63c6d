"""Request bodies to profile with: JSON lines, one column of a CSV file, or a folder of files."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry_contract.errors import ScorerError

MAX_BYTES = 256 * 1024 * 1024
"""Of all bodies together."""
TEXT = frozenset({".json", ".jsonl", ".ndjson", ".txt", ".csv"})
_REMEDY = "Give request bodies with -d: JSON lines, a CSV file of one column, or a folder of files."


@dataclass(frozen=True, slots=True)
class Body:
    """What one request carries."""

    name: str
    data: bytes
    content_type: str


def read(path: Path) -> list[Body]:
    """Return the bodies in a file or folder, in order.

    Raises:
        ScorerError: There are none, or too many bytes of them.
        OSError: They cannot be read.
    """
    if not path.exists():
        raise ScorerError(f"there is no {path}", remedy=_REMEDY)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.is_file() and one.name[0] != ".")
    else:
        files = [path]
    if sum(one.stat().st_size for one in files) > MAX_BYTES:
        raise ScorerError(f"{path} has more than {MAX_BYTES} bytes", remedy="Take fewer samples.")
    found = [body for file in files for body in _bodies(file, single=path.is_dir())]
    if not found:
        raise ScorerError(f"{path} holds no request bodies", remedy=_REMEDY)
    return found


def texts(given: Sequence[str | bytes]) -> list[Body]:
    """Return the bodies that a caller has at hand: texts are JSON, bytes as they are.

    Raises:
        ScorerError: There are none.
    """
    if not given:
        raise ScorerError("there are no request bodies to profile with", remedy=_REMEDY)
    return [
        Body(f"input {n}", one.encode(), "application/json")
        if isinstance(one, str)
        else Body(f"input {n}", one, "application/octet-stream")
        for n, one in enumerate(given, start=1)
    ]


def golden(folder: Path) -> list[Body]:
    """Return the inputs of a scorer's golden set.

    Raises:
        ScorerError: It has none.
    """
    try:
        cases = json.loads((folder / "golden.json").read_bytes())
        return [_whole(folder / case["input"]) for case in cases]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ScorerError(f"{folder} has no usable golden set", remedy=_REMEDY) from error


def _bodies(file: Path, *, single: bool) -> list[Body]:
    if single or file.suffix not in {".jsonl", ".ndjson", ".csv"}:
        return [_whole(file)]
    text = file.read_text("utf-8")
    if file.suffix == ".csv":
        cells = [row[0] for row in csv.reader(text.splitlines()) if row][1:]  # a heading first
    else:
        cells = [line for line in text.splitlines() if line.strip()]
    return [
        Body(f"{file.name}:{number}", cell.encode(), "application/json")
        for number, cell in enumerate(cells, start=1)
    ]


def _whole(file: Path) -> Body:
    kind = "application/json" if file.suffix in TEXT else "application/octet-stream"
    return Body(file.name, file.read_bytes(), kind)
