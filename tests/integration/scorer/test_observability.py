"""What can be seen of requests from outside: JSON logs that carry their ids, and traces."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.otlp import OtlpReceiver
from support.scorer_host import MakeHost, ScorerHost, eventually

pytestmark = pytest.mark.integration

TALKS = """
import logging, sys
print("at import")
def init():
    print("in init")
def run(data):
    print("scoring", data)
    print("one\\ntwo")
    logging.getLogger("mine").warning("beware")
    sys.stdout.write("no end of line")
    if data == "bad":
        raise ValueError("no")
    return data
"""
TRACED = """
from opentelemetry import trace
tracer = trace.get_tracer("script")
def init(): ...
def run(data):
    with tracer.start_as_current_span("preprocess"):
        if data == "bad":
            raise ValueError("no")
    return data
"""
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def records(host: ScorerHost) -> list[dict[str, Any]]:
    return [json.loads(x) for x in host.log.read_text().splitlines() if x.startswith("{")]


def test_every_line_of_a_request_carries_its_id_what_the_script_prints_too(
    make_host: MakeHost,
) -> None:
    host = make_host(TALKS, SKERRY_LOG_FORMAT="json", PYTHONUNBUFFERED="1").ready()
    host.request("POST", "/score", b"a", x_request_id="first")
    host.request("POST", "/score", b"bad", x_request_id="second")
    eventually(lambda: sum(r["logger"] == "skerry_scorer.access" for r in records(host)) >= 2)

    def of(request_id: str, logger: str) -> list[str]:
        found = [r for r in records(host) if r.get("request_id") == request_id]
        return [r["message"] for r in found if r["logger"] == logger]

    assert of("first", "print") == ["scoring a", "one", "two", "no end of line"]
    assert of("second", "print")[0] == "scoring bad"
    assert of("first", "mine") == ["beware"]
    assert of("first", "skerry_scorer.access") == ["POST /score 200"]
    [access] = [r for r in records(host) if r.get("request_id") == "second" and "request" in r]
    assert access["request"] | {"ms": 0} == {
        "method": "POST", "path": "/score", "status": 500, "ms": 0, "bytes": 3,
    }  # fmt: skip
    [failed] = of("second", "skerry_scorer.serving.scoring")
    assert "ValueError: no" in failed
    # Without a request, prints are what they are.
    assert "in init\n" in host.log.read_text()


def test_a_format_of_logs_that_there_is_not_is_refused(make_host: MakeHost) -> None:
    host = make_host(TALKS, SKERRY_LOG_FORMAT="xml").start()
    assert host.wait() == 2
    assert "SKERRY_LOG_FORMAT must be text or json" in host.log.read_text()


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    made = OtlpReceiver()
    yield made
    made.close()


def test_a_trace_of_the_client_goes_on_through_the_host_into_the_script(
    make_host: MakeHost, receiver: OtlpReceiver
) -> None:
    host = make_host(
        TRACED, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, OTEL_BSP_SCHEDULE_DELAY="100"
    ).ready()
    host.request("POST", "/score", b"a", traceparent=PARENT)
    eventually(lambda: {"POST /score", "run", "preprocess"} <= {s.name for s in receiver.spans})
    spans = {span.name: span for span in receiver.spans}
    score, run, inner = (spans[name] for name in ("POST /score", "run", "preprocess"))
    assert {s.trace_id.hex() for s in (score, run, inner)} == {"0af7651916cd43dd8448eb211c80319c"}
    assert score.parent_span_id.hex() == "b7ad6b7169203331"
    assert run.parent_span_id == score.span_id
    assert inner.parent_span_id == run.span_id
    assert receiver.services == {"model"}
    attributes = {a.key: a.value for a in score.attributes}
    assert attributes["http.response.status_code"].int_value == 200


def test_a_failure_is_marked_and_what_is_left_is_sent_at_the_end(
    make_host: MakeHost, receiver: OtlpReceiver
) -> None:
    host = make_host(
        TRACED,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
        OTEL_BSP_SCHEDULE_DELAY="600000",
        OTEL_SERVICE_NAME="faces",
    ).ready()
    assert host.score(b"bad").status == 500
    assert host.terminate() == 0
    [score] = [span for span in receiver.spans if span.name == "POST /score"]
    assert score.status.code == 2
    assert receiver.services == {"faces"}


def test_a_receiver_that_is_not_there_costs_no_answer(make_host: MakeHost) -> None:
    host = make_host(TRACED, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9").ready()
    assert host.score(b"a").json == "a"


def test_without_the_packages_it_is_told_and_scores_all_the_same(make_host: MakeHost) -> None:
    host = make_host(
        "def init(): ...\ndef run(d): return d\n",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
    ).ready()
    assert host.score(b"a").json == "a"
    assert "no traces: OTEL_… asks for them over grpc" in host.log.read_text()
