"""A storm of kills over a site and its device, from a seed, and what must hold afterwards."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from support.echoes import BROKEN, FIRST, SECOND
from support.edge import Edge
from support.site import Site, kill
from support.waiting import eventually

HEAL_S = 120.0
"""A broker that died often in a row is started again after a pause of up to a minute."""
READINGS_PER_S = 8
INPUTS = {"frames": {"folder": "frames", "pattern": "*.json"}}


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing that happens.

    Attributes:
        after_s: Seconds of quiet before it.
        what: What is killed, or ``push``.
    """

    after_s: float
    what: str


def blows(draw: random.Random, seconds: float) -> Iterator[Blow]:
    """Make up a storm that has about ``seconds`` of quiet in it."""
    left = seconds
    while left > 0:
        after_s = min(left, draw.uniform(0.05, 2.5))
        left -= after_s
        (what,) = draw.choices(
            ("push", "agent", "module", "server", "broker"), weights=(5, 4, 4, 2, 1)
        )
        yield Blow(after_s, what)


@dataclass
class Storm:
    """What a storm does to a site and one of its devices.

    Attributes:
        site: Its server is up, and has the echo modules.
        edge: Its agent runs.
        draw: Source of all that is random.
    """

    site: Site
    edge: Edge
    draw: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    dropped: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def rage(self, seconds: float) -> str:
        """Let blows fall while readings come in; return the deployment that is wanted last."""
        feeder = threading.Thread(target=self._feed)
        feeder.start()
        try:
            for blow in blows(self.draw, seconds):
                self._over.wait(blow.after_s)
                self.counts[blow.what] += 1
                getattr(self, f"_{blow.what}")()
            return self._push_image(self.draw.choice((FIRST, SECOND)))
        finally:
            self._over.set()
            feeder.join()

    def summary(self) -> str:
        """Say in a line what happened."""
        told = ", ".join(f"{what} {count}" for what, count in sorted(self.counts.items()))
        return f"{len(self.dropped)} readings; {told}"

    def _feed(self) -> None:
        value = 0
        while not self._over.wait(1 / READINGS_PER_S):
            value += 1
            self.dropped.add(self.edge.reading(value))

    def _push(self) -> None:
        self._push_image(self.draw.choice((FIRST, SECOND, BROKEN)))

    def _push_image(self, image: str) -> str:
        # What is refused is not tried again, so each is made different from those before.
        env = {"ROUND": str(self.counts["push"])} if image == BROKEN else {}
        probe = {"interval_s": 1, "start_deadline_s": 20}
        return self.site.push("storm", self.edge.name, image, inputs=INPUTS, env=env, probe=probe)

    def _agent(self) -> None:
        self.edge.kill()
        self._over.wait(self.draw.uniform(0, 1))
        self.edge.start()

    def _module(self) -> None:
        pids = self.edge.module_pids()
        if pids:
            kill(self.draw.choice(pids))
            self.counts["module processes"] += 1

    def _server(self) -> None:
        self.site.kill()
        self.site.start()

    def _broker(self) -> None:
        pid = self.site.broker_pid
        if pid is not None:
            kill(pid)


def check_healed(storm: Storm, deployment: str) -> None:
    """All is as if nothing had happened, and nothing was lost or stored twice."""
    edge, site = storm.edge, storm.site
    edge.until_committed(deployment, HEAL_S)
    last = edge.reading(0)
    storm.dropped.add(last)
    edge.until_scored(last, within_s=HEAL_S)
    eventually(lambda: _waiting(edge) == [], HEAL_S, every_s=0.2, why="all readings to be taken")
    eventually(lambda: _health(site, edge)["rows"] == 0, HEAL_S, every_s=0.2, why="an empty outbox")
    assert _health(site, edge)["dropped"] == {}
    scored = {item["data"]["file"] for item in edge.scores()}
    # Hidden is the note of the host; what was under way at two kills in a row is set aside.
    aside = {path.name for path in (edge.frames / "failed").glob("[!.]*.json")}
    assert storm.dropped - scored - aside == set(), "readings without a result"
    assert scored - storm.dropped == set(), "results of nothing"
    for name in aside:
        reason = (edge.frames / "failed" / f"{name}.error.txt").read_text()
        assert "ended the process 2 times" in reason, name
    check_sequences([*edge.scores(), *site.telemetry(device=edge.name, module="event")])
    assert site.info["ingest"]["wrong"] == 0


def check_sequences(items: list[Any]) -> None:
    """Every stream of every boot has each number from 1 on exactly once."""
    numbers: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for item in items:
        numbers[item["boot"], item["module"], item["stream"]].append(item["seq"])
    for stream, found in numbers.items():
        assert sorted(found) == list(range(1, len(found) + 1)), f"{stream}: {found}"


def _waiting(edge: Edge) -> list[str]:
    return [entry.name for entry in edge.frames.iterdir() if entry.is_file()]


def _health(site: Site, edge: Edge) -> Any:
    return site.device(edge.name)["health"]["outbox"]
