"""Bytes of requests that have begun to come and are not whole, over all connections together."""

FREE_BYTES = 64 * 1024
"""What each connection may hold besides: short requests come whoever else sends what."""


class Reception:
    """Bounds what unfinished requests may hold together.

    The first one always may go on: what a single request may have, the bound of its body says.

    Args:
        max_bytes: Most bytes at the same time; what ``FREE_BYTES`` covers is not counted.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held = 0

    def change(self, before: int, now: int) -> bool:
        """Note that a connection holds ``now`` bytes instead of ``before``.

        Args:
            before: What this connection held by the last call that was taken; 0 at first.
            now: What it holds.

        Returns:
            Whether it may: if not, nothing is noted, and the connection has to let go of all.
        """
        more = counted(now) - counted(before)
        others = self.held - counted(before)
        if more > 0 and others and self.held + more > self._max_bytes:
            return False
        self.held += more
        return True


def counted(held: int) -> int:
    """Return how many of the bytes that a connection holds count."""
    return max(0, held - FREE_BYTES)
