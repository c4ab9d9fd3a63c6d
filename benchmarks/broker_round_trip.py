"""How long a result takes from a module to whoever listens, and how many pass in a second.

    python benchmarks/broker_round_trip.py

The agent takes lines on ``agent.sock`` as a module would send them: stores, publishes, and forgets
what the cloud acknowledges. It is measured next to a bare MQTT client that publishes the same
payloads over the same broker, with nothing stored before, and next to what the disk takes to sync.
"""

import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as paho

from listener import Heard, Listener, connect
from measure import percentile, ratio, times_s
from results import Results
from rig import DEVICE_PYTHON, ECHO, Rig, account_of, first_line, note, options, rig, show, viewer
from skerry_contract.topics import DeviceTopics
from support.edge import Edge
from support.site import FLEET

SINGLE = 150
"""Items sent one at a time in each round."""
BURST = 2000
"""Items sent as fast as they are taken in each round."""
LINE_ITEMS = 50
PAD = "x" * 160
"""Makes an item about 200 bytes long."""
BURST_DEADLINE_S = 60.0
NOT_SHOWN = (
    "All of it is on one machine: no network lies between device, broker and cloud.",
    "The subscriber and the bare client share a process, and the cores are shared by everything.",
    "The bare client keeps nothing: what it has not delivered is lost when it ends.",
)


class Source(Protocol):
    """Something that sends numbered items."""

    topics: DeviceTopics

    def send(self, numbers: Sequence[int], per_message: int) -> None:
        """Send items, so many in one line or message; return once they are handed over."""


@dataclass
class ThroughAgent:
    """Sends items as a module does, and waits until the agent says that they are stored."""

    topics: DeviceTopics
    connection: socket.socket

    def send(self, numbers: Sequence[int], per_message: int) -> None:
        """Send lines without waiting for the answers to those before."""
        lines = [numbers[i : i + per_message] for i in range(0, len(numbers), per_message)]
        reader = threading.Thread(target=self._read, args=(len(lines),))
        reader.start()
        for number, line in enumerate(lines):
            items = [{"stream": "scores", "data": content(n)} for n in line]
            self.connection.sendall(json.dumps({"id": number, "items": items}).encode() + b"\n")
        reader.join(BURST_DEADLINE_S)

    def _read(self, lines: int) -> None:
        seen = 0
        while seen < lines:
            data = self.connection.recv(65536)
            if not data or b'"stored"' not in data:
                raise ConnectionError(f"the agent does not take it: {data[:200]!r}")
            seen += data.count(b"\n")


@dataclass
class Bare:
    """Publishes the same items as the agent, with a bare client."""

    topics: DeviceTopics
    client: paho.Client
    seq: int = 0

    def send(self, numbers: Sequence[int], per_message: int) -> None:
        """Publish with QoS 1, and wait for the last PUBACK."""
        sent = []
        for i in range(0, len(numbers), per_message):
            items = [self._item(n) for n in numbers[i : i + per_message]]
            batch = {"schema": 1, "boot": "bare", "floor": 1, "items": items}
            topic = self.topics.telemetry("detector", "scores")
            sent.append(self.client.publish(topic, json.dumps(batch), qos=1))
        sent[-1].wait_for_publish(BURST_DEADLINE_S)

    def _item(self, number: int) -> dict[str, object]:
        self.seq += 1
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"seq": self.seq, "ts": now, "hist": False, "data": content(number)}


@dataclass
class Measured:
    """What one source did, over all rounds; times in seconds, rates in items per second."""

    handed: list[float] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: {1: [], LINE_ITEMS: []})


def main() -> None:
    """Measure on each broker, and print what came out."""
    given = options(__doc__, rounds=3)
    results = Results("broker_round_trip", NOT_SHOWN)
    results.version("agent's", first_line(DEVICE_PYTHON, "--version"))
    with rig(given) as bench:
        for kind in ("mosquitto", "nats"):
            measure_broker(bench, kind, results)
        tell_disk(bench.folder, results)
    show(results, given)


def measure_broker(bench: Rig, kind: str, results: Results) -> None:
    """Let agent and bare client take turns on one broker."""
    site = bench.site(kind, "--broker", kind)
    site.skerry.ok("module", "build", ECHO)
    device = bench.device(site, f"agent-{kind}", "process")
    device.start()
    # Without inputs its module never has anything to say, so its socket is ours.
    device.until_committed(site.push(device.name, device.name, "echo:1"))
    bare = bench.device(site, f"bare-{kind}", "process")
    client = connect(account_of(bare))
    client.subscribe(DeviceTopics(FLEET, bare.name)("ack"), 1)
    with agent_socket(device) as connection:
        sources: dict[str, Source] = {
            "agent": ThroughAgent(DeviceTopics(FLEET, device.name), connection),
            "bare client": Bare(DeviceTopics(FLEET, bare.name), client),
        }
        seen = {name: Measured() for name in sources}
        for number in range(bench.rounds):
            note(f"{kind}, round {number + 1} of {bench.rounds}")
            for name, source in sources.items():
                with listening(device, source) as listener:
                    one_at_a_time(source, listener, seen[name])
                    for per_message in (1, LINE_ITEMS):
                        as_fast_as_it_goes(source, listener, seen[name], per_message)
    client.disconnect()
    client.loop_stop()
    device.stop()
    site.stop()
    tell(kind, seen, results)


def agent_socket(device: Edge) -> socket.socket:
    """Connect to the agent as the module of a device would."""
    (path,) = (device.folder / "state" / "run").glob("*/agent.sock")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(BURST_DEADLINE_S)
    connection.connect(str(path))
    return connection


def listening(device: Edge, source: Source) -> Listener:
    """Return a listener to one device's scores, and to what the cloud acknowledges."""
    topics = source.topics
    return Listener(viewer(device.site), (topics.telemetry("detector", "scores"), topics("ack")))


def one_at_a_time(source: Source, listener: Listener, seen: Measured) -> None:
    """Send an item only when the one before is acknowledged by the cloud."""
    for number in range(SINGLE):
        start, after = time.monotonic(), len(listener.heard)
        source.send([number], 1)
        seen.handed.append(time.monotonic() - start)
        scores = listener.first(is_score, after=after, within_s=10)
        ack = listener.first(is_ack, after=after, within_s=10)
        seen.heard.append(scores.at_s - start)
        seen.acknowledged.append(ack.at_s - start)


def as_fast_as_it_goes(
    source: Source, listener: Listener, seen: Measured, per_message: int
) -> None:
    """Send many items at once, and wait until the last has arrived and is acknowledged."""
    last = f'"n":{BURST - 1},'
    start, after = time.monotonic(), len(listener.heard)
    source.send(range(BURST), per_message)

    def is_last(message: Heard) -> bool:
        return is_score(message) and last in message.payload.decode().replace(" ", "")

    came = listener.first(is_last, after=after, within_s=BURST_DEADLINE_S)
    seen.rates[per_message].append(BURST / (came.at_s - start))
    quiet(listener)


def quiet(listener: Listener) -> None:
    """Wait until nothing comes any more, so that the next turn starts from rest."""
    count = -1
    while count != len(listener.heard):
        count = len(listener.heard)
        time.sleep(0.5)


def content(number: int) -> dict[str, object]:
    """Return the data of an item."""
    return {"n": number, "pad": PAD}


def is_score(message: Heard) -> bool:
    """Return whether a message carries items."""
    return not is_ack(message)


def is_ack(message: Heard) -> bool:
    """Return whether a message acknowledges items."""
    return message.topic.endswith("/ack")


def tell(kind: str, seen: dict[str, Measured], results: Results) -> None:
    """Add what was measured on one broker."""
    steps: dict[str, Callable[[Measured], list[float]]] = {
        "handed over": lambda one: one.handed,
        "at a subscriber": lambda one: one.heard,
        "acknowledged by the cloud": lambda one: one.acknowledged,
    }
    for name, one in seen.items():
        for step, times in steps.items():
            for percent in (50, 99):
                value = percentile(times(one), percent) * 1e3
                results.add(f"{kind}, {name}: {step}, p{percent}", value, "ms")
        for per_message, rates in one.rates.items():
            what = f"{kind}, {name}: to a subscriber, {per_message} per line"
            results.add(what, statistics.median(rates), "items/s")
    agent, bare = seen["agent"], seen["bare client"]
    for step, times in list(steps.items())[1:]:
        p50 = percentile(times(agent), 50) / percentile(times(bare), 50)
        results.add(f"{kind}, agent / bare client: {step}, p50", p50, "x")
    for per_message, rates in agent.rates.items():
        times_as_many = ratio(rates, bare.rates[per_message])
        what = f"{kind}, agent / bare client: items/s, {per_message} per line"
        results.add(what, times_as_many, "x")


def tell_disk(folder: Path, results: Results) -> None:
    """Add what the disk takes to store 256 bytes for good: nothing durable can be faster."""
    descriptor = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT)

    def write() -> None:
        os.write(descriptor, b"x" * 256)
        os.fsync(descriptor)

    taken = times_s(write, rounds=200)
    os.close(descriptor)
    for percent in (50, 99):
        results.add(
            f"disk: write and sync 256 bytes, p{percent}", percentile(taken, percent) * 1e3, "ms"
        )


if __name__ == "__main__":
    main()
