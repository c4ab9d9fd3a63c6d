"""An agent's reconciling on a device in memory, turned by hand: it checks every order given."""

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from skerry_agent.core.world import Key, key_of
from skerry_agent.reconciling.holds import Holds
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.reconciling.memory import Memory
from skerry_agent.reconciling.reconciler import Reconciler, Shelf
from skerry_agent.reconciling.reporting import Heading, report
from skerry_contract.desired import Desired, ModuleSpec
from skerry_contract.errors import (
    NoSpaceError,
)
from skerry_contract.manifest import Window
from skerry_contract.messages import Event, Reported
from support.memory_device import BEGIN, MemoryDevice, Run


class DiskMemory(Memory):
    """The agent's memory on a disk that may be full."""

    def __init__(self, folder: Path, device: MemoryDevice) -> None:
        super().__init__(folder)
        self._device = device

    def _replace(self, name: str, data: bytes) -> None:
        if self._device.full:
            raise NoSpaceError(f"{name}: the disk is full")
        super()._replace(name, data)


class SteppedAgent:
    """The part of an agent that reconciles, on a fake device, turned by hand.

    Args:
        device: What it looks after.
        folder: Its state.
        windows: When the device may be changed.
    """

    def __init__(
        self, device: MemoryDevice, folder: Path, windows: tuple[Window, ...] = ()
    ) -> None:
        self.device = device
        self.memory = DiskMemory(folder, device)
        self.events: list[tuple[str, Event]] = []
        self._folder = folder
        self._windows = windows
        self._wanted: Desired | None = None
        device.on_start, device.on_stop, device.on_serve = self._starts, self._stops, self._serves
        self.asked_to_stop: set[str] = set()
        self.boot()

    def boot(self) -> None:
        """Start the agent, anew if it ran."""
        device = self.device
        device.end_of_agent()
        clock = device.clock()
        self.holds = Holds(self._folder, clock)
        self.jobs = Jobs(lambda: None, clock=clock.monotonic, spawn=device.spawn)
        self.reconciler = Reconciler(
            device,
            Shelf(self.memory, self.holds, self._windows),
            self.jobs,
            lambda kind, event: self.events.append((kind, event)),
            clock,
        )
        if self._wanted is not None:
            self.reconciler.want(self._wanted)

    def want(self, modules: Mapping[str, ModuleSpec], windows: tuple[Window, ...] = ()) -> None:
        """Push a deployment to the device."""
        version = self.reconciler.version + 1
        self._wanted = Desired(
            "home",
            "porch",
            version,
            BEGIN,
            BEGIN + timedelta(days=36_500),
            f"d:{version}",
            modules,
            windows=windows,
        )
        self.reconciler.want(self._wanted)

    @property
    def wanted(self) -> Mapping[str, ModuleSpec]:
        return self._wanted.modules if self._wanted else {}

    @property
    def committed(self) -> Mapping[str, ModuleSpec]:
        return self.reconciler.committed.modules

    def turn(self) -> None:
        """One turn of the loop; a full disk leaves it to the next."""
        before = self.reconciler.committed
        self.jobs.collect()
        try:
            self.reconciler.round(self.device.now)
        except NoSpaceError:
            return
        if self.reconciler.committed is not before:
            self._commits()

    def run(self, seconds: float, *, step_s: float = 0.5) -> None:
        """Let time pass, and turn the loop in it."""
        for _ in range(math.ceil(seconds / step_s)):
            self.turn()
            self.device.step(step_s)

    def until(self, predicate: Callable[[], bool], within_s: float, *, step_s: float = 0.5) -> bool:
        """Let time pass until something is so; return whether it came to be."""
        for _ in range(math.ceil(within_s / step_s)):
            if predicate():
                return True
            self.run(step_s, step_s=step_s)
        return predicate()

    def said(self) -> Reported:
        """Return what the device reports after another turn."""
        self.turn()
        return report(self.reconciler, Heading("b1-abc", "2026-01-01T00:00:00Z"))

    def kinds(self) -> list[str]:
        """Return the types of the events so far."""
        return [kind for kind, _ in self.events]

    def is_settled(self) -> bool:
        """Return whether what is wanted is committed, and every module of it serves."""
        return self.committed == self.wanted and self.device.serving() == {
            name: spec.image for name, spec in self.wanted.items()
        }

    # --- what is promised of every order ------------------------------------------------------

    def _starts(self, key: Key, spec: ModuleSpec) -> None:
        committed = self.committed.get(key.module)
        bad = {(one.module, one.revision) for one in self.reconciler.history.bad}
        is_committed = committed is not None and key_of(key.module, committed) == key
        assert is_committed or (key.module, key.revision) not in bad, f"{key} is bad"
        assert spec.digest in self.device.held_images, f"{spec.image} is not here"
        if spec.run.update == "stop-first" and not is_committed:
            others = [run for run in self.device.alive(key.module) if run.spec != spec]
            assert not others, f"{key} would run beside {others}"

    def _stops(self, key: Key, run: Run) -> None:
        committed = self.committed.get(key.module)
        mine = committed is not None and key_of(key.module, committed) == key
        well = not run.is_over and not run.hangs and run.serving
        if not mine or not well or key.module in self.asked_to_stop:
            self.asked_to_stop.discard(key.module)
            return
        target = self.reconciler.wanted
        assert not self.reconciler.world.held, f"{key} is stopped though the switch is held"
        assert all(spec.digest in self.device.held_images for spec in target.values()), key
        for name, spec in target.items():
            old = self.committed.get(name)
            if spec.run.update == "stop-first" or (old and old.revision == spec.revision):
                continue
            new = self.device.runs.get(key_of(name, spec))
            assert new is not None, f"{key} is stopped before {name} was tried"
            assert new.proven or new.serving, f"{key} is stopped before {name} is proven"

    def _serves(self, key: Key, run: Run) -> None:
        committed = self.committed.get(key.module)
        is_committed = committed is not None and key_of(key.module, committed) == key
        assert run.proven or is_committed, f"{key} serves and is not proven"
        others = [one for one in self.device.alive(key.module) if one is not run and one.serving]
        assert not others, f"{key} would serve beside {others}"

    def _commits(self) -> None:
        committed = {key_of(*pair) for pair in self.committed.items()}
        assert self.device.runs.keys() <= committed, self.device.runs.keys() - committed
