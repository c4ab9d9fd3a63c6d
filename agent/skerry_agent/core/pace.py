"""How fast and how slowly bytes may come; times are monotonic seconds, and nobody waits here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """The bounds of a transfer.

    Attributes:
        bytes_per_s: Bytes a second that a blob must have on average over all of its time, above 0.
        least_s: Seconds that even the smallest blob has.
        floor_bytes_s: Bytes a second below which a connection is given up.
        window_s: Seconds over which that is measured, above 0.
        limit_bytes_s: Most bytes a second that are taken; 0 for no limit.
        pause_s: Bound of the first pause after a lost connection; it grows from there.
    """

    bytes_per_s: float = 4 * 1024
    least_s: float = 60.0
    floor_bytes_s: float = 256
    window_s: float = 60.0
    limit_bytes_s: float = 0.0
    pause_s: float = 0.2

    def seconds_for(self, size: int) -> float:
        """Return the seconds that a blob of ``size`` bytes has, which grow with it."""
        average = self.bytes_per_s
        if self.limit_bytes_s:
            # Our own limit is not held against the server.
            average = min(average, self.limit_bytes_s / 2)
        return max(self.least_s, size / average)


@dataclass(slots=True)
class Floor:
    """Judges one connection: is it so slow that it does not deserve to go on?

    Attributes:
        pace: The bounds.
        since: When the present window began.
        came: Bytes that came in it.
    """

    pace: Pace
    since: float
    came: int = 0

    def took(self, count: int) -> None:
        """Note bytes that came."""
        self.came += count

    def rested(self, seconds: float) -> None:
        """Leave out a time in which we did not want to read."""
        self.since += seconds

    def is_too_slow(self, now: float) -> bool:
        """Return whether a whole window has passed with less than the floor."""
        passed = now - self.since
        if passed < self.pace.window_s:
            return False
        slow = self.came < self.pace.floor_bytes_s * passed
        self.since, self.came = now, 0
        return slow


@dataclass(slots=True)
class Bucket:
    """A token bucket: so many bytes a second on average, and one second's worth at once.

    Source: the "generic cell rate algorithm" of ITU-T I.371, annex A, which keeps one time
    instead of a level that has to be refilled.

    Attributes:
        rate: Bytes a second; 0 for no limit.
        due: When what was taken so far would have come at that rate.
    """

    rate: float
    due: float = float("-inf")

    def take(self, count: int, now: float) -> float:
        """Take ``count`` bytes, and return the seconds to rest before the next."""
        if not self.rate:
            return 0.0
        self.due = max(self.due, now - 1.0) + count / self.rate
        return max(0.0, self.due - now)
