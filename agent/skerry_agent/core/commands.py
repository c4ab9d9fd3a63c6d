"""Decide what becomes of a command: at most once in effect, whatever is repeated or cut off.

| event | given | the command becomes |
|---|---|---|
| request | its id is known here | what it was: said again, not done again |
| | its number is below all that is remembered | rejected: it was seen, or is from a lost server |
| | its type or an argument is not known, or not allowed here | rejected |
| | its deadline has passed | expired |
| | too many wait | rejected |
| | none of these | accepted |
| its turn | accepted, in time | executing: written down first, then begun |
| | accepted, deadline has passed | expired |
| it ends | executing | successful or failed |
| the agent starts | accepted | accepted: it was not begun |
| | executing, a restart that did happen | successful |
| | executing, anything else | failed: begun, and never begun again |
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from skerry_contract import commands
from skerry_contract.commands import FINAL, Command, CommandId, CommandState, read_args
from skerry_contract.desired import UtcTime, read_time, write_time
from skerry_contract.errors import CommandError, ContractError, ExpiredError, SkerryError
from skerry_contract.manifest import Name
from skerry_contract.messages import Count, Failure, failure_of
from skerry_contract.shape import Size

MAX_WAITING = 16
"""Commands that may wait for their turn; more are rejected."""
MAX_RECORDS = 64
"""Commands that are remembered, the newest; older numbers are not taken any more."""
MAX_RESULTS = 8
"""Of those, how many keep the result that the cloud has not confirmed."""


@dataclass(frozen=True, slots=True)
class Record:
    """One command, as it is remembered.

    Attributes:
        id: Its id.
        number: Its number.
        type: What to do.
        deadline: After this it is not begun any more.
        state: How far it is.
        args: Its arguments, as they came.
        step: Counts up within one state.
        boot: Boot id of the agent that began it.
        machine: The kernel's boot id when it began.
        failure: Why it was rejected, expired or failed.
        result: What came of it.
        told: Whether the cloud has confirmed its end.
    """

    id: CommandId
    number: Count
    type: Name
    deadline: UtcTime
    state: CommandState
    args: Any = None
    step: Count = 0
    boot: str = ""
    machine: str = ""
    failure: Failure | None = None
    result: Any = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """Every command that is remembered.

    Attributes:
        floor: The highest number that was forgotten.
        records: The others, by number.
    """

    floor: Count = 0
    records: Annotated[tuple[Record, ...], Size(0, 4 * MAX_RECORDS)] = ()

    def find(self, command: str) -> Record | None:
        """Return what is remembered of a command."""
        return next((one for one in self.records if one.id == command), None)

    def with_record(self, record: Record) -> "Book":
        """Return the book with a record added or changed, and the oldest ends forgotten."""
        others = [one for one in self.records if one.id != record.id]
        records = sorted([*others, record], key=lambda one: one.number)
        floor = self.floor
        while len(records) > MAX_RECORDS and records[0].state in FINAL:
            floor = max(floor, records.pop(0).number)
        return Book(floor, tuple(_lightened(records)))

    def waiting(self) -> list[Record]:
        """Return what was accepted and not begun, in the order of the numbers."""
        return [one for one in self.records if one.state == "accepted"]

    def untold(self) -> list[Record]:
        """Return what the cloud has not confirmed the end of."""
        return [one for one in self.records if not one.told]


def receive(command: Command, book: Book, now: datetime, allowed: Collection[str]) -> Record:
    """Return the record of a verified request: the one that there is, or a new one.

    Args:
        command: The request.
        book: What is remembered.
        now: The device's idea of the time.
        allowed: Types that may be carried out here.
    """
    known = book.find(command.id)
    if known is not None:
        return known
    record = Record(
        command.id,
        command.number,
        command.type,
        write_time(command.deadline),
        "accepted",
        dict(command.args),
    )
    if command.number <= book.floor:
        text = f"its number {command.number} is not above {book.floor}, which came before"
        return rejected(
            record,
            CommandError(text, remedy="If the server lost its database, flash the device again."),
        )
    if command.type in commands.ARGS and command.type not in allowed:
        text = f"{command.type} is not allowed on this device"
        return rejected(record, CommandError(text, remedy="See 'reboot' in its device.json."))
    try:
        read_args(command.type, command.args)
    except ContractError as error:
        return rejected(record, error)
    if now >= command.deadline:
        return expired(record, now)
    if len(book.waiting()) >= MAX_WAITING:
        text = f"{MAX_WAITING} commands wait already"
        return rejected(record, CommandError(text, remedy="Send it again when they are done."))
    return record


def begun(record: Record, now: datetime, boot: str, machine: str) -> Record:
    """Return an accepted record when it is its turn: executing, or expired."""
    if now >= read_time(record.deadline):
        return expired(record, now)
    return replace(record, state="executing", boot=boot, machine=machine)


def ended(record: Record, error: SkerryError | None, result: Any = None) -> Record:
    """Return a record whose work has ended."""
    if error is not None:
        return replace(record, state="failed", failure=failure_of(error))
    return replace(record, state="successful", result=result)


def after_start(record: Record, boot: str, machine: str) -> Record:
    """Return what becomes of a record when the agent starts.

    Args:
        record: What was written down before.
        boot: Boot id of the agent that starts.
        machine: The kernel's boot id.
    """
    if record.state != "executing" or record.boot == boot:
        return record
    restarts_agent = record.type == "restart" and not (record.args or {}).get("module")
    if restarts_agent or (record.type == "reboot" and machine != record.machine):
        return replace(record, state="successful", result={"boot": boot})
    text = f"the agent ended while it carried out {record.type}, which may have taken effect"
    return ended(record, CommandError(text, remedy="Look at the device, and send it again."))


def rejected(record: Record, error: SkerryError) -> Record:
    """Return a record that is not carried out."""
    return replace(record, state="rejected", failure=failure_of(error))


def expired(record: Record, now: datetime) -> Record:
    """Return a record whose deadline has passed."""
    error = ExpiredError(
        f"its deadline was {record.deadline}, and on the device it is {write_time(now)}",
        remedy="Send it again with a longer --deadline; is the device's clock right?",
    )
    return replace(record, state="expired", failure=failure_of(error))


def _lightened(records: Sequence[Record]) -> list[Record]:
    """Return the records, without results that were confirmed or are too many to keep."""
    keep = {one.id for one in [one for one in records if not one.told][-MAX_RESULTS:]}
    return [
        one if one.result is None or one.id in keep else replace(one, result=None)
        for one in records
    ]
