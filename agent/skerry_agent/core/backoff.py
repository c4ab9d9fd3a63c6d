"""How long to wait before trying again."""

import random
from collections.abc import Callable

Draw = Callable[[float, float], float]


def delay_s(
    failures: int, *, base_s: float = 1.0, cap_s: float = 300.0, draw: Draw = random.uniform
) -> float:
    """Return the pause after ``failures`` failures in a row.

    The bound doubles with each failure. The draw keeps a thousand devices that lost the same
    broker from coming back together; half of the bound is kept, so that no retry is immediate.

    Args:
        failures: How many there were, at least 1.
        base_s: Bound of the first pause, in seconds, above 0.
        cap_s: Bound that no pause exceeds, in seconds, at least ``base_s``.
        draw: Source of randomness, called as ``draw(low, high)``.

    Source: "equal jitter" in Brooker, "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015.
    """
    bound = min(cap_s, base_s * 2.0 ** min(failures - 1, 60))
    return draw(bound / 2, bound)
