"""The scorer host over HTTP: Azure's scoring contract, and what the agent asks."""

import http.client
import json
import re
import socket
import threading
from pathlib import Path

import pytest

from support.scorer_host import MakeHost, UnixConnection, eventually, port_of

pytestmark = pytest.mark.integration

SLOW = """
import pathlib, time
calls = 0
def init(): ...
def run(data):
    global calls
    calls += 1
    while not pathlib.Path(data).exists():
        time.sleep(0.01)
    return calls
"""


def test_echo_scores_text_and_bytes(make_host: MakeHost) -> None:
    host = make_host().ready()

    reply = host.score(b'{"a": "\xc3\xa9"}')
    assert (reply.status, reply.json) == (200, {"a": "é"})
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-ms-run-function-failed"] == "False"
    assert re.fullmatch(r"\d+\.\d{3}", reply.headers["x-ms-run-fn-exec-ms"])

    for content_type in ("application/octet-stream", "image/png", "audio/wav"):
        assert host.score(b"\xff\x00", content_type).json["bytes"] == 2
    assert host.request("GET", "/score?a=1&b=x&b=2").json == {"a": 1, "b": ["x", 2]}
    assert host.status()["scored"] == 5


def test_text_that_is_not_utf_8_is_the_clients_fault(make_host: MakeHost) -> None:
    host = make_host().ready()
    reply = host.score(b"\xff")
    assert reply.status == 400
    assert "UTF-8" in reply.json["message"]
    assert host.status()["failed"] == 0


def test_ids_come_back_and_long_ones_are_refused(make_host: MakeHost) -> None:
    host = make_host().ready()
    reply = host.request("POST", "/score", b"1", x_request_id="one", x_ms_client_request_id="two")
    assert reply.headers["x-request-id"] == "one"
    assert reply.headers["x-ms-request-id"] == "two"
    assert reply.headers["x-ms-client-request-id"] == "two"
    assert host.score(b"1").headers["x-request-id"]
    assert host.request("POST", "/score", b"1", x_request_id="x" * 101).status == 431


def test_paths_and_methods_that_do_not_exist_are_named(make_host: MakeHost) -> None:
    host = make_host().ready()
    assert host.request("GET", "/nothing").status == 404
    reply = host.request("DELETE", "/score")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST, OPTIONS")
    assert host.request("OPTIONS", "/score").status == 200
    head = host.request("HEAD", "/")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "7")


def test_a_run_that_raises_is_a_500_that_says_where_and_the_next_is_scored(
    make_host: MakeHost,
) -> None:
    host = make_host(
        "def init(): ...\ndef run(data):\n    if data == 'exit':\n        raise SystemExit(5)\n"
        "    return 1 / int(data)\n"
    ).ready()
    reply = host.score(b"0")
    assert reply.status == 500
    assert reply.json == {
        "message": "score.py: run() raised ZeroDivisionError: division by zero (score.py:5)"
    }
    assert reply.headers["x-ms-run-function-failed"] == "True"
    assert host.score(b"exit").status == 500
    assert host.score(b"2").json == 0.5
    assert (host.status()["scored"], host.status()["failed"]) == (1, 2)
    log = host.log.read_text()
    assert 'score.py", line 5, in run' in log
    assert "skerry_scorer/" not in log


@pytest.mark.parametrize("result", ["{1}", "float('nan')", "[float('inf')]", "b'x'", "'\\ud800'"])
def test_what_json_cannot_say_is_a_failure_with_a_reason(make_host: MakeHost, result: str) -> None:
    host = make_host(f"def init(): ...\ndef run(data): return {result}\n").ready()
    reply = host.score(b"")
    assert reply.status == 500
    assert "cannot be written as JSON" in reply.json["message"]


def test_arrays_and_scalars_that_can_turn_into_plain_values_do(make_host: MakeHost) -> None:
    host = make_host(
        "class Array:\n    def tolist(self): return [1.5, 2]\n"
        "class Tensor:\n    def item(self): return 3\n"
        "def init(): ...\ndef run(data): return {'a': Array(), 'b': [Tensor()]}\n"
    ).ready()
    assert host.score(b"").json == {"a": [1.5, 2], "b": [3]}


def test_nothing_returned_is_an_empty_object(make_host: MakeHost) -> None:
    host = make_host("def init(): ...\ndef run(data): ...\n").ready()
    assert host.score(b"").body == b"{}"


def test_status_and_health_are_answered_while_init_and_run_compute(
    make_host: MakeHost, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    host = make_host(
        "import pathlib, time\n"
        f"def init():\n    while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        f"def run(data):\n    while pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
    ).start()
    eventually((host.run_dir / "host.sock").exists)
    status = host.status()
    assert (status["ready"], status["busy_s"]) == (False, 0.0)
    assert host.request("GET", "/").status == 503
    early = host.score(b"1")
    assert (early.status, early.headers["retry-after"]) == (503, "1")
    assert host.request("POST", "/skerry/golden").status == 503

    gate.touch()
    eventually(lambda: host.status()["ready"])
    scoring = threading.Thread(target=host.score, args=[b"1"])
    scoring.start()
    eventually(lambda: host.status()["busy_s"] > 0)
    assert host.request("GET", "/").body == b"Healthy"
    gate.unlink()
    scoring.join(10)
    assert host.status()["scored"] == 1


def test_more_than_may_wait_are_turned_away_and_those_who_wait_are_answered(
    make_host: MakeHost, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    host = make_host(SLOW, SKERRY_MAX_WAITING="2").ready()
    replies: list[int] = []

    def score() -> None:
        replies.append(host.score(str(gate).encode()).status)

    threads = [threading.Thread(target=score) for _ in range(3)]
    threads[0].start()
    eventually(lambda: host.status()["busy_s"] > 0)
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: host.status()["waiting"] == 2)
    refused = host.score(b"x")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    gate.touch()
    for thread in threads:
        thread.join(10)
    assert replies == [200, 200, 200]


def test_a_request_whose_client_has_gone_is_not_scored(make_host: MakeHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    host = make_host(SLOW).ready()
    first = threading.Thread(target=host.score, args=[str(gate).encode()])
    first.start()
    eventually(lambda: host.status()["busy_s"] > 0)
    gone = UnixConnection(host.run_dir / "host.sock")
    gone.request("POST", "/score", str(gate).encode())
    eventually(lambda: host.status()["waiting"] == 1)
    gone.close()
    host.status()  # answered after the host has seen the other connection close
    gate.touch()
    first.join(10)
    eventually(lambda: host.status()["waiting"] == 0)
    assert host.score(str(gate).encode()).json == 2


def test_one_connection_carries_many_requests_pipelined_ones_too(make_host: MakeHost) -> None:
    host = make_host().ready()
    connection = UnixConnection(host.run_dir / "host.sock")
    for i in range(50):
        connection.request("POST", "/score", str(i))
        assert json.loads(connection.getresponse().read()) == i
    one = b"POST /score HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"
    connection.sock.sendall(b"".join(one + b"%02d" % i for i in range(10, 60)))
    got = b""
    while got.count(b"HTTP/1.1 200") < 50 or not got.endswith(b"59"):
        got += connection.sock.recv(65536)
    assert [int(n) for n in re.findall(rb"\r\n\r\n(\d\d)", got)] == list(range(10, 60))
    connection.close()


def test_a_chunked_upload_and_leave_to_send_work_with_a_usual_client(make_host: MakeHost) -> None:
    host = make_host().ready()
    connection = UnixConnection(host.run_dir / "host.sock")
    headers = {"Content-Type": "image/png"}
    connection.request("POST", "/score", iter([b"a" * 70_000, b"b"]), headers, encode_chunked=True)
    assert json.loads(connection.getresponse().read())["bytes"] == 70_001
    connection.sock.sendall(
        b"POST /score HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    )
    assert connection.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sock.sendall(b"7")
    assert connection.sock.recv(1000).endswith(b"\r\n\r\n7")
    connection.close()


def test_a_body_beyond_the_limit_is_refused_while_it_is_still_sent(make_host: MakeHost) -> None:
    host = make_host(SKERRY_MAX_BODY_BYTES="1000").ready()
    assert host.score(b"1".rjust(1000)).status == 200
    connection = UnixConnection(host.run_dir / "host.sock")
    connection.connect()
    connection.sock.sendall(b"POST /score HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n")
    connection.sock.sendall(b"x" * 500_000)
    reply = connection.sock.recv(1000)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in reply
    connection.close()


def test_what_is_no_http_is_a_400_and_the_host_lives_on(make_host: MakeHost) -> None:
    host = make_host().ready()
    connection = UnixConnection(host.run_dir / "host.sock")
    connection.connect()
    connection.sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    assert connection.sock.recv(1000).startswith(b"HTTP/1.1 400 ")
    connection.close()
    assert host.request("GET", "/").status == 200


def test_on_tcp_anybody_may_score_and_nobody_give_orders(make_host: MakeHost) -> None:
    host = make_host(SKERRY_PORT="0", SKERRY_ADDRESS="127.0.0.1").ready()
    connection = http.client.HTTPConnection("127.0.0.1", port_of(host), timeout=10)
    answers = []
    for method, path in [
        ("GET", "/"),
        ("POST", "/score"),
        ("POST", "/skerry/golden"),
        ("POST", "/skerry/serve"),
        ("POST", "/skerry/hold"),
    ]:
        connection.request(method, path, b"1")
        answers.append((connection.getresponse().read(), path))
    statuses = [body for body, _ in answers]
    assert statuses[0] == b"Healthy"
    assert statuses[1] == b"1"
    assert json.loads(statuses[2])["passed"] is True
    assert all(b"host.sock only" in body for body in statuses[3:])
    assert host.status()["serving"] is False
    connection.close()


def test_a_port_that_is_taken_ends_the_host_with_a_reason(make_host: MakeHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        host = make_host(SKERRY_PORT=port, SKERRY_ADDRESS="127.0.0.1").start()
        assert host.wait() == 1
    assert "Address already in use" in host.log.read_text()


def test_golden_sets_pass_and_fail_with_their_reasons(make_host: MakeHost) -> None:
    host = make_host().ready()
    found = host.request("POST", "/skerry/golden").json
    assert found["passed"] is True
    assert len(found["cases"]) == 2
    assert host.status()["scored"] == 0

    wrong = make_host(
        "def init(): ...\ndef run(data): return {'n': len(data) // (len(data) - 3)}\n"
    )
    app = wrong.run_dir.parent / "app-1"
    (app / "four.bin").write_bytes(b"1234")
    (app / "three.bin").write_bytes(b"123")
    cases = [
        {"input": "four.bin", "expect": {"n": 5}, "tolerance": 0.5},
        {"input": "three.bin", "expect": {}},
        {"input": "none.bin", "expect": {}},
        {"input": "four.bin", "expect": {"n": 4}},
    ]
    (app / "golden.json").write_text(json.dumps(cases))
    found = wrong.ready().request("POST", "/skerry/golden").json
    assert found["passed"] is False
    assert [case["passed"] for case in found["cases"]] == [False, False, False, True]
    assert found["cases"][0]["text"] == "n: expected 5 within 0.5, got 4"
    assert "ZeroDivisionError" in found["cases"][1]["text"]
    assert "none.bin" in found["cases"][2]["text"]


def test_no_golden_set_passes_and_a_broken_one_does_not(make_host: MakeHost) -> None:
    host = make_host("def init(): ...\ndef run(data): ...\n").ready()
    assert host.request("POST", "/skerry/golden").json == {"passed": True, "cases": []}
    (host.run_dir.parent / "app-0" / "golden.json").write_text("{")
    found = host.request("POST", "/skerry/golden").json
    assert found["passed"] is False
    [case] = found["cases"]
    assert case["input"] == "golden.json"
    assert case["text"].startswith("cannot be read: line 1, column 2: ")
