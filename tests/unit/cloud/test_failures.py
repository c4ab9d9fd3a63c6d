"""How often modules failed to score, counted from events."""

from typing import Any

from skerry_cloud.telemetry import Entry, Failures, failures


def event(received: float, data: Any) -> Entry:
    return Entry(
        1, "cam", "event", "scoring-failed", "b1", 1, "", hist=False, received=received, data=data
    )


def test_failures_of_the_last_hour_are_counted_by_module_with_the_newest_text() -> None:
    events = [
        event(99.0, {"module": "faces", "text": "too old"}),
        event(100.0, {"module": "faces", "text": "first"}),
        event(101.0, {"module": "doors", "text": "other"}),
        event(102.0, {"module": "faces", "text": "newest"}),
        event(103.0, "no event of ours"),
    ]
    assert failures(events, 100.0) == {
        "faces": Failures(2, "newest"),
        "doors": Failures(1, "other"),
    }
