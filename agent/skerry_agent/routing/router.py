"""Route results of modules: into the outbox, and into the queues of inputs and brokers."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skerry_agent.core.routing import Destination, Table, input_queue
from skerry_agent.routing.publisher import Publisher
from skerry_agent.routing.queues import RouteQueues, now
from skerry_agent.telling.outbox import Entry, Rank
from skerry_contract.manifest import RoutedInput, RunSettings

Store = Callable[[Sequence[Entry]], None]
"""Stores entries durably, or raises."""


@dataclass(frozen=True, slots=True)
class Door:
    """What one instance may do: hand results over, and be fed.

    Attributes:
        store: Takes its results.
        queues: The queue of each of its inputs that other modules feed, by the input's name.
        all_queues: Where they are.
    """

    store: Store
    queues: dict[str, str]
    all_queues: RouteQueues


class Router:
    """Knows the routes of every instance, and what they lead to.

    Args:
        queues: Where results wait that do not go upstream.
        upstream: Stores what the cloud gets.
    """

    def __init__(self, queues: RouteQueues, upstream: Store) -> None:
        self._queues = queues
        self._upstream = upstream
        self._table = Table()
        self._lock = threading.Lock()
        self._publishers: dict[str, Publisher] = {}
        self.unrouted = 0
        """Results that nobody wanted, since the agent started."""

    def open(self, instance: str, module: str, run: RunSettings) -> Door:
        """Begin to route for an instance, and return its door.

        Args:
            instance: Its key, as text.
            module: Name of its module.
            run: How it runs.
        """
        with self._lock:
            self._table.set(instance, module, run)
            self._serve_brokers()
        fed = {
            name: input_queue(module, name)
            for name, given in run.inputs.items()
            if isinstance(given, RoutedInput)
        }

        def store(entries: Sequence[Entry]) -> None:
            self._store(instance, module, entries)

        return Door(store, fed, self._queues)

    def close(self, instance: str) -> None:
        """Route no more for an instance; what waits for it waits for its successor."""
        with self._lock:
            self._table.remove(instance)
            self._serve_brokers()

    def stop(self) -> None:
        """Let go of every broker; what waits for it stays."""
        with self._lock:
            for publisher in self._publishers.values():
                publisher.stop()
            self._publishers.clear()

    def _store(self, instance: str, module: str, entries: Sequence[Entry]) -> None:
        """Store entries in every place where they belong, or none.

        Raises:
            ContractError: One of them is too large.
            NoSpaceError: There is no room somewhere; the module is to try again.
        """
        up: list[Entry] = []
        queued: list[tuple[Destination, bytes]] = []
        unrouted = 0
        with self._lock:
            for entry in entries:
                if entry.rank is Rank.EVENT:
                    up.append(entry)
                    continue
                way = self._table.way(instance, module, entry.stream.partition("/")[2])
                queued += [(one, entry.data) for one in way.queues]
                if way.upstream:
                    up.append(entry)
                unrouted += not (way.upstream or way.queues)
            # In this order nothing is stored twice where there is no room in one of the places.
            self._queues.check_room(queued, now_s=now())
            if up:
                self._upstream(up)
            if queued:
                self._queues.put(queued, now_s=now())
            self.unrouted += unrouted

    def _serve_brokers(self) -> None:
        wanted = self._table.brokers()
        for name in self._publishers.keys() - wanted.keys():
            self._publishers.pop(name).stop()
        for name in wanted.keys() - self._publishers.keys():
            self._publishers[name] = Publisher(name, wanted[name], self._queues)
