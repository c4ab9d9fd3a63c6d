"""Says which readings of a sensor are far from the others: a model of nothing but Python."""

import json
import statistics
from typing import Any

FAR = 3.5
"""Readings further than this are outliers, in the modified z-score of Iglewicz and Hoaglin."""


def init() -> None:
    """Nothing to load."""


def run(data: str) -> dict[str, Any]:
    """Find outliers.

    Args:
        data: JSON: ``{"readings": [21.5, 21.4, 80.1]}``, at least one number.

    Returns:
        ``outliers``: their places in the list, from 0; ``median``: of all readings.

    Raises:
        ValueError: There are no readings, or something in the list is no number.
    """
    readings = json.loads(data)["readings"]
    if not readings or any(type(value) not in {int, float} for value in readings):
        raise ValueError("readings must be a list of numbers, with at least one")
    median = statistics.median(readings)
    spread = statistics.median(abs(value - median) for value in readings)
    far = [n for n, value in enumerate(readings) if 0.6745 * abs(value - median) > FAR * spread]
    return {"outliers": far, "median": median}
