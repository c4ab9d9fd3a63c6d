"""A day on which everything happens to a device in memory, from one seed.

Deployments, crashes, hangs, a bad engine, network and disk, restarts, power cuts, holds, windows:
while it goes on, ``support.stepped_agent`` checks every order that is given; once it is over and
all is mended, the device must come to rest where it should be.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from skerry_agent.core.world import key_of
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import ConflictError
from skerry_contract.manifest import Probe, Window
from support.memory_device import MemoryDevice, Nature, Run, spec
from support.stepped_agent import SteppedAgent

STORY_S = 900
REST_S = 3000
NAMES = ("a", "b", "c")
FAILS = (
    "init raises",
    "golden fails",
    "golden hangs",
    "dies",
    "never ready",
    "refused",
    "unenforced",
)
PROBE = Probe(start_deadline_s=10)


class Story:
    """One seed's events."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
        self.device = MemoryDevice()
        self.agent = SteppedAgent(self.device, folder)
        self.told: list[str] = []
        self._events: list[tuple[int, Callable[[], object]]] = [
            (4, self.push),
            (6, self.crash),
            (3, self.hang),
            (3, self.engine),
            (3, self.network),
            (2, self.disk),
            (3, self.restart_agent),
            (2, self.cut_power),
            (2, self.hold),
            (2, self.release),
            (1, self.clear_bad),
            (1, self.restart_module),
            (1, self.jump),
        ]

    def tell(self) -> None:
        """Let it all happen."""
        self.push()
        weights, events = zip(*self._events, strict=True)
        until = self.device.now + STORY_S
        while self.device.now < until:
            [event] = self.chance.choices(events, weights)
            self.told.append(f"{self.device.now:.0f} {event.__name__}")
            event()
            self.agent.run(self.chance.expovariate(1 / 12), step_s=self.chance.choice((0.2, 1)))

    def mend(self) -> None:
        """Make well whatever the world around the modules had done."""
        self.told.append(f"{self.device.now:.0f} mended")
        device = self.device
        device.network, device.full, device.engine = True, False, "works"
        device.clock_error = timedelta()
        self.agent.holds.remove_all()

    # --- what can happen ----------------------------------------------------------------------

    def push(self) -> None:
        names = self.chance.sample(NAMES, self.chance.randint(1, len(NAMES)))
        modules = {name: self._spec(name, names[:place]) for place, name in enumerate(names)}
        night = (Window("12:05", "12:10", zone="utc"), Window("12:15", "12:40", zone="utc"))
        windows = night if self.chance.random() < 0.2 else ()
        self.agent.want(modules, windows)
        self.told[-1:] = [f"{self.told[-1] if self.told else ''} {modules}"]

    def _spec(self, name: str, before: list[str]) -> ModuleSpec:
        made = spec(
            f"{name}:{self.chance.randint(1, 4)}",
            update=self.chance.choice(("side-by-side", "stop-first")),
            restart=self.chance.choice(("always", "always", "on-unhealthy")),
            after=tuple(before) if self.chance.random() < 0.5 else (),
            probe=PROBE,
        )
        if made.digest not in self.device.natures:
            ends = self.chance.choice(FAILS) if self.chance.random() < 0.3 else "works"
            nature = Nature(self.chance.uniform(0.1, 5), ends, self.chance.uniform(0.5, 10))
            self.device.natures[made.digest] = nature
        return made

    def crash(self) -> None:
        self.device.crash(self.chance.choice(NAMES), self.chance.choice((0, 1, 137)))

    def hang(self) -> None:
        self.device.hang(self.chance.choice(NAMES))

    def engine(self) -> None:
        self.device.engine = self.chance.choice(("works", "works", "away", "refuses", "hangs"))

    def network(self) -> None:
        self.device.network = not self.device.network

    def disk(self) -> None:
        self.device.full = not self.device.full

    def restart_agent(self) -> None:
        self.agent.boot()

    def cut_power(self) -> None:
        self.device.cut_power()
        self.agent.boot()

    def hold(self) -> None:
        kind = self.chance.choice(("hold", "lock", "override"))
        self.agent.holds.put(kind, self.chance.choice(NAMES), "why not", 60)  # type: ignore[arg-type]

    def release(self) -> None:
        self.agent.holds.remove_all()

    def clear_bad(self) -> None:
        self.agent.reconciler.clear_bad()

    def restart_module(self) -> None:
        keys = sorted(self.agent.reconciler.world.instances)
        if keys:
            key = self.chance.choice(keys)
            self.agent.asked_to_stop.add(key.module)
            with suppress(ConflictError):
                self.agent.reconciler.restart(key)

    def jump(self) -> None:
        self.device.clock_error = timedelta(days=self.chance.choice((-3650, 0, 3650)))

    # --- how it must end ----------------------------------------------------------------------

    def bad_wanted(self) -> list[str]:
        """Return why each revision that is wanted is refused, if it is."""
        keys = {key_of(*pair) for pair in self.agent.wanted.items()}
        return [
            one.failure.text
            for one in self.agent.reconciler.history.bad
            if (one.module, one.revision) in {(key.module, key.revision) for key in keys}
        ]

    def works(self, modules: dict[str, ModuleSpec]) -> bool:
        natures = (self.device.natures[one.digest] for one in modules.values())
        return all(nature.ends == "works" for nature in natures)

    def waits_for_the_engine(self) -> bool:
        """Return whether a new version cannot be started here, and what ran goes on meanwhile."""
        first = not self.agent.committed
        return any(
            self.device.natures[one.digest].ends == "refused"
            and (first or one.run.update == "side-by-side")
            for name, one in self.agent.wanted.items()
            if self.agent.committed.get(name) != one
        )

    def is_at_rest(self) -> bool:
        agent, device = self.agent, self.device
        stays = self.bad_wanted() or self.waits_for_the_engine()
        target = agent.committed if stays else agent.wanted
        if stays and not agent.committed:
            return True
        over = {key.module for key, run in device.runs.items() if self._is_over(run)}
        serve = {name: one.image for name, one in target.items() if name not in over}
        if agent.committed != target or device.serving() != serve:
            return False
        return self.waits_for_the_engine() or (
            device.runs.keys() == {key_of(*pair) for pair in target.items()}
            and device.held_images == {one.digest for one in target.values()}
        )

    def _is_over(self, run: Run) -> bool:
        return run.is_over and run.status == 0 and run.spec.run.restart != "always"


def check(seed: int, folder: Path) -> None:
    """Tell the story of a seed, and see that every promise was kept."""
    story = Story(seed, folder)
    story.tell()
    story.mend()

    assert story.agent.until(story.is_at_rest, REST_S, step_s=2), story.told
    assert all(story.bad_wanted()), story.told  # each with its reason
    if not story.works(dict(story.agent.wanted)):
        assert story.bad_wanted() or story.waits_for_the_engine(), story.told

    # What was refused for the sake of a bad engine works once it may be tried again.
    story.agent.reconciler.clear_bad()
    assert story.agent.until(story.is_at_rest, REST_S, step_s=2), story.told
    if story.works(dict(story.agent.wanted)):
        assert story.agent.committed == story.agent.wanted, story.told
