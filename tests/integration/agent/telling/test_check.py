"""Each fault of a device is found, over real connections, and comes with what to do about it."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.home import Home, read_home
from skerry_agent.runtimes import Runtime
from skerry_agent.runtimes.choice import choose
from skerry_agent.telling.check import check
from skerry_agent.telling.check_machine import cgroups
from skerry_agent.telling.finding import Finding
from skerry_agent.telling.outbox import Entry, Outbox, Rank
from skerry_contract.errors import RuntimeFailedError
from support.certificates import certify
from support.device_folder import write_device_folder
from support.mosquitto import Mosquitto
from support.ports import free_port

pytestmark = pytest.mark.integration


@contextmanager
def web(
    answers: dict[str, int], *, ahead_s: float = 0.0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve statuses by the beginning of a path, by a clock that may be off."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = (status for start, status in answers.items() if self.path.startswith(start))
            self.send_response_only(next(found, 404))
            self.send_header("Date", formatdate(time.time() + ahead_s, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    scheme = "https" if tls else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


WELL = {"/v1/devices/": 200, "/v2/": 200}


@pytest.fixture
def broker(mosquitto: Mosquitto) -> dict[str, Any]:
    mosquitto.start()
    return {"host": "127.0.0.1", "port": mosquitto.port, "tls": False}


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., dict[str, list[Finding]]]:
    """Check a device folder with changes, and return the findings by name."""

    def looked(**changes: Any) -> dict[str, list[Finding]]:
        home = read_home(write_device_folder(tmp_path, runtime="process", **changes))
        home.state.mkdir(exist_ok=True)
        found: dict[str, list[Finding]] = {}
        for finding in check(home, lambda: choose(home.config, home.folder)):
            found.setdefault(finding.name, []).append(finding)
        return found

    return looked


Look = Callable[..., dict[str, list[Finding]]]


def problem(findings: list[Finding], level: str = "error") -> Finding:
    """Return the one finding of a level; it has a remedy."""
    (found,) = [one for one in findings if one.level == level]
    assert found.fix
    return found


def test_a_device_that_is_well_is_told_so(look: Look, broker: dict[str, Any]) -> None:
    with web(WELL) as url:
        found = look(broker=broker, cloud={"url": url})
    for name in ("folder", "disk", "memory", "outbox", "dns", "broker", "cloud", "registry"):
        assert [one.level for one in found[name]] == ["ok"] * len(found[name]), found[name]
    assert problem(found["agent"], "warning").text == "does not run"


def test_a_name_that_nobody_knows(look: Look) -> None:
    nowhere = {"host": "broker.invalid", "port": 1883}
    with web(WELL) as url:
        found = look(broker=nowhere, cloud={"url": url})
    assert "broker.invalid" in problem(found["dns"]).text
    assert "broker" not in found  # its name is what is wrong


def test_a_broker_and_a_cloud_that_do_not_run(look: Look) -> None:
    port = free_port()
    found = look(
        broker={"host": "127.0.0.1", "port": port}, cloud={"url": f"http://127.0.0.1:{port}"}
    )
    assert str(port) in problem(found["broker"]).text
    assert str(port) in problem(found["cloud"]).text


def test_a_token_that_was_replaced(look: Look, broker: dict[str, Any]) -> None:
    with web({"/v1/devices/": 401, "/v2/": 401}) as url:
        found = look(broker=broker, cloud={"url": url})
    assert "flash" in problem(found["cloud"]).fix


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
def test_a_clock_that_is_off(look: Look, broker: dict[str, Any], ahead_s: float) -> None:
    with web(WELL, ahead_s=ahead_s) as url:
        found = look(broker=broker, cloud={"url": url})
    assert ("behind" if ahead_s > 0 else "ahead") in problem(found["clock"]).text


def test_a_registry_that_is_none(look: Look, broker: dict[str, Any]) -> None:
    with web({"/v1/devices/": 200}) as url, web({}) as other:
        found = look(broker=broker, cloud={"url": url}, download={"sources": [{"url": other}]})
    assert [one.level for one in found["registry"]] == ["error", "error"]


def test_a_certificate_that_nobody_vouches_for_and_one_that_ends_soon(
    look: Look, broker: dict[str, Any], tmp_path: Path
) -> None:
    certified = certify(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified.certificate, certified.key)
    with web(WELL, tls=context) as url:
        stranger = look(broker=broker, cloud={"url": url})
        (tmp_path / "ca.pem").write_bytes(certified.ca.read_bytes())
        soon = look(broker=broker, cloud={"url": url})
    assert "CERTIFICATE_VERIFY_FAILED" in problem(stranger["cloud"]).text
    assert "good until" in problem(soon["certificate"], "warning").text
    assert [one.level for one in soon["cloud"]] == ["ok"]


def test_an_outbox_that_is_nearly_full_and_one_that_is_damaged(
    look: Look, broker: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "state" / "outbox.db"
    path.parent.mkdir()
    box = Outbox(path, "b1", limit_bytes=10**7)
    box.put([Entry("cam/scores", Rank.TELEMETRY, b"x" * 60_000)] * 16, ts="t", now_s=1.0)
    box.close()
    with web(WELL) as url:
        full = look(broker=broker, cloud={"url": url}, outbox_mb=1)
        path.write_bytes(b"no database" * 1000)
        damaged = look(broker=broker, cloud={"url": url})
    assert "91 % full" in problem(full["outbox"], "warning").text
    assert "outbox.db" in problem(damaged["outbox"]).text


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    home: Home = read_home(write_device_folder(tmp_path))

    def missing() -> Runtime:
        raise RuntimeFailedError("no engine answers at /var/run/docker.sock")

    (found,) = [one for one in check(home, missing) if one.name == "engine"]
    assert (found.level, bool(found.fix)) == ("error", True)


CGROUPS = {
    "version 2 with all": ("cpuset cpu io memory pids\n", "", "ok", "version 2"),
    "version 2 without memory": ("cpu pids\n", "", "warning", "without memory"),
    "version 1 with all": (
        None,
        "cpu\t1\t1\t1\nmemory\t2\t1\t1\npids\t3\t1\t1\n",
        "ok",
        "version 1",
    ),
    "version 1, memory off": (
        None,
        "cpu\t1\t1\t1\nmemory\t0\t1\t0\npids\t3\t1\t1\n",
        "warning",
        "without memory",
    ),
}


@pytest.mark.parametrize("case", CGROUPS)
def test_limits_that_the_kernel_cannot_hold(tmp_path: Path, case: str) -> None:
    unified, rows, level, text = CGROUPS[case]
    if unified is not None:
        (tmp_path / "cgroup.controllers").write_text(unified)
    (tmp_path / "table").write_text(f"#subsys_name\thierarchy\tnum_cgroups\tenabled\n{rows}")
    found = cgroups(tmp_path, tmp_path / "table")
    assert (found.level, text in found.text) == (level, True), found
