"""Remember what failed lately, and until when it rests."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from skerry_agent.core.backoff import delay_s


@dataclass(slots=True)
class Pauses:
    """Growing pauses, one series per name; times are monotonic seconds.

    Attributes:
        cap_s: Longest pause.
    """

    cap_s: float = 300.0
    _failures: dict[Hashable, int] = field(default_factory=dict)
    _until: dict[Hashable, float] = field(default_factory=dict)

    def failed(self, name: Hashable, now: float) -> float:
        """Note one more failure in a row, and return the pause that follows, in seconds."""
        self._failures[name] = self._failures.get(name, 0) + 1
        pause_s = delay_s(self._failures[name], cap_s=self.cap_s)
        self._until[name] = now + pause_s
        return pause_s

    def rest(self, name: Hashable, until: float) -> None:
        """Let ``name`` rest until a monotonic time, without counting a failure of its own."""
        self._until[name] = until

    def passed(self, name: Hashable) -> None:
        """Note a success: the next pause is a short one again."""
        self._failures.pop(name, None)
        self._until.pop(name, None)

    def holds(self, name: Hashable, now: float) -> bool:
        """Return whether ``name`` should rest at ``now``."""
        return now < self._until.get(name, now)

    def failures(self, name: Hashable) -> int:
        """Return how many failures in a row there were."""
        return self._failures.get(name, 0)

    def next_end(self, now: float) -> float | None:
        """Return the monotonic time at which the next pause ends."""
        return min((end for end in self._until.values() if end > now), default=None)
