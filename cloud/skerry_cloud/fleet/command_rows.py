"""Rows of commands: what is asked, what a device said of it, and the lines that it sent for it."""

from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, update

from skerry_cloud.database import command_lines, commands, insert_new
from skerry_contract import shape
from skerry_contract.commands import FINAL, LogLines, Response, order

ISSUED = "issued"
"""State of a command of which the device has said nothing yet."""
MAX_LINES = 10_000
"""Lines of logs that are kept for one command."""


def keep_response(connection: Connection, device: str, command: str, said: Response) -> bool:
    """Store what a device says of a command, if it is new; return whether the end is stored now."""
    mine = (commands.c.id == command) & (commands.c.device == device)
    row = connection.execute(select(commands.c.state, commands.c.step).where(mine)).one_or_none()
    if row is None:
        # It was forgotten here: the device is to forget it, too.
        return said.state in FINAL
    if row.state in FINAL:
        return True
    known = (0, 0) if row.state == ISSUED else order(row.state, row.step)
    if order(said.state, said.step) > known:
        values = {
            "state": said.state,
            "step": said.step,
            "ts": said.ts,
            "text": said.text.replace("\0", "\ufffd"),
            "failure": shape.write(said.failure) if said.failure else None,
            "result": said.result,
            "revision": commands.c.revision + 1,
        }
        connection.execute(update(commands).where(mine).values(values))
    return said.state in FINAL


def keep_lines(connection: Connection, device: str, said: LogLines) -> int:
    """Store lines of a log; return how many are new. What nobody asked for is passed over."""
    mine = (commands.c.id == said.lease) & (commands.c.device == device)
    asked = connection.scalar(select(commands.c.type).where(mine))
    if asked != "logs" or said.first > MAX_LINES:
        return 0
    rows = [
        {"command": said.lease, "n": number, "text": line.replace("\0", "\ufffd")}
        for number, line in enumerate(said.lines, said.first)
        if number <= MAX_LINES
    ]
    insert_new(connection, command_lines, rows)
    return len(rows)


def forget_commands(connection: Connection, ids: Select[Any]) -> None:
    """Delete commands and their lines."""
    connection.execute(delete(command_lines).where(command_lines.c.command.in_(ids)))
    connection.execute(delete(commands).where(commands.c.id.in_(ids)))


def forget_old(connection: Connection, device: str, keep: int) -> None:
    """Delete all but the newest ``keep`` commands of a device."""
    newest = (
        select(commands.c.number)
        .where(commands.c.device == device)
        .order_by(commands.c.number.desc())
        .offset(keep)
        .limit(1)
    )
    last = connection.scalar(newest)
    if last is not None:
        old = (commands.c.device == device) & (commands.c.number <= last)
        forget_commands(connection, select(commands.c.id).where(old))


def count_lines(connection: Connection, command: str) -> int:
    """Return how many lines are stored for a command."""
    mine = command_lines.c.command == command
    return connection.scalar(select(func.count()).select_from(command_lines).where(mine)) or 0
