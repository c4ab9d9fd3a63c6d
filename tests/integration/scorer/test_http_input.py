"""Requests as an input: each is answered to whoever asked, and its result reaches the agent."""

import json
import threading
from typing import Any

import pytest

from support.agent_socket import Answer, Listen, stored
from support.scorer_host import MakeHost, ScorerHost, eventually

pytestmark = pytest.mark.integration

INVERSE = """
from azureml.contrib.services.aml_response import AMLResponse

def init(): ...

def run(data):
    if data == "page": return AMLResponse("<p>", 200)
    if data == "busy": return AMLResponse("busy", 503)
    if data == "large": return "x" * 70_000
    return {"inverse": 1 / float(data)}
"""


def with_requests(host: ScorerHost) -> ScorerHost:
    host.settings(inputs={"calls": {"http": "/score", "aside": "/nowhere"}}, stream="scores")
    return host.ready()


def ask(host: ScorerHost, data: str) -> int:
    return host.request("POST", "/score", data.encode(), x_request_id=f"id-{data}").status


def test_results_of_requests_are_answered_and_told(make_host: MakeHost, listen: Listen) -> None:
    host = make_host(INVERSE)
    agent = listen(host.run_dir)
    with_requests(host)
    assert host.request("POST", "/score", b"4", x_request_id="a").json == {"inverse": 0.25}
    assert host.request("POST", "/score", b"\xff").status == 400  # the client's own fault
    assert host.request("GET", "/skerry/status").status == 200
    eventually(lambda: agent.items)
    [item] = agent.items
    assert item["stream"] == "scores"
    assert item["data"].pop("ms") >= 0
    assert item["data"] == {"input": "calls", "request": "a", "result": {"inverse": 0.25}}


def test_what_fails_is_told_as_an_event_and_does_not_stop_the_next(
    make_host: MakeHost, listen: Listen
) -> None:
    host = make_host(INVERSE)
    agent = listen(host.run_dir)
    with_requests(host)
    assert [ask(host, data) for data in ("0", "busy", "page", "large", "2")] == [
        *(500, 503, 200, 200, 200)
    ]
    eventually(lambda: len(agent.items) == 5)
    told = {
        item["data"]["request"]: item["data"].get("text") or item["data"]["result"]
        for item in agent.items
    }
    assert told == {
        "id-0": "calls/id-0: score.py: run() raised ZeroDivisionError: "
        "float division by zero (score.py:10)",
        "id-busy": "calls/id-busy: run() answered with status 503",
        "id-page": "calls/id-page: 3 bytes that are no JSON",
        "id-large": told["id-large"],
        "id-2": {"inverse": 0.5},
    }
    assert "at most" in told["id-large"]


def test_while_the_agent_stores_nothing_no_more_is_taken_than_may_wait_and_none_is_lost(
    make_host: MakeHost, listen: Listen
) -> None:
    gate = threading.Event()

    def answer(line: dict[str, Any]) -> Answer:
        gate.wait(60)
        return stored(line)

    host = make_host("def init(): ...\ndef run(data): return data\n")
    agent = listen(host.run_dir, answer)
    with_requests(host)
    taken, status = 0, 200
    while (reply := host.score(json.dumps("x" * 40_000).encode())).status == 200:
        taken += 1
    status = reply.status
    assert (status, reply.headers["retry-after"]) == (503, "1")
    assert 50 < taken < 150  # some 4 MiB wait
    gate.set()
    eventually(lambda: host.score(b'"next"').status == 200)
    eventually(lambda: len(agent.items) == taken + 1)


def test_requests_and_files_share_the_agents_socket(
    make_host: MakeHost, listen: Listen, inputs: Any
) -> None:
    host = make_host("def init(): ...\ndef run(data): return data\n")
    agent = listen(host.run_dir)
    folder = {"folder": str(inputs)}
    host.settings(inputs={"calls": {"http": "/score"}, "in": folder})
    host.ready().request("POST", "/skerry/serve")
    for i in range(50):
        (inputs / f"{i}.txt").write_text(f"file {i}")
        assert host.score(b"request %d" % i).status == 200
    eventually(lambda: len(agent.items) == 100)
    expected = {f"{what} {i}" for i in range(50) for what in ("file", "request")}
    assert {item["data"]["result"] for item in agent.items} == expected


def test_what_was_answered_before_the_end_is_told_before_it(
    make_host: MakeHost, listen: Listen
) -> None:
    host = make_host("def init(): ...\ndef run(data): return data\n")
    agent = listen(host.run_dir)
    with_requests(host)
    for _ in range(3):
        before = len(agent.items)
        for i in range(20):
            assert host.score(b"%d" % i).status == 200
        assert host.terminate() == 0
        assert len(agent.items) == before + 20
        host.ready()


def test_another_path_is_refused(make_host: MakeHost) -> None:
    host = make_host()
    host.settings(inputs={"calls": {"http": "/elsewhere"}})
    assert host.start().wait() == 2
    assert "inputs.calls.http: expected /score" in host.log.read_text()
