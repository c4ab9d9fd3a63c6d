"""What the modules of this device do and use, asked of their hosts and of the kernel."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from skerry_agent.core.world import Key
from skerry_agent.executor import Executor
from skerry_agent.telling.health import processor_s, resident_bytes
from skerry_contract.errors import ProbeError
from skerry_contract.manifest import Probe

EACH_S, ALL_S = 1, 5
"""Seconds that one host, and all of them, may take to answer."""


def module_metrics(
    executor: Executor, serving: Iterable[Key], restarts: Mapping[Key, int]
) -> dict[str, dict[str, float]]:
    """Return numbers by module: scored, failed, restarts, memory and processor time.

    Args:
        executor: Reaches the instances.
        serving: Which of them serve.
        restarts: How often each was started again.
    """
    deadline = time.monotonic() + ALL_S
    found: dict[str, dict[str, float]] = {}
    for key in serving:
        metrics = {"restarts": float(restarts.get(key, 0))}
        if time.monotonic() < deadline:
            metrics.update(_asked(executor, key))
        found[key.module] = metrics
    return found


def _asked(executor: Executor, key: Key) -> dict[str, float]:
    metrics: dict[str, float] = {}
    with suppress(ProbeError):
        status = executor.status(key, Probe(timeout_s=EACH_S))
        metrics |= {"scored": status.scored, "failed": status.failed, "busy_s": status.busy_s}
    process = executor.host_process(key)
    with suppress(OSError, ValueError, IndexError):
        if process is not None:
            metrics["memory_rss_bytes"] = float(resident_bytes(str(process)))
            metrics["cpu_seconds"] = round(processor_s(process), 3)
    return metrics
