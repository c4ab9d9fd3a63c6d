"""Carry out what ``core.agent_update`` decides: bring a release here, switch, prove, take note."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from skerry_agent.core.agent_update import (
    Fetch,
    GiveUp,
    Keep,
    Note,
    Step,
    Switch,
    View,
    is_pending,
    next_step,
)
from skerry_agent.core.pauses import Pauses
from skerry_agent.launcher import MAX_TRIES, Record
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.orders import BLOBS
from skerry_agent.reconciling.reconciler import AgentVerdict
from skerry_agent.updating.releases import Releases
from skerry_contract.desired import AgentSpec, write_time
from skerry_contract.errors import (
    AgentError,
    ContractError,
    NetworkError,
    NoSpaceError,
    SkerryError,
)
from skerry_contract.messages import BadRevision, Event, Failure, Wait, failure_of

log = logging.getLogger(__name__)

AGENT = "skerry-agent"
"""Under this name a refused release stands among the refused modules."""
MAX_AWAY = 3
"""Trials that ended because the broker was away; the last one condemns the release."""
AWAY_S = 600.0
"""Pause after the first of them; it doubles."""

Tell = Callable[[str, Event], None]
"""Called with the type of an event and the event."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the agent sees besides.

    Attributes:
        linked: Whether the broker was reached since the start.
        serving: Modules that serve.
        ended: Modules that have ended in good order.
        held: Whether somebody holds switches back.
        bad: What was refused on this device, by module and digest.
        now: Monotonic time.
    """

    linked: bool
    serving: frozenset[str]
    ended: frozenset[str]
    held: bool
    bad: Mapping[tuple[str, str], Failure]
    now: float


@dataclass(frozen=True, slots=True)
class Ways:
    """What else of the agent this needs.

    Attributes:
        fetch: Brings a release onto the device.
        tell: Takes events.
        condemn: Remembers that a release is not to be tried again, or raises NoSpaceError.
    """

    fetch: Callable[[AgentSpec, Releases], None]
    tell: Tell
    condemn: Callable[[BadRevision], None]


class Updater:
    """Replaces the agent by the one that is wanted; for one thread, that of the loop.

    Args:
        releases: Those on the disk.
        running: The one that runs; None where no launcher started this agent.
        ways: How the rest is done.
        jobs: Where what takes long runs.
    """

    def __init__(self, releases: Releases, running: str | None, ways: Ways, jobs: Jobs) -> None:
        self._releases = releases
        self._running = running
        self._ways = ways
        self._jobs = jobs
        self._pauses = Pauses()
        self._record = releases.record()
        self._since = time.monotonic()
        self._wanted: AgentSpec | None = None
        self._pending = False
        self.problem: SkerryError | None = None

    def want(self, wanted: AgentSpec | None) -> None:
        """Work towards another release from now on; None for whichever runs."""
        self._wanted = wanted

    def turn(self, sight: Sight) -> bool:
        """Do the next step, and return whether the launcher shall choose anew.

        Raises:
            NoSpaceError: It could not be written; the next turn tries again.
        """
        if self._running is None:
            self._say_that_nobody_launched_it()
            return False
        view = self._view(self._running, sight)
        self._pending = is_pending(view)
        step = next_step(view)
        return step is not None and self._take(step, sight)

    def verdict(self, sight: Sight) -> AgentVerdict:
        """Return what the modules have to know of it."""
        wanted = self._wanted
        refusal = sight.bad.get((AGENT, wanted.digest)) if wanted else None
        if refusal is not None or not self._pending:
            return AgentVerdict(refusal=refusal)
        return AgentVerdict(Wait("agent", AGENT, f"the agent {self._image()} comes first"))

    def _view(self, running: str, sight: Sight) -> View:
        wanted = _name(self._wanted.digest) if self._wanted else ""
        refused = {_name(digest) for module, digest in sight.bad if module == AGENT}
        return View(
            wanted,
            running,
            self._record,
            self._releases.here(),
            frozenset(refused),
            self._pauses.holds(wanted, sight.now) or self._jobs.busy(BLOBS),
            sight.held,
            sight.linked,
            sight.serving,
            sight.ended,
            sight.now - self._since,
        )

    def _take(self, step: Step, sight: Sight) -> bool:
        match step:
            case Fetch():
                self._bring()
                return False
            case Keep(record):
                self._keep(record)
                return False
            case Note(release):
                self._note(release, sight)
                return False
            case Switch(record):
                self._write(record)
                self._event("agent-switching", f"{self._image()} is tried")
                return True
            case GiveUp(record):
                why = failure_of(_why(step, self._image()))
                self._releases.say_why(record.fallen, why)
                self._write(record)
                return True

    def _bring(self) -> None:
        wanted = self._wanted
        if wanted is None:
            return
        name = _name(wanted.digest)

        def done(error: SkerryError | None) -> None:
            self.problem = error
            if error is None:
                self._pauses.passed(name)
                return
            pause_s = self._pauses.failed(name, time.monotonic())
            log.warning("%s: %s; next try in %.1f s", wanted.image, error, pause_s)
            if isinstance(error, ContractError):
                # These bytes will never be another thing. If there is no room to write that
                # down just now, the next round does.
                with suppress(NoSpaceError):
                    self._condemn(name, wanted.image, failure_of(error))
                self.problem = None

        self._jobs.run(BLOBS, lambda: self._ways.fetch(wanted, self._releases), done)

    def _keep(self, record: Record) -> None:
        proved = record.good != self._record.good
        self._write(record)
        if proved:
            self._releases.keep(record.good, record.before)
            self._event("agent-kept", f"{self._image()} has proved itself")

    def _note(self, release: str, sight: Sight) -> None:
        """Refuse what was given up; if only the broker was missing, not for the first times."""
        why = self._releases.why(release)
        if why is not None and why.code == NetworkError.code:
            count = self._releases.count_away(release)
            if count < MAX_AWAY:
                self._pauses.rest(release, sight.now + AWAY_S * 2 ** (count - 1))
                self._write(replace(self._record, fallen=""))
                return
        wanted = self._wanted
        image = wanted.image if wanted and _name(wanted.digest) == release else AGENT
        self._condemn(release, image, why or failure_of(_fell(image)))
        self._releases.remove(release)
        self._write(replace(self._record, fallen=""))

    def _condemn(self, release: str, image: str, why: Failure) -> None:
        now = write_time(datetime.now(UTC))
        bad = BadRevision(AGENT, image, f"sha256:{release}", release[:12], why, now)
        self._ways.condemn(bad)
        self._ways.tell("agent-refused", Event("error", why.code, why.text, AGENT, why.detail))

    def _write(self, record: Record) -> None:
        self._releases.write(record)
        self._record = record

    def _say_that_nobody_launched_it(self) -> None:
        self._pending = False
        self.problem = None
        if self._wanted is not None:
            self.problem = AgentError(
                f"{self._wanted.image} is wanted, and this agent cannot replace itself",
                remedy="Start it with run.sh of the device folder, or flash the device again.",
            )

    def _image(self) -> str:
        return self._wanted.image if self._wanted else AGENT

    def _event(self, kind: str, text: str) -> None:
        self._ways.tell(kind, Event("info", "OK", text, AGENT))


def _name(digest: str) -> str:
    """Return the name of a release."""
    return digest.removeprefix("sha256:")


def _why(step: GiveUp, image: str) -> SkerryError:
    if step.linked:
        missing = ", ".join(sorted(step.missing))
        return AgentError(
            f"{image}: modules that served before did not serve in time: {missing}",
            remedy="See the device's log; then publish a release that works, or clear-bad.",
        )
    return NetworkError(f"{image}: the broker was not reached in time")


def _fell(image: str) -> SkerryError:
    return AgentError(
        f"{image}: ended or hung {MAX_TRIES} times before it had proved itself",
        remedy="See the device's log; then publish a release that works, or clear-bad.",
    )
