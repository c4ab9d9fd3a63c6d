"""Decide where results of modules go: upstream, into inputs of other modules, to brokers.

A module says itself what of it goes upstream and what a broker gets (``upstream`` and ``routes``);
who wants to be fed from it says so too (an input with ``stream``). What nobody wants is dropped.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from skerry_contract import shape
from skerry_contract.manifest import Broker, RoutedInput, RunSettings, WhenFull

EVERY = "*"
"""Pattern that stands for every stream."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A queue that results wait in.

    Attributes:
        name: ``input/<module>/<input>`` or ``broker/<hash of its address>``.
        subject: Where it comes from (``module/stream``), or the topic that a broker gets it on.
        priority: 0 goes first, 9 last.
        ttl_s: Seconds after which it is worth nothing any more.
        when_full: What to do where there is no room.
    """

    name: str
    subject: str
    priority: int
    ttl_s: int
    when_full: WhenFull


@dataclass(frozen=True, slots=True)
class Way:
    """Where results of one stream go.

    Attributes:
        upstream: Whether the cloud gets them.
        queues: What else gets them.
    """

    upstream: bool
    queues: tuple[Destination, ...] = ()


@dataclass(slots=True)
class Table:
    """All routes of a device, as its instances that are there have them.

    Two instances of a module, an old and a new one, may differ; each result is queued once for
    each queue that either of them names.
    """

    _runs: dict[str, tuple[str, RunSettings]] = field(default_factory=dict)

    def set(self, instance: str, module: str, run: RunSettings) -> None:
        """Note how an instance of a module runs."""
        self._runs[instance] = (module, run)

    def remove(self, instance: str) -> None:
        """Forget an instance."""
        self._runs.pop(instance, None)

    def way(self, instance: str, module: str, stream: str) -> Way:
        """Return where a result goes that an instance has on one of its streams."""
        _, own = self._runs.get(instance, (module, RunSettings()))
        found = [_to_broker(module, stream, own)]
        found += [_to_inputs(consumer, run, module, stream) for consumer, run in self._all()]
        queues = {(one.name, one.subject): one for group in found for one in group}
        return Way(_any(own.upstream, stream), tuple(queues.values()))

    def brokers(self) -> Mapping[str, Broker]:
        """Return every broker that a route names, by the name of its queue."""
        routes = (route for _, run in self._all() for route in run.routes.values())
        return {broker_queue(route.broker): route.broker for route in routes}

    def _all(self) -> Iterable[tuple[str, RunSettings]]:
        return self._runs.values()


def input_queue(module: str, name: str) -> str:
    """Return the name of the queue of an input."""
    return f"input/{module}/{name}"


def broker_queue(broker: Broker) -> str:
    """Return the name of the queue of a broker: another address or user is another queue."""
    said = json.dumps(shape.write(broker), sort_keys=True)
    return f"broker/{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def topic(template: str, module: str, stream: str) -> str:
    """Return the topic that a template stands for."""
    return template.replace("{module}", module).replace("{stream}", stream)


def _to_broker(module: str, stream: str, run: RunSettings) -> list[Destination]:
    return [
        Destination(
            broker_queue(route.broker),
            topic(route.topic, module, stream),
            route.priority,
            route.ttl_s,
            route.when_full,
        )
        for route in run.routes.values()
        if _any((route.stream,), stream)
    ]


def _to_inputs(consumer: str, run: RunSettings, module: str, stream: str) -> list[Destination]:
    return [
        Destination(
            input_queue(consumer, name),
            f"{module}/{stream}",
            given.priority,
            given.ttl_s,
            given.when_full,
        )
        for name, given in run.inputs.items()
        if isinstance(given, RoutedInput) and given.stream in (f"{module}/{stream}", f"{module}/*")
    ]


def _any(patterns: Iterable[str], stream: str) -> bool:
    return any(pattern in (EVERY, stream) for pattern in patterns)
