"""What a person on the device gets to see: read from files, so it works with the agent dead."""

import json
import time
from collections.abc import Iterator
from typing import Any

from skerry_agent import hold_commands
from skerry_agent.core.commands import Book
from skerry_agent.home import STATUS_FILE, Home
from skerry_agent.telling.outbox import Level, peek
from skerry_contract import shape
from skerry_contract.errors import ContractError, SkerryError
from skerry_contract.messages import Wait

SHOWN_COMMANDS = 5
_MAX_BYTES = 4 * 1024 * 1024


def left_status(home: Home) -> dict[str, Any]:
    """Return what the agent left behind last, its outbox and its newest commands included."""
    try:
        left = json.loads((home.state / STATUS_FILE).read_bytes())
    except (OSError, ValueError):
        left = None
    found = left if isinstance(left, dict) else {"link": None, "reported": None}
    try:
        level = peek(home.state / "outbox.db")
    except SkerryError:
        level = None
    return {
        **found,
        "outbox": _outbox(level) if level else None,
        "commands": [shape.write(one) for one in _book(home).records[-SHOWN_COMMANDS:]],
    }


def status_lines(home: Home, left: dict[str, Any], *, alive: bool) -> Iterator[str]:
    """Yield the lines of a status for people.

    Args:
        home: The device folder.
        left: What ``left_status`` returned.
        alive: Whether the agent runs.
    """
    yield f"device      {home.config.fleet}/{home.config.device}"
    yield f"agent       {'running' if alive else 'not running'}"
    if alive and left["link"]:
        connected = left["link"].get("connected")
        yield f"broker      {'connected' if connected else 'not connected'}"
        yield from _failure_lines(left["link"].get("problem"))
    yield from _outbox_lines(left["outbox"])
    yield from hold_commands.hold_lines(home)
    report = left["reported"]
    if report is None:
        yield "report      none yet"
    else:
        yield from _report_lines(report)
    for one in left["commands"]:
        yield f"command     {one['type']}: {one['state']} ({one['id']})"
        yield from _failure_lines(one.get("failure"))


def _report_lines(report: dict[str, Any]) -> Iterator[str]:
    deployment = report.get("deployment") or "none"
    yield f"deployment  {deployment} (version {report.get('version', 0)}): {report.get('phase')}"
    now = time.strftime("%H:%M:%S UTC", time.gmtime())
    yield f"as of       {report.get('ts')} ({now} now)"
    if report.get("phase") == "held":
        waits = [shape.read(Wait, wait) for wait in report.get("waits", [])]
        yield from (f"waits for   {wait.text}" for wait in waits)
    progress = report.get("progress") or {}
    if report.get("phase") == "pulling" and progress.get("total"):
        have = progress.get("present", 0) + progress.get("pulled", 0)
        yield f"pulled      {have * 100 // progress['total']} % of {progress['total']} bytes"
    for name, module in report.get("modules", {}).items():
        waits_for = f" ({module['waits']})" if module.get("waits") else ""
        yield f"module      {name}: {module['state']}, {module['image']}{waits_for}"
        yield from _failure_lines(module.get("failure"))
    yield from _failure_lines(report.get("failure"))
    for bad in report.get("bad", []):
        yield f"refused     {bad['module']}: {bad['image']} at {bad['ts']}"
        yield from _failure_lines(bad.get("failure"))


def _outbox_lines(outbox: dict[str, Any] | None) -> Iterator[str]:
    if outbox is None:
        return
    dropped = "".join(f", {n} given up ({why})" for why, n in outbox["dropped"].items())
    yield f"outbox      {outbox['rows']} items wait, {outbox['size_bytes']} bytes{dropped}"


def _outbox(level: Level) -> dict[str, Any]:
    return {"rows": level.rows, "size_bytes": level.size_bytes, "dropped": level.dropped}


def _book(home: Home) -> Book:
    try:
        data = (home.state / "commands.json").read_bytes()
        return shape.parse(Book, data, max_bytes=_MAX_BYTES)
    except (OSError, ContractError):
        return Book()


def _failure_lines(failure: dict[str, Any] | None) -> list[str]:
    if not failure:
        return []
    lines = [f"  [{failure['code']}] {failure['text']}"]
    lines += [f"  {line}" for line in failure.get("detail", "").splitlines()]
    return [*lines, f"  → {failure['remedy']}"] if failure.get("remedy") else lines
