"""Takes commands in, carries each out once, and says how far it is; ``core.commands`` decides.

Everything happens in the agent's loop, but for the work itself, which is a job. What is said of a
command's end is said again until the cloud confirms it.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from skerry_agent.core.commands import Record, after_start, begun, ended, receive
from skerry_agent.ed25519 import verify as verify_ed25519
from skerry_agent.home import Home
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.telling.command_journal import CommandJournal
from skerry_agent.telling.inbox import Inbox
from skerry_contract import shape
from skerry_contract.commands import (
    ARGS,
    FINAL,
    MAX_RESULT_BYTES,
    Args,
    Command,
    Response,
    read_args,
    verify_request,
)
from skerry_contract.errors import NoSpaceError, SkerryError

log = logging.getLogger(__name__)

RESEND_S = 60.0
"""Seconds after which what the cloud has not confirmed is said again."""
MAX_LEASES = 4
"""Logs that are sent at the same time."""
_WITHOUT_TURN = frozenset({"logs"})
"""Types that take long by nature and keep nobody waiting."""

Say = Callable[[str], None]
"""Tells people what is being done."""


class Actions(Protocol):
    """What can be done on this device."""

    def run(self, type_: str, args: Args, command: str, say: Say) -> Any:
        """Carry out a command and return its result; called in a thread of its own.

        Raises:
            SkerryError: Why it failed.
        """
        ...


class Mouth(Protocol):
    """What carries responses to the cloud."""

    def answer(self, tail: str, document: Any) -> None:
        """Send a document on a topic, and again after every connect until ``settle``."""
        ...

    def settle(self, tail: str) -> None:
        """Stop sending what was left for a topic."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who carries commands out.

    Attributes:
        home: The device folder.
        boot: Boot id of this run of the agent.
        machine: The kernel's boot id.
        now_text: Gives the time as text for people.
        stopping: Set when the agent ends.
    """

    home: Home
    boot: str
    machine: str
    now_text: Callable[[], str]
    stopping: threading.Event

    @property
    def allowed(self) -> tuple[str, ...]:
        """Types of commands that are carried out here."""
        can_reboot = bool(self.home.config.reboot)
        return tuple(sorted(one for one in ARGS if one != "reboot" or can_reboot))


@dataclass(frozen=True, slots=True)
class Links:
    """The two ways between cloud and device.

    Attributes:
        inbox: Requests and confirmations that have come.
        mouth: Carries responses.
    """

    inbox: Inbox
    mouth: Mouth


class Commander:
    """Carries out the commands of one device.

    Args:
        me: Who carries them out.
        journal: What is remembered of them.
        actions: What can be done.
        links: What has come, and what carries responses.
        jobs: Where the work runs.
    """

    def __init__(
        self, me: Identity, journal: CommandJournal, actions: Actions, links: Links, jobs: Jobs
    ) -> None:
        self._me = me
        self._inbox = links.inbox
        self._journal = journal
        self._actions = actions
        self._mouth = links.mouth
        self._jobs = jobs
        self._said_at = 0.0
        self._recovered = False
        self.refused = 0

    @property
    def allowed(self) -> tuple[str, ...]:
        """Types of commands that are carried out here."""
        return self._me.allowed

    def turn(self, now: float) -> None:
        """Take in what has come, and begin what may begin, at monotonic time ``now``.

        Raises:
            NoSpaceError: It cannot be written down; nothing was begun, and it comes again.
        """
        if not self._recovered:
            self._recover()
        for command in self._inbox.take_confirmed():
            self._settle(command)
        while (request := self._inbox.take_request()) is not None:
            self._take(request)
        for record in self._journal.book.waiting():
            if not self._is_held(record):
                self._begin(record)
        if now - self._said_at >= RESEND_S:
            self._said_at = now
            for record in self._journal.book.untold():
                if record.state in FINAL:
                    self._say(record)

    def _recover(self) -> None:
        """Settle what an earlier run of the agent left behind."""
        for record in self._journal.book.records:
            settled = after_start(record, self._me.boot, self._me.machine)
            if settled is not record:
                self._keep(settled)
        self._recovered = True

    # --- taking in ----------------------------------------------------------------------------

    def _take(self, request: bytes) -> None:
        try:
            command = self._verified(request)
        except SkerryError as error:
            # Anybody who may write to the broker can send this: it is worth no answer, and no disk.
            self.refused += 1
            log.warning("refused a command: %s", error)
            return
        book = self._journal.book
        known = book.find(command.id)
        if known is not None:
            self._say(known)
            return
        record = receive(command, book, datetime.now(UTC), self._me.allowed)
        if command.number <= book.floor:
            self._say(record)
            return
        try:
            self._keep(record)
        except NoSpaceError:
            self._inbox.put_request_back(request)
            raise
        log.info("command %s %s: %s", record.type, record.id, record.state)

    def _verified(self, request: bytes) -> Command:
        home = self._me.home
        return verify_request(
            request,
            trust=home.trust,
            fleet=home.config.fleet,
            device=home.config.device,
            check=verify_ed25519,
        )

    def _settle(self, command: str) -> None:
        record = self._journal.book.find(command)
        if record is not None and record.state in FINAL and not record.told:
            self._mouth.settle(_tail(record))
            self._journal.keep(replace(record, told=True))

    # --- doing --------------------------------------------------------------------------------

    def _is_held(self, record: Record) -> bool:
        """Return whether a command must wait for those before it."""
        under_way = [one for one in self._journal.book.records if one.state == "executing"]
        leases = [one for one in under_way if one.type in _WITHOUT_TURN]
        if record.type in _WITHOUT_TURN:
            return len(leases) >= MAX_LEASES
        return len(under_way) > len(leases)

    def _begin(self, record: Record) -> None:
        executing = begun(record, datetime.now(UTC), self._me.boot, self._me.machine)
        self._keep(executing)
        if executing.state != "executing":
            return
        args = read_args(record.type, record.args or {})
        results: list[Any] = []
        steps = count(1)

        def work() -> None:
            result = self._actions.run(record.type, args, record.id, progress)
            results.append(_bounded(result))

        def progress(text: str) -> None:
            # In the job's thread: it is said, and not written down.
            response = self._response(replace(executing, step=next(steps)), text)
            self._mouth.answer(_tail(record), response)

        def done(error: SkerryError | None) -> None:
            if error is not None and self._me.stopping.is_set():
                return  # what became of it is for the next start to tell
            self._end(ended(executing, error, results[0] if results else None))

        self._jobs.run(("command", record.id), work, done)

    def _end(self, record: Record) -> None:
        try:
            self._keep(record)
        except NoSpaceError as error:
            # It has happened. Should the agent end now, its next start says that nobody knows.
            log.warning("command %s %s: %s", record.type, record.id, error)
            self._journal.note(record)
            self._say(record)

    def _keep(self, record: Record) -> None:
        self._journal.keep(record)
        self._say(record)

    def _say(self, record: Record) -> None:
        self._mouth.answer(_tail(record), self._response(record))

    def _response(self, record: Record, text: str = "") -> Response:
        return Response(
            self._me.boot,
            self._me.now_text(),
            record.state,
            step=record.step,
            text=text[:2000],
            failure=record.failure,
            result=record.result,
        )


def _tail(record: Record) -> str:
    return f"cmd/{record.type}/{record.id}/res"


def _bounded(result: Any) -> Any:
    """Return a result, or why it is not there: it must fit into a response."""
    size = len(shape.dump(result))
    if size <= MAX_RESULT_BYTES:
        return result
    return {"left_out": f"{size} bytes, at most {MAX_RESULT_BYTES} are told"}
