"""The resident program: wires the parts together, and turns its loop until it is told to stop.

A turn takes in what has come (desired documents, ended jobs), lets the reconciler do a round, and
says what has changed. The loop sleeps until something happens or the next look is due; nothing in
it waits for the network or for a disk that is slow.
"""

import logging
import platform
import shutil
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import skerry_contract
from skerry_agent import launcher
from skerry_agent.core.report import state_of
from skerry_agent.data_meter import DataMeter
from skerry_agent.ed25519 import verify as verify_ed25519
from skerry_agent.executor import Executor
from skerry_agent.home import STATUS_FILE, Home
from skerry_agent.reconciling.clock import machine_clock
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.reconciler import Reconciler, Shelf
from skerry_agent.reconciling.reporting import Heading, report
from skerry_agent.telling.actions import Device, DeviceActions
from skerry_agent.telling.age_clock import AgeClock
from skerry_agent.telling.calls import Calls
from skerry_agent.telling.command_journal import CommandJournal, machine_boot
from skerry_agent.telling.commander import Commander, Identity, Links
from skerry_agent.telling.crashes import CrashWatch, catch_faults
from skerry_agent.telling.health import Metrics, memory_total_bytes
from skerry_agent.telling.heart import Heart, Organs
from skerry_agent.telling.inbox import Inbox
from skerry_agent.telling.log_shipper import LogShipper
from skerry_agent.telling.modules import LoopModules
from skerry_agent.telling.outbox import Outbox
from skerry_agent.telling.prometheus import MetricsPage
from skerry_agent.telling.teller import Teller, now_text
from skerry_agent.telling.uplink import Uplink
from skerry_agent.updating.releases import Releases
from skerry_agent.updating.updater import Sight, Updater, Ways
from skerry_contract import shape, topics
from skerry_contract.desired import Desired
from skerry_contract.envelope import check_fresh, verify
from skerry_contract.errors import ConflictError, NoSpaceError, SkerryError
from skerry_contract.messages import (
    MAX_TEXT_CHARS,
    Caps,
    Event,
    Reported,
    failure_of,
)

log = logging.getLogger(__name__)

BUSY_TURN_S = 0.2
"""Longest sleep while an update is under way."""
IDLE_TURN_S = 2.0
"""Longest sleep otherwise: how late a crash may be noticed."""
REPORT_S = 0.5
"""Reports of mere progress are at least this far apart."""
STOP_S = 15.0
"""How long a clean stop may wait for jobs that run."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the agent is made of; ``skerry_agent.assembly`` puts it together.

    Attributes:
        home: The device folder.
        boot: Boot id of this run of the agent.
        shelf: What must not be forgotten.
        executor: Carries orders out.
        outbox: What the device has to tell.
        clock: By which its age is told.
        uplink: The connection to the broker.
        teller: Stores what there is to tell.
        inbox: Desired documents that come in.
        meter: Counts what crosses the network.
        platform: OCI platform of this machine.
        releases: Releases of the agent on this device.
        release: The one that runs; None where no launcher started it.
    """

    home: Home
    boot: str
    shelf: Shelf
    executor: Executor
    outbox: Outbox
    clock: AgeClock
    uplink: Uplink
    teller: Teller
    inbox: Inbox
    meter: DataMeter
    platform: str
    releases: Releases
    release: str | None


class Agent:
    """The agent of one device folder.

    Args:
        parts: What it is made of.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._woken = parts.inbox.woken
        self._stopping = threading.Event()
        self._uplink = parts.uplink
        self._metrics = Metrics(parts.home.state, parts.uplink.connected_s)
        self._jobs = Jobs(self._woken.set)
        self._reconciler = Reconciler(
            parts.executor, parts.shelf, self._jobs, self._tell, machine_clock()
        )
        self._calls = Calls(self._woken.set)
        self._commander = self._make_commander()
        ways = Ways(parts.executor.fetch_agent, self._tell, self._reconciler.condemn)
        self._updater = Updater(parts.releases, parts.release, ways, self._jobs)
        self._heart = self._make_heart()
        self._crashes = CrashWatch(parts.home.state)
        self.restarts = False
        self._refusal: SkerryError | None = None
        self._full: NoSpaceError | None = None
        self._said: Reported | None = None
        self._said_at = 0.0
        self._said_caps = False
        self._status = b""

    def run(self) -> None:
        """Work until ``stop`` or ``restart`` is called; then end in good order."""
        self._remember()
        self._tell_crash()
        self._uplink.start()
        page = self._open_page()
        while not self._stopping.is_set():
            launcher.alive()
            self._turn()
            self._woken.wait(self._pause_s(time.monotonic()))
            self._woken.clear()
        if page is not None:
            page.close()
        self._end()

    def stop(self) -> None:
        """Make ``run`` return soon; safe to call from a signal handler."""
        self._stopping.set()
        self._woken.set()

    def restart(self) -> None:
        """Make ``run`` return soon, with ``restarts`` set and the modules left running."""
        self.restarts = True
        self.stop()

    def _make_heart(self) -> Heart:
        parts = self._parts
        organs = Organs(
            self._metrics, parts.outbox, parts.clock, parts.meter, parts.executor, parts.uplink
        )
        return Heart(parts.boot, parts.home.config.heartbeat_s, organs, now_text, self._jobs)

    def _open_page(self) -> MetricsPage | None:
        port = self._parts.home.config.metrics_port
        if not port:
            return None
        try:
            return MetricsPage(port, lambda: self._heart.page(self._uplink.state))
        except ConflictError as error:
            log.warning("%s", error)
            return None

    def _make_commander(self) -> Commander:
        parts = self._parts
        modules = LoopModules(self._reconciler, parts.executor, self._calls, parts.home.state)
        shipper = LogShipper(parts.boot, modules.log, parts.uplink.ship, now_text)
        device = Device(parts.home, modules, shipper, self.restart, self._stopping)
        me = Identity(parts.home, parts.boot, machine_boot(), now_text, self._stopping)
        journal = CommandJournal(parts.home.state / "commands.json")
        links = Links(parts.inbox, parts.uplink)
        return Commander(me, journal, DeviceActions(device), links, self._jobs)

    def _turn(self) -> None:
        self._jobs.collect()
        self._calls.answer()
        before, self._full = self._full, None
        turns = (
            self._take_desired,
            self._update,
            self._reconcile,
            self._command,
            self._beat,
        )
        for work in turns:
            try:
                work()
            except NoSpaceError as error:
                # The next turn tries again; meanwhile what runs is looked after all the same.
                self._full = error
        if self._full is not None and str(self._full) != str(before):
            log.warning("%s", self._full)
        self._report()

    def _update(self) -> None:
        """See to the agent itself, before anything that may need the agent that is wanted."""
        reconciler = self._reconciler
        self._updater.want(reconciler.desired.agent if reconciler.desired else None)
        sight = Sight(
            linked=self._uplink.connected_s() > 0,
            serving=reconciler.serving(),
            ended=reconciler.ended(),
            held=reconciler.holds_agent(),
            bad={(one.module, one.digest): one.failure for one in reconciler.history.bad},
            now=time.monotonic(),
        )
        if self._updater.turn(sight):
            self.restart()
        reconciler.agent = self._updater.verdict(sight)

    def _reconcile(self) -> None:
        self._reconciler.round(time.monotonic())

    def _command(self) -> None:
        self._commander.turn(time.monotonic())
        self._metrics.commands_refused = self._commander.refused

    def _end(self) -> None:
        self._calls.close()
        self._jobs.join(STOP_S)
        self._jobs.collect()
        if not self.restarts:
            self._parts.executor.stop_all()
            self._uplink.set_state("disconnected")
        self._uplink.stop()
        self._parts.outbox.close()
        self._parts.clock.save()
        self._crashes.end()
        self._parts.meter.close()
        launcher.done()

    # --- desired documents --------------------------------------------------------------------

    def _remember(self) -> None:
        """Work towards what was accepted before, as long as it still verifies."""
        envelope = self._parts.shelf.memory.accepted()
        if envelope is None:
            return
        try:
            self._reconciler.want(self._verified(envelope))
        except SkerryError as error:
            log.warning("what was accepted before is not believed any more: %s", error)

    def _take_desired(self) -> None:
        envelope = self._parts.inbox.take()
        if envelope is None:
            return
        try:
            desired = self._verified(envelope)
            seen = self._reconciler.version
            if desired.version != seen:  # brokers repeat what they retain, also after it expired
                check_fresh(desired, seen_version=seen, now=datetime.now(UTC))
        except SkerryError as error:
            self._refuse(error)
            return
        if desired.version != seen:
            try:
                self._parts.shelf.memory.accept(envelope)
            except NoSpaceError:
                self._parts.inbox.put_back(envelope)
                raise
            self._reconciler.want(desired)
            log.info("accepted desired version %d: %s", desired.version, desired.deployment)
        self._refusal = None
        self._metrics.sync_successful += 1

    def _verified(self, envelope: bytes) -> Desired:
        home = self._parts.home
        return verify(
            envelope,
            trust=home.trust,
            fleet=home.config.fleet,
            device=home.config.device,
            check=verify_ed25519,
        )

    def _refuse(self, error: SkerryError) -> None:
        log.warning("refused a desired document: %s", error)
        self._metrics.sync_failure += 1
        self._refusal = error
        self._tell("refused", Event("error", error.code, error.text[:MAX_TEXT_CHARS]))

    # --- telling ------------------------------------------------------------------------------

    def _tell_crash(self) -> None:
        """Tell how the run before has ended, if that was no good end."""
        event = self._crashes.begin()
        self._faults = catch_faults(self._parts.home.state)
        if event is not None:
            log.warning("%s", event.text)
            self._metrics.crashed()
            self._parts.teller.event("agent-crashed", event)

    def _tell(self, kind: str, event: Event) -> None:
        if kind == "failed":
            self._metrics.crashed()
        self._parts.teller.event(kind, event)

    def _report(self) -> None:
        report = self._reported()
        if self._is_news(report):
            self._said, self._said_at = report, time.monotonic()
            self._uplink.publish(topics.REPORTED, report)
            self._uplink.set_state(state_of(report.phase, report.modules))
        self._write_status()

    def _is_news(self, report: Reported) -> bool:
        """Return whether a report says something else than the last one; progress may wait."""
        said = self._said
        if said is None:
            return True
        same_time = replace(report, ts=said.ts)
        if replace(same_time, progress=said.progress) != said:
            return True
        return same_time != said and time.monotonic() - self._said_at >= REPORT_S

    def _reported(self) -> Reported:
        heading = Heading(
            self._parts.boot,
            now_text(),
            self._refusal or self._full or self._updater.problem,
            self._parts.executor.progress(),
        )
        return report(self._reconciler, heading)

    def _beat(self) -> None:
        if self._heart.beat(time.monotonic(), self._reconciler):
            self._say_caps()

    def _say_caps(self) -> None:
        """Say what this device can do, once its runtime answers."""
        if self._said_caps:
            return
        try:
            self._uplink.publish(topics.CAPS, self._caps())
            self._said_caps = True
        except SkerryError as error:
            log.warning("caps: %s", error)

    def _caps(self) -> Caps:
        home = self._parts.home
        return Caps(
            boot=self._parts.boot,
            ts=now_text(),
            agent=skerry_contract.__version__,
            platform=self._parts.platform,
            python=platform.python_version(),
            runtime=self._parts.executor.caps(),
            memory_bytes=memory_total_bytes(),
            disk_bytes=shutil.disk_usage(home.state).total,
            ack=home.config.ack,
            commands=self._commander.allowed,
            release=f"sha256:{self._parts.release}" if self._parts.release else "",
        )

    def _write_status(self) -> None:
        """Leave the last report where ``skerry-agent status`` finds it; it need not survive."""
        problem = self._uplink.problem
        link = {
            "connected": self._uplink.is_connected(),
            "problem": failure_of(problem) if problem else None,
        }
        status = shape.dump({"link": link, "reported": self._said})
        if status == self._status:
            return
        path = self._parts.home.state / STATUS_FILE
        beside = path.with_name(f".{STATUS_FILE}.new")
        try:
            beside.write_bytes(status)
            beside.replace(path)
            self._status = status
        except OSError as error:
            log.debug("%s: %s", path, error)

    def _pause_s(self, now: float) -> float:
        next_look = self._reconciler.next_look()
        if next_look is not None:
            return min(max(next_look - now, 0.0), BUSY_TURN_S)
        updating = self._said and self._said.phase in ("pulling", "proving", "switching")
        return BUSY_TURN_S if updating else IDLE_TURN_S


def machine_platform() -> str:
    """Return the OCI platform of this machine, such as ``linux/amd64``."""
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}
    machine = platform.machine()
    return f"{sys.platform}/{names.get(machine, machine)}"
