"""The heartbeat as Prometheus reads it.

Source: Prometheus, text-based exposition format 0.0.4.
"""

import re
from collections.abc import Iterator

from skerry_contract.messages import DeviceState, Health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES: tuple[DeviceState, ...] = ("init", "ready", "updating", "degraded", "disconnected")


def exposition(health: Health | None, *, connected: bool, state: str) -> str:
    """Return the metrics of a device as text.

    Args:
        health: The newest heartbeat; None before the first.
        connected: Whether the broker is connected now.
        state: What the device is about.
    """
    return "".join(f"{line}\n" for line in _lines(health, connected=connected, state=state))


def _lines(health: Health | None, *, connected: bool, state: str) -> Iterator[str]:
    yield "# TYPE skerry_connected gauge"
    yield f"skerry_connected {int(connected)}"
    yield "# TYPE skerry_state gauge"
    for one in _STATES:
        yield f'skerry_state{{state="{one}"}} {int(one == state)}'
    if health is None:
        return
    for name, value in sorted(health.metrics.items()):
        yield f"# TYPE skerry_{_name(name)} untyped"
        yield f"skerry_{_name(name)} {value:.15g}"
    yield "# TYPE skerry_outbox_rows gauge"
    yield f"skerry_outbox_rows {health.outbox.rows}"
    yield "# TYPE skerry_outbox_size_bytes gauge"
    yield f"skerry_outbox_size_bytes {health.outbox.size_bytes}"
    yield "# TYPE skerry_outbox_oldest_seconds gauge"
    yield f"skerry_outbox_oldest_seconds {health.outbox.oldest_s:.15g}"
    yield "# TYPE skerry_outbox_dropped_total counter"
    for reason, count in sorted(health.outbox.dropped.items()):
        yield f'skerry_outbox_dropped_total{{reason="{_value(reason)}"}} {count}'
    names = sorted({name for metrics in health.modules.values() for name in metrics})
    for name in names:
        yield f"# TYPE skerry_module_{_name(name)} untyped"
        for module, metrics in sorted(health.modules.items()):
            if name in metrics:
                label = f'module="{_value(module)}"'
                yield f"skerry_module_{_name(name)}{{{label}}} {metrics[name]:.15g}"


def _name(text: str) -> str:
    return re.sub("[^a-zA-Z0-9_]", "_", text)


def _value(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
