"""What people and programs get to see: results on stdout, everything else on stderr.

With ``--output json`` stdout holds JSON and nothing else, failures included; only a command line
that cannot be understood is told on stderr alone. Tables are drawn for a
terminal and plain elsewhere, so that ``grep`` and ``cut`` see one line per thing, uncut.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from skerry_contract import shape
from skerry_contract.errors import SkerryError

Form = Literal["table", "json"]

_PLAIN_WIDTH = 100_000
"""Columns of a "terminal" that is a file: nothing is ever wrapped or cut there."""


class Output:
    """Where one command writes to.

    Args:
        form: How results are written.
        out: Takes results.
        err: Takes progress, notes and failures.
    """

    def __init__(self, form: Form, out: TextIO, err: TextIO) -> None:
        self.form = form
        self._out = out
        self._console = _console(out)
        self._notes = _console(err)

    @classmethod
    def standard(cls, form: Form) -> "Output":
        """Return the one that writes to stdout and stderr."""
        return cls(form, sys.stdout, sys.stderr)

    def result(self, value: Any, *parts: str | Table) -> None:
        """Write what the command was asked for.

        Args:
            value: The whole answer, for programs: plain JSON values or the contract's dataclasses.
            parts: The same for people.
        """
        if self.form == "json":
            self._out.write(json.dumps(shape.write(value), indent=2, ensure_ascii=False) + "\n")
            self._out.flush()
            return
        for part in parts:
            with self._console.capture() as drawn:
                self._console.print(part, soft_wrap=isinstance(part, str))
            # Tables pad their last column; files and pipes are better off without.
            self._out.writelines(f"{line.rstrip()}\n" for line in drawn.get().splitlines())
        self._out.flush()

    def line(self, value: Any, text: str) -> None:
        """Write one of an endless row of results: one line of JSON, or ``text``."""
        shown = json.dumps(shape.write(value), ensure_ascii=False) if self.form == "json" else text
        self._out.write(shown + "\n")
        self._out.flush()

    def note(self, text: str) -> None:
        """Tell people what goes on; never part of the result."""
        self._notes.print(printable(text), soft_wrap=True)

    def failure(self, error: SkerryError) -> None:
        """Say what went wrong and what to do about it."""
        self._notes.print(f"skerry: {printable(error.text)} [{error.code}]", soft_wrap=True)
        if error.remedy:
            self._notes.print(f"  {printable(error.remedy)}", soft_wrap=True)
        if error.detail:
            self._notes.print(_indented(error.detail), soft_wrap=True)
        if self.form == "json":
            parts = {"text": error.text, "remedy": error.remedy, "detail": error.detail}
            self.result({"error": {"code": error.code, **parts}})

    def progress(self) -> Progress:
        """Return a progress bar for bytes; it draws nothing where stderr is no terminal."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
        )
        quiet = not self._notes.is_terminal
        return Progress(*columns, console=self._notes, disable=quiet, transient=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
        """Return rows under headings, drawn as fits where they will be shown."""
        box = SIMPLE_HEAD if self._console.is_terminal else None
        table = Table(*columns, box=box, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(printable(str(cell)) for cell in row))
        return table


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return one "name  value" line per pair, aligned; pairs without a value are left out."""
    shown = [(name, printable(str(value))) for name, value in pairs if value not in ("", None)]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown)


def printable(text: str) -> str:
    """Return ``text`` without what could steer a terminal: it may come from a device."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "�", text)


def size_text(size_bytes: int) -> str:
    """Return a number of bytes as people read it: ``12.3 MiB``."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def count_text(count: int, noun: str) -> str:
    """Return how many there are, as people say it: ``1 file``, ``2 files``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def short(digest: str) -> str:
    """Return enough of a digest to tell it from others."""
    return digest[:19] if digest.startswith("sha256:") else digest


def _indented(text: str) -> str:
    return "\n".join(f"  | {printable(line)}" for line in text.splitlines())


def _console(stream: TextIO) -> Console:
    # Data may look like markup or emoji codes; it is shown as it is.
    console = Console(file=stream, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console
