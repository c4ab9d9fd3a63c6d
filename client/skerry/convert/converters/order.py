"""Carry out one order: read it from a file, do it, write a report beside it."""

import importlib
import json
import os
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

PROGRESS = "skerry: "
"""In front of a line that people should see at once."""


class RefusedError(Exception):
    """The model cannot be converted as asked; the text says why, and the remedy what to do."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy


def main() -> None:
    """Carry out the order in the file that is named last, and write ``report.json``."""
    file = Path(sys.argv[-1])
    order = json.loads(file.read_bytes())
    try:
        module = importlib.import_module(f".{order['module']}", __package__)
        report = module.do(order)
    except RefusedError as error:
        report = _failed(str(error), error.remedy, "")
    except Exception as error:  # noqa: BLE001 - whatever a library raises belongs into the report
        text = f"{type(error).__name__}: {error}"
        report = _failed(text[:2000], "", traceback.format_exc()[-20_000:])
    made = file.parent / "report.json.new"
    made.write_text(json.dumps(report))
    made.replace(file.parent / "report.json")
    sys.stdout.flush()
    sys.stderr.flush()
    # Some libraries hang or crash while they are taken down; the report is written.
    os._exit(0)


def say(text: str) -> None:
    """Tell people how far it is."""
    sys.stdout.write(f"{PROGRESS}{text}\n")
    sys.stdout.flush()


def versions(*names: str) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _failed(text: str, remedy: str, detail: str) -> dict[str, Any]:
    return {"error": {"text": text, "remedy": remedy, "detail": detail}}
