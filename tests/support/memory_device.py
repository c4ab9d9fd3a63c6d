"""A device in memory, for whole deployments in no time: modules that start, crash and hang, an
engine, a network and a disk that fail, and clocks that a test moves on.

It stands behind the line between deciding and doing (``reconciling.hands.Hands``), and keeps to
what the executor promises. Orders that it takes are checked against what is promised of every
deployment, whatever happens.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from skerry_agent import host
from skerry_agent.core.shadow import Tally
from skerry_agent.core.watch import Seen
from skerry_agent.core.world import Key
from skerry_agent.reconciling.clock import Clock
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import (
    GoldenError,
    InitFailedError,
    NetworkError,
    NoSpaceError,
    ProbeError,
    RuntimeFailedError,
    UnenforcedError,
)
from skerry_contract.manifest import Probe, RunSettings
from skerry_contract.messages import Failure, make_failure
from skerry_contract.names import Digest

BEGIN = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Nature:
    """What a module does, whatever the device does to it.

    Attributes:
        init_s: Seconds that ``init()`` takes.
        ends: What becomes of its start: it works, or it fails in one of these ways.
        pull_s: Seconds that its image takes to arrive.
        ms: Milliseconds that ``run()`` takes; 10 for whatever it is compared with.
    """

    init_s: float = 2.0
    ends: str = "works"  # or: init raises, golden fails, golden hangs, dies, never ready,
    # refused, unenforced, disagrees
    pull_s: float = 5.0
    ms: float = 10.0


@dataclass
class Run:
    """One run of an instance."""

    spec: ModuleSpec
    started: float
    number: int
    serving: bool = False
    proven: bool = False
    hangs: bool = False
    unready: bool = False
    is_over: bool = False
    status: int | None = None


class _Hanging(BaseException):
    """The engine does not answer, and does not say no."""


@dataclass
class MemoryDevice:
    """All of it; tests set what is wrong with it.

    Attributes:
        natures: What the modules of each image do; they work unless it is said here.
        loses_calls: Whether calls that hang never return, also when the engine works again.
    """

    natures: dict[Digest, Nature] = field(default_factory=dict)
    now: float = 1000.0
    boot: int = 1
    booted: float = 1000.0
    clock_error: timedelta = timedelta()
    network: bool = True
    full: bool = False
    has_input: bool = True
    engine: str = "works"  # or: away, refuses, hangs
    loses_calls: bool = False
    held_images: set[Digest] = field(default_factory=set)
    runs: dict[Key, Run] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    on_stop: Callable[[Key, Run], None] = lambda _key, _run: None
    on_start: Callable[[Key, ModuleSpec], None] = lambda _key, _spec: None
    on_serve: Callable[[Key, Run], None] = lambda _key, _run: None
    _waiting: list[tuple[float, int, str, Callable[[], None]]] = field(default_factory=list)
    _hanging: list[Callable[[], None]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    # --- time ---------------------------------------------------------------------------------

    def clock(self) -> Clock:
        return Clock(
            lambda: self.now, lambda: self.now - self.booted, f"boot-{self.boot}", lambda: self.utc
        )

    @property
    def utc(self) -> datetime:
        return BEGIN + timedelta(seconds=self.now - 1000.0) + self.clock_error

    def step(self, seconds: float) -> None:
        """Let time pass; what falls due in it happens."""
        self.now += seconds
        while self._waiting and self._waiting[0][0] <= self.now:
            self._work(heapq.heappop(self._waiting)[3])
        if self.engine != "hangs":
            late, self._hanging = self._hanging, []
            for work in late:
                if not self.loses_calls:
                    self._work(work)
        for run in self.runs.values():
            if not run.is_over and self._dies(run):
                run.is_over, run.status = True, 3 if self._nature(run).ends == "init raises" else 1

    def spawn(self, work: Callable[[], None], name: str) -> None:
        """Run a job: pulls take their time, all else none."""
        delay_s = (
            self._pull_s
            if name == "blobs"
            else 0.01
            if "look" in name
            else 3.0
            if "compare" in name
            else 0.0
        )
        if delay_s:
            heapq.heappush(self._waiting, (self.now + delay_s, next(self._numbers), name, work))
        else:
            self._work(work)

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _Hanging:
            self._hanging.append(work)

    @property
    def _pull_s(self) -> float:
        return max((nature.pull_s for nature in self.natures.values()), default=5.0)

    def end_of_agent(self) -> None:
        """The agent is gone, and so is what it was doing."""
        self._waiting.clear()
        self._hanging.clear()

    def cut_power(self) -> None:
        """All is gone but the disk."""
        self.end_of_agent()
        self.boot += 1
        self.booted = self.now
        for run in self.runs.values():
            if not run.is_over:
                run.is_over, run.status = True, None

    # --- what happens to modules --------------------------------------------------------------

    def alive(self, module: str) -> list[Run]:
        return [run for key, run in self.runs.items() if key.module == module and not run.is_over]

    def serving(self) -> dict[str, str]:
        """Return the image that serves as each module."""
        return {key.module: run.spec.image for key, run in self.runs.items() if self._serves(run)}

    def crash(self, module: str, status: int = 1) -> None:
        for run in self.alive(module):
            run.is_over, run.status = True, status

    def hang(self, module: str) -> None:
        for run in self.alive(module):
            run.hangs = True

    def _serves(self, run: Run) -> bool:
        return run.serving and not run.is_over

    def _nature(self, run: Run) -> Nature:
        return self.natures.get(run.spec.digest, Nature())

    def _age(self, run: Run) -> float:
        return self.now - run.started

    def _dies(self, run: Run) -> bool:
        nature = self._nature(run)
        return nature.ends in ("init raises", "dies") and self._age(run) >= nature.init_s

    def _is_ready(self, run: Run) -> bool:
        nature = self._nature(run)
        return nature.ends != "never ready" and self._age(run) >= nature.init_s and not run.unready

    def _call(self) -> None:
        if self.engine == "away":
            raise RuntimeFailedError("the engine does not answer")

    def _order(self) -> None:
        self._call()
        if self.engine == "hangs":
            raise _Hanging

    # --- Hands --------------------------------------------------------------------------------

    def images(self) -> frozenset[Digest]:
        self._call()
        return frozenset(self.held_images)

    def instances(self) -> Mapping[Key, Seen]:
        self._call()
        return {
            key: Seen(str(run.number), running=not run.is_over, status=run.status)
            for key, run in self.runs.items()
        }

    def reason(self, key: Key, status: int | None, *, ready: bool) -> Failure:
        if status == 3 and not ready:
            return make_failure(InitFailedError.code, f"{key.module}: init() raised")
        return make_failure(ProbeError.code, f"{key.module}: ended with status {status}")

    def tail(self, key: Key) -> str:
        return f"the end of the log of {key.module}"

    def status(self, key: Key, probe: Probe) -> host.Status:
        run = self.runs.get(key)
        if run is None or run.is_over or run.hangs:
            raise ProbeError(f"{key.module} does not answer within {probe.timeout_s} s")
        return host.Status(self._is_ready(run), run.serving)

    def begin(self, digests: Sequence[Digest], *, keep: Sequence[Digest]) -> None:
        self.log.append(f"begin {len(set(digests))}, keep {len(set(keep))}")

    def pull(self, spec: ModuleSpec) -> None:
        if not self.network:
            raise NetworkError("no route")
        if self.full:
            raise NoSpaceError("the disk is full")
        self.log.append(f"pull {spec.image}")
        self.held_images.add(spec.digest)

    def discard(self, digest: Digest) -> None:
        self._order()
        used = {run.spec.digest for run in self.runs.values() if not run.is_over}
        assert digest not in used, f"{digest} runs and is discarded"
        self.held_images.discard(digest)

    def start(self, key: Key, spec: ModuleSpec) -> None:
        self._order()
        if self.engine == "refuses" or self.natures.get(spec.digest, Nature()).ends == "refused":
            raise RuntimeFailedError(f"{key.module} cannot be started")
        if self.natures.get(spec.digest, Nature()).ends == "unenforced":
            raise UnenforcedError(f"{key.module}: this device cannot hold it to that")
        if key in self.runs and not self.runs[key].is_over:
            return
        self.on_start(key, spec)
        self.log.append(f"start {key.module} {spec.image}")
        self.runs[key] = Run(spec, self.now, next(self._numbers))

    def stop(self, key: Key, *, kill: bool = False) -> None:
        self._order()
        run = self.runs.get(key)
        if run is None:
            return
        self.on_stop(key, run)
        self.log.append(f"{'kill' if kill else 'stop'} {key.module} {run.spec.image}")
        del self.runs[key]

    def prove(self, key: Key, *, timeout_s: float) -> None:
        run = self.runs.get(key)
        if run is None or run.is_over or run.hangs or not self._is_ready(run):
            raise ProbeError(f"{key.module} does not answer within {timeout_s} s")
        if self._nature(run).ends == "golden hangs":
            raise ProbeError(f"{key.module} does not answer within {timeout_s} s")
        if self._nature(run).ends == "golden fails":
            raise GoldenError(f"{key.module}: 1 of 2 golden cases failed")
        run.proven = True

    def compare(self, key: Key, old: Key, tally: Tally) -> None:
        run, ran = self.runs.get(key), self.runs.get(old)
        if run is None or run.is_over or run.hangs:
            raise ProbeError(f"{key.module} does not answer")
        nature = self._nature(run)
        while not tally.is_full and ran is not None and not ran.is_over and self.has_input:
            new = 2 if nature.ends == "disagrees" else 1
            tally.add(1, new, old_ms=10.0, new_ms=nature.ms)

    def serve(self, key: Key) -> None:
        run = self.runs.get(key)
        if run is None or run.is_over or run.hangs:
            raise ProbeError(f"{key.module} does not answer")
        self.on_serve(key, run)
        self.log.append(f"serve {key.module} {run.spec.image}")
        run.serving = True


def spec(image: str, **run: Any) -> ModuleSpec:
    """Return the spec of a module; its digest follows from the image's name."""
    digest = Digest(f"sha256:{image.encode().hex():0<64.64}")
    return ModuleSpec(image, digest, 100, RunSettings(**run))
