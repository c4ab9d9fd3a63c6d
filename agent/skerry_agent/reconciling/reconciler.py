"""One round after another: look at the modules, judge what failed, decide, hand out the work.

What to do is decided in ``core``; what may take long is a job; the executor carries single orders
out. Kept here is only what cannot be seen in the world.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from skerry_agent.core.gate import Moment, waits
from skerry_agent.core.plan import is_change, is_switching, plan, target_of
from skerry_agent.core.steps import Commit
from skerry_agent.core.world import Key, Life, Modules, World, key_of
from skerry_agent.reconciling.clock import Clock
from skerry_agent.reconciling.hands import Hands
from skerry_agent.reconciling.history import History
from skerry_agent.reconciling.holds import Holds
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.judge import Case, Judge, Tell
from skerry_agent.reconciling.memory import Committed, Memory
from skerry_agent.reconciling.observer import Observer
from skerry_agent.reconciling.orders import Orders
from skerry_contract.desired import Desired, ModuleSpec, write_time
from skerry_contract.errors import ConflictError, ExpiredError, SkerryError
from skerry_contract.manifest import Window
from skerry_contract.messages import MAX_WAITS, BadRevision, Event, Failure, Wait
from skerry_contract.names import Digest

SWITCH_S = 120.0
"""Seconds that a switch may take, from the end of what ran, besides what three attempts of its
slowest module take."""
_LONGEST_ROUND_S = 5.0
"""What a round counts for at most: time in which nobody could be asked is not a module's."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What lasts longer than the agent.

    Attributes:
        memory: What must not be forgotten.
        holds: Who holds the switch back.
        windows: When this device may go over to another deployment, as its folder says.
    """

    memory: Memory
    holds: Holds
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentVerdict:
    """How it stands with the release of the agent that the desired document names, if it does.

    Attributes:
        wait: What the modules wait for while it comes and proves itself.
        refusal: Why it is refused here, and the whole document with it.
    """

    wait: Wait | None = None
    refusal: Failure | None = None


class Reconciler:
    """Brings the modules of this device to what is wanted; for one thread, that of the loop.

    Args:
        hands: Carries orders out and looks at instances.
        shelf: What lasts longer than the agent.
        jobs: Where long work runs.
        tell: Takes events.
        clock: What time it is.
    """

    def __init__(self, hands: Hands, shelf: Shelf, jobs: Jobs, tell: Tell, clock: Clock) -> None:
        self._hands = hands
        self._shelf = shelf
        self._jobs = jobs
        self._tell = tell
        self._clock = clock
        self._history = History(shelf.memory, clock.utc)
        self._observer = Observer(hands, jobs, clock)
        self._orders = Orders(hands, jobs, self._observer, self._history, clock, tell)
        self._judge = Judge(hands, self._observer, self._history, jobs, tell)
        self._desired: Desired | None = None
        self.committed = shelf.memory.committed()
        self.wanted: Modules = self.committed.modules
        self.expired = False
        self.world = World()
        self.waits: tuple[Wait, ...] = ()
        self.agent = AgentVerdict()
        self._waits_for_agent_known = False
        self.problem: SkerryError | None = None
        self._last_round = clock.monotonic()
        self._switch_s: float | None = None
        self._told_wait = 0
        self._has_forgiven = False

    # --- what the rest of the agent asks of it ------------------------------------------------

    def want(self, desired: Desired) -> None:
        """Work towards another desired document from now on."""
        self._desired = desired
        self._orders.begin(desired.modules, self.committed.modules)
        self._history.keep_only(self._specs().keys())
        self._switch_s = None

    @property
    def desired(self) -> Desired | None:
        """The desired document that was accepted last."""
        return self._desired

    @property
    def version(self) -> int:
        """Version of the desired document that was accepted last, 0 for none."""
        return self._desired.version if self._desired else 0

    @property
    def history(self) -> History:
        """What failed here."""
        return self._history

    def refusal(self) -> Failure | None:
        """Return why what is wanted is not carried out, if a revision of it is bad."""
        if self.agent.refusal is not None:
            return self.agent.refusal
        wanted = self._desired.modules if self._desired else {}
        revisions = {key_of(*pair) for pair in wanted.items()}
        found = (
            one.failure
            for one in reversed(self._history.bad)
            if Key(one.module, one.revision) in revisions
        )
        return next(found, None)

    def next_look(self) -> float | None:
        """Return the monotonic time at which to look at what starts; None if nothing does."""
        return self._observer.next_look()

    def serving(self) -> frozenset[str]:
        """Return the modules of which an instance serves."""
        seen = self.world.instances.items()
        return frozenset(key.module for key, one in seen if one.life is Life.SERVING)

    def ended(self) -> frozenset[str]:
        """Return the modules that have done what they were to do, and ended."""
        seen = self.world.instances.items()
        return frozenset(
            key.module for key, one in seen if one.life is Life.EXITED and one.status == 0
        )

    def holds_agent(self) -> bool:
        """Return whether another agent must not take over now, as far as anybody can tell.

        What holds it back is looked at in the first round after ``agent`` says that one is to come.
        """
        if not self._waits_for_agent_known:
            return True
        return any(wait.kind != "agent" for wait in self.waits)

    def condemn(self, bad: BadRevision) -> None:
        """Remember, on the disk, that something is not to be tried again.

        Raises:
            NoSpaceError: There is no room; it holds all the same, until the agent ends.
        """
        self._history.condemn(bad)
        self._history.save()

    def clear_bad(self, module: str | None = None) -> int:
        """Try refused revisions again, of one module or of all; return how many there were."""
        return self._history.forgive(module)

    def restart(self, key: Key) -> str:
        """Stop an instance, so that the next rounds start it again; return which run it was.

        Raises:
            ConflictError: It is being started or stopped just now, or has gone.
        """
        run = self._observer.run_of(key)
        if not run or self._jobs.busy(key):
            raise ConflictError(
                f"{key.module} is being started or stopped just now", remedy="Send it again."
            )
        self._history.pauses.passed(key)
        self._orders.stop(key)
        return run

    def serving_run(self, module: str) -> str:
        """Return which run of a module serves; empty if none does."""
        serving = (
            self._observer.run_of(key)
            for key, one in self.world.instances.items()
            if key.module == module and one.life is Life.SERVING
        )
        return next(serving, "")

    # --- a round ------------------------------------------------------------------------------

    def round(self, now: float) -> None:
        """Look, judge, decide and hand out work, at monotonic time ``now``.

        Raises:
            NoSpaceError: What was decided cannot be remembered; the next round tries again.
        """
        self.problem = self._orders.pull_problem
        self._forgive()
        specs = self._specs()
        try:
            instances = self._observer.look(specs, now)
            images = self._hands.images()
        except SkerryError as error:
            # Without eyes nothing is decided; what runs, runs on.
            self.problem = error
            self._waits_for_agent_known = False
            return
        case = Case(instances, specs, self.committed.modules, now)
        for key in self._judge.judge(case):
            self._orders.stop(key)
        self.wanted = self._choose_wanted()
        with self._shelf.holds.deciding():
            self._look_at_gate(instances)
            self.world = self._world(case, images)
            self._watch_switch(case)
            self._shelf.holds.say_switching(switching=self._switch_s is not None)
        for step in plan(self.wanted, self.committed.modules, self.world):
            if isinstance(step, Commit):
                self._commit(step.modules)
            else:
                self._orders.take(step, self.world, specs, self._failed)
        self._adopt_version()
        self._save()

    def _forgive(self) -> None:
        """Try again what was refused, if somebody on the device has asked for it."""
        if self._shelf.memory.is_asked_to_forgive() and not self._has_forgiven:
            self._history.forgive()
            self._has_forgiven = True

    def _save(self) -> None:
        self._history.save()
        if self._has_forgiven:
            self._shelf.memory.has_forgiven()
            self._has_forgiven = False

    def _specs(self) -> Mapping[Key, ModuleSpec]:
        """Return every spec that is wanted or committed, by key."""
        sets = (self.committed.modules, self._desired.modules if self._desired else {})
        return {key_of(name, spec): spec for one in sets for name, spec in one.items()}

    def _world(self, case: Case, images: frozenset[Digest]) -> World:
        pauses = self._history.pauses
        return World(
            images,
            case.instances,
            self._history.bad_keys(),
            frozenset(key for key in case.specs if pauses.holds(key, case.now)),
            held=bool(self.waits) and self._switch_s is None,
            tried=frozenset(self._history.tried),
        )

    def _choose_wanted(self) -> Modules:
        """Return what to work towards; an expired document is not installed any more."""
        desired, committed = self._desired, self.committed
        self.expired = False
        if desired is None or self.agent.refusal is not None:
            return committed.modules
        if desired.version != committed.version and self._clock.utc() >= desired.expires:
            self.expired = True
            self.problem = ExpiredError(
                f"desired version {desired.version} expired at {write_time(desired.expires)} "
                "before it was installed",
                remedy="Push the deployment again, or set the device's clock.",
            )
            return committed.modules
        return desired.modules

    def _failed(self, key: Key, failure: Failure) -> None:
        now = self._clock.monotonic()
        specs = self._specs()
        if key in specs:
            case = Case(self.world.instances, specs, self.committed.modules, now)
            self._judge.fail(key, failure, case)

    # --- the switch ---------------------------------------------------------------------------

    def _look_at_gate(self, instances: Mapping[Key, object]) -> None:
        """Find out what holds the switch back; a lock ends with the module that holds it."""
        running = {key.module for key in instances}
        holds = self._shelf.holds.current()
        for hold in holds:
            if hold.kind == "lock" and hold.owner not in running:
                self._shelf.holds.remove("lock", hold.owner)
        target = target_of(self.wanted, self.committed.modules, self._history.bad_keys())
        pending = is_change(target, self.committed.modules) or self.agent.wait is not None
        windows = self._windows() if pending and self.committed.modules else ()
        live = [hold for hold in holds if hold.kind != "lock" or hold.owner in running]
        self.waits = waits(live, windows, self._moment())
        self._waits_for_agent_known = self.agent.wait is not None
        if self.agent.wait is not None:
            self.waits = (*self.waits[: MAX_WAITS - 1], self.agent.wait)
        if pending and self.waits and self._told_wait != self.version:
            self._told_wait = self.version
            text = f"{self._deployment()} waits: {', '.join(wait.text for wait in self.waits)}"
            self._tell("held", Event("info", "OK", text))

    def _windows(self) -> tuple[tuple[Window, ...], ...]:
        return (self._desired.windows if self._desired else (), self._shelf.windows)

    def _moment(self) -> Moment:
        now = self._clock.utc()
        trusted = self._desired is None or now >= self._desired.time
        return Moment(now, now.astimezone(), trusted)

    def _watch_switch(self, case: Case) -> None:
        """Count the time that a switch takes, and end one that takes too long."""
        passed_s = min(case.now - self._last_round, _LONGEST_ROUND_S)
        self._last_round = case.now
        committed = self.committed.modules
        if not is_switching(self.wanted, committed, self.world):
            self._switch_s = None
            return
        gap = any(key_of(*pair) not in case.instances for pair in committed.items())
        self._switch_s = (self._switch_s or 0.0) + (passed_s if gap else 0.0)
        target = target_of(self.wanted, committed, self.world.bad)
        slowest_s = max((spec.run.probe.start_deadline_s for spec in target.values()), default=0)
        if self._switch_s > SWITCH_S + 3 * slowest_s:
            self._judge.give_up(target, case, self._switch_s)
            self._switch_s = None

    def _commit(self, modules: Modules) -> None:
        desired = self._desired
        if desired is None or modules != desired.modules:
            return
        committed = Committed(desired.version, desired.deployment, modules)
        self._shelf.memory.commit(committed)
        self.committed = committed
        self._switch_s = None
        for name, spec in modules.items():
            self._history.pauses.passed(key_of(name, spec))
        self._tell("committed", Event("info", "OK", f"{desired.deployment} is committed"))

    def _adopt_version(self) -> None:
        """Commit a new version that asks for just what is committed already."""
        desired, committed = self._desired, self.committed
        if (
            desired is not None
            and desired.version != committed.version
            and desired.modules == committed.modules
            and self.agent == AgentVerdict()
        ):
            self._commit(desired.modules)

    def _deployment(self) -> str:
        return self._desired.deployment if self._desired else ""
