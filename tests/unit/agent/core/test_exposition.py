"""The heartbeat on the page for Prometheus, judged by Prometheus's own parser."""

from prometheus_client.parser import text_string_to_metric_families

from skerry_agent.core.exposition import exposition
from skerry_contract.messages import Health, OutboxHealth

HEALTH = Health(
    "b1",
    "2026-11-25T12:00:00Z",
    60.0,
    {"disk_free_bytes": 1e11, "cpu_load_1min": 0.25},
    OutboxHealth(3, 512, 1.5, {"full": 7, 'odd"\\reason\n': 1}),
    modules={"detector": {"scored": 12.0}, "doors": {"scored": 3.0, "restarts": 1.0}},
)


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (one.name, "".join(one.labels.values())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_prometheus_reads_every_number() -> None:
    found = samples(exposition(HEALTH, connected=True, state="updating"))
    assert found["skerry_disk_free_bytes", ""] == 1e11
    assert found["skerry_module_scored", "detector"] == 12
    assert found["skerry_module_restarts", "doors"] == 1
    assert found["skerry_outbox_dropped_total", "full"] == 7
    assert found["skerry_outbox_dropped_total", 'odd"\\reason\n'] == 1
    assert (found["skerry_state", "updating"], found["skerry_state", "ready"]) == (1, 0)
    assert found["skerry_connected", ""] == 1


def test_before_the_first_heartbeat_there_is_a_page_all_the_same() -> None:
    assert samples(exposition(None, connected=False, state="init"))["skerry_connected", ""] == 0
