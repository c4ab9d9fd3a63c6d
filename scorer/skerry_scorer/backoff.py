"""Pauses between attempts that fail again and again."""

import random
from collections.abc import Iterator

MAX_PAUSE_S = 30.0
"""Longest pause between two attempts."""


def pauses(first_s: float = 0.1) -> Iterator[float]:
    """Give pauses in seconds, below a bound that doubles; anew for each outage.

    Full jitter: modules that lost the same agent or broker do not come back in step.
    """
    bound = first_s
    while True:
        yield random.uniform(0.0, bound)  # noqa: S311 - not a secret
        bound = min(MAX_PAUSE_S, bound * 2)
