"""What keeps the host standing: deadlines, bounded queues, several threads, batches, draining."""

import re
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.scorer_host import MakeHost, Reply, ScorerHost, UnixConnection, eventually

pytestmark = pytest.mark.integration

GATED = """
import pathlib, threading, time
def init(): ...
def run(data):
    while not pathlib.Path(data).exists():
        time.sleep(0.01)
    return threading.current_thread().name
"""
BATCHED = """
sizes = []
def init(): ...
def run(data): return ["alone", data]
def run_batch(items):
    sizes.append(len(items))
    if "bad" in items:
        raise ValueError("bad")
    if "few" in items:
        return []
    return [[max(sizes), item] for item in items]
"""


def in_threads(host: ScorerHost, bodies: list[bytes]) -> tuple[list[threading.Thread], list[Reply]]:
    replies: list[Reply] = []
    threads = [
        threading.Thread(target=lambda body=body: replies.append(host.score(body)))
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    return threads, replies


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_run_that_takes_too_long_is_answered_and_what_waits_behind_it_too(
    make_host: MakeHost, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    host = make_host(GATED, SCORING_TIMEOUT_MS="300").ready()
    threads, replies = in_threads(host, [str(gate).encode()])
    eventually(lambda: host.status()["busy_s"] > 0)
    waited = host.score(str(gate).encode())
    assert waited.status == 503
    assert waited.headers["retry-after"] == "1"
    join(threads)
    assert replies[0].status == 500
    assert replies[0].json == {"message": "Scoring timeout after 300 ms"}
    assert replies[0].headers["x-ms-run-function-failed"] == "True"
    gate.touch()
    eventually(lambda: host.status()["busy_s"] == 0)
    assert host.score(str(gate).encode()).status == 200  # nothing is left of the ones before
    assert host.status()["failed"] == 1


def test_a_client_may_wait_for_less_and_not_for_more(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(GATED, SCORING_TIMEOUT_MS="300").ready()
    for told, expected in [("50", "after 50 ms"), ("900000", "after 300 ms")]:
        gate = tmp_path / told
        reply = host.request("POST", "/score", str(gate).encode(), x_skerry_timeout_ms=told)
        assert expected in reply.json["message"]
        gate.touch()
        eventually(lambda: host.status()["busy_s"] == 0)
    assert host.request("POST", "/score", b"1", x_skerry_timeout_ms="soon").status == 400


def test_the_bytes_that_wait_are_bounded(make_host: MakeHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    host = make_host(GATED, SKERRY_MAX_HELD_BYTES="300").ready()
    threads, replies = in_threads(host, [str(gate).encode()])
    eventually(lambda: host.status()["busy_s"] > 0)
    assert host.score(b"x" * 300).status == 503
    gate.touch()
    join(threads)
    assert replies[0].status == 200
    # One alone may be larger than the bound: it is held to the limit of a body.
    assert host.score(str(gate).rjust(400, "/").encode()).status == 200


def test_several_threads_call_run_at_the_same_time(make_host: MakeHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    host = make_host(GATED, SKERRY_RUN_THREADS="3").ready()
    threads, replies = in_threads(host, [str(gate).encode()] * 4)
    eventually(lambda: host.status()["waiting"] == 1 and host.status()["busy_s"] > 0)
    gate.touch()
    join(threads)
    assert len({reply.json for reply in replies}) == 3


def test_requests_that_wait_are_scored_together_and_a_bad_one_fails_alone(
    make_host: MakeHost,
) -> None:
    host = make_host(BATCHED, SKERRY_BATCH_SIZE="4", SKERRY_BATCH_WAIT_MS="1000").ready()
    bodies = [b"a", b"bad", b"c", b"d"]
    threads, replies = in_threads(host, bodies)
    join(threads)
    good = sorted(reply.json[1] for reply in replies if reply.status == 200)
    [bad] = [reply.json["message"] for reply in replies if reply.status == 500]
    assert good == ["a", "c", "d"]
    assert all(reply.json[0] == 4 for reply in replies if reply.status == 200)
    assert bad.startswith("score.py: run_batch() raised ValueError: bad (score.py:8)")
    assert host.status()["scored"] == 3

    few = host.score(b"few")
    assert "run_batch() got 1 items and returned 0" in few.json["message"]
    assert host.score(b"\xff").status == 400


def test_batches_want_a_run_batch(make_host: MakeHost) -> None:
    host = make_host("def init(): ...\ndef run(d): ...\n", SKERRY_BATCH_SIZE="4").start()
    assert host.wait() == 3
    assert "defines no run_batch()" in host.log.read_text()


def test_what_is_counted_can_be_read_by_prometheus(make_host: MakeHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    host = make_host(GATED).ready()
    threads, _ = in_threads(host, [str(gate).encode()])
    eventually(lambda: host.status()["busy_s"] > 0)
    running = samples(host)
    assert running["skerry_running"] == 1
    assert running["skerry_run_busy_seconds"] > 0
    gate.touch()
    join(threads)
    host.score(b"\xff")
    host.request("GET", '/a"b\n'.replace("\n", ""))

    found = samples(host)
    assert found['skerry_http_requests_total{path="/score",status="200"}'] == 1
    assert found['skerry_http_requests_total{path="/score",status="400"}'] == 1
    assert found['skerry_http_requests_total{path="other",status="404"}'] == 1
    assert found["skerry_score_seconds_count{}"] == 2
    assert found['skerry_score_seconds_bucket{le="+Inf"}'] == 2
    assert found["skerry_ready"] == 1
    assert found["skerry_init_seconds"] >= 0
    assert 5e6 < found["process_resident_memory_bytes"] < 500e6
    assert found["process_cpu_seconds_total"] > 0
    assert abs(found["process_start_time_seconds"] - time.time()) < 600


def samples(host: ScorerHost) -> dict[str, float]:
    """Return what /metrics tells, read by the parser of the real client library."""
    reply = host.request("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(reply.body.decode()):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
            bare = not labels and family.type != "histogram"
            found[sample.name if bare else f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_ready_is_told_apart_from_live(make_host: MakeHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    host = make_host(
        "import pathlib, time\n"
        f"def init():\n    while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        "def run(data): ...\n"
    ).start()
    eventually((host.run_dir / "host.sock").exists)
    assert host.request("GET", "/healthz").status == 200
    assert host.request("GET", "/readyz").status == 503
    gate.touch()
    eventually(lambda: host.request("GET", "/readyz").status == 200)


def test_while_it_stops_what_is_under_way_is_answered_and_nobody_new_comes_in(
    make_host: MakeHost, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    host = make_host(GATED, SKERRY_DRAIN_S="30").ready()
    threads, replies = in_threads(host, [str(gate).encode()])
    eventually(lambda: host.status()["busy_s"] > 0)
    assert host.process is not None
    host.process.terminate()
    eventually(lambda: re.search("stopping", host.log.read_text()))
    with pytest.raises(OSError, match="refused"):
        host.request("GET", "/readyz")
    gate.touch()
    join(threads)
    assert replies[0].status == 200
    assert host.wait() == 0


def test_a_client_that_is_too_slow_is_told_and_the_others_are_answered(
    make_host: MakeHost,
) -> None:
    host = make_host(SKERRY_REQUEST_S="1", SKERRY_IDLE_S="1", SKERRY_MAX_CONNECTIONS="5").ready()
    slow, idle = (UnixConnection(host.run_dir / "host.sock") for _ in range(2))
    for connection in (slow, idle):
        connection.connect()
    slow.sock.sendall(b"POST /score HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1")
    assert host.score(b"1").status == 200
    assert slow.sock.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert idle.sock.recv(1000) == b""
    for connection in (slow, idle):
        connection.close()
