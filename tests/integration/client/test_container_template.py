"""The template in C: compiled, asked by the agent's own client, and carried to a real engine."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from skerry_agent import host as agents_client
from skerry_contract.errors import ProbeError
from support.dockerd import Dockerd
from support.doubler import Doubler
from support.programs import need
from support.scorer_host import TEMPLATES, UnixConnection, eventually

# The first build of a module fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STRICT = "-std=gnu11 -O1 -g -Wall -Wextra -Werror"


def compiled(folder: Path, flags: str = "") -> Path:
    """Compile a copy of the template as its README says, or with other flags and not static."""
    need("gcc", "gcc")
    shutil.copytree(TEMPLATES / "container-c", folder)
    make = [need("make", "make"), "-B", "-C", str(folder), "CC=gcc"]
    subprocess.run(
        [*make, *([f"CFLAGS={flags}", "LDFLAGS="] if flags else [])], check=True, timeout=120
    )
    return folder / "iris"


def ask(folder: Path, raw: bytes) -> tuple[int, bytes]:
    """Send bytes as they are and return status and body; status 0 if nothing is answered."""
    with connected(folder) as wire:
        wire.sendall(raw)
        wire.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def connected(folder: Path) -> socket.socket:
    connection = UnixConnection(folder / "host.sock")
    connection.connect()
    return connection.sock


def post(body: bytes, path: str = "/score") -> bytes:
    return f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture(scope="module", params=["as the README says", "-fsanitize=address,undefined"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, and once more with what ends it at the first fault of memory."""
    folder = tmp_path_factory.mktemp("c") / "made"
    if not request.param.startswith("-"):
        return compiled(folder)
    return compiled(folder, f"{STRICT} {request.param} -fno-sanitize-recover=all")


@pytest.fixture
def running(program: Path, tmp_path: Path) -> Iterator[Path]:
    """The run folder of a running program, with a name longer than a socket's may be."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    (folder / "host.sock").write_text("left by one that was killed")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program], env={"SKERRY_RUN_DIR": str(folder)}, stderr=log)
    try:
        eventually((folder / "host.sock").is_socket)
        eventually(lambda: process.poll() is not None or answers(folder))
        yield folder
        process.terminate()
        assert process.wait(20) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "log").read_text() == ""


def answers(folder: Path) -> bool:
    try:
        return agents_client.status(folder, timeout_s=20).ready
    except ProbeError:
        return False


def test_the_agent_proves_it_releases_it_and_reads_its_status(running: Path) -> None:
    agents_client.prove(running, "iris", timeout_s=20)
    assert not agents_client.status(running, timeout_s=20).serving
    agents_client.serve(running)
    assert agents_client.status(running, timeout_s=20).serving
    assert ask(running, post(b"", "/skerry/hold"))[0] == 200
    assert not agents_client.status(running, timeout_s=20).serving


def test_it_scores_and_counts(running: Path) -> None:
    sample = (TEMPLATES / "container-c/samples/meadow.json").read_bytes()
    status, body = ask(running, post(sample))
    assert (status, json.loads(body)["flower"]) == (200, "versicolor")
    assert json.loads(body)["squared_distance"] == pytest.approx(
        0.036**2 + 0.23**2 + 0.06**2 + 0.174**2
    )
    assert ask(running, post(b"[1, 2, 3]"))[0] == 400
    said = agents_client.status(running, timeout_s=20)
    assert (said.scored, said.failed) == (1, 1)


BAD_BODIES = [b"", b"[", b"[1,2,3,4", b"[1,2,3,4]x", b"[1,2,3,nan]", b"[0x1,2,3,4]", b"[01,2,3,4]"]
BAD_BODIES += [b"[1e999,2,3,4]", b"[1.,2,3,4]", b"[" + b"1" * 4000, b"\0" * 4096, b"[1\0,2,3,4]"]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_what_is_no_flower_is_refused(running: Path, body: bytes) -> None:
    assert ask(running, post(body))[0] == 400


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 0),
        (b"GET / HTTP/1.1\r\n", 0),
        (b"GET / HTTP/1.1\r\n\r\n", 200),
        (b"GET /?a=b HTTP/1.0\r\nHost: x\r\n\r\n", 200),
        (b"GET /none HTTP/1.1\r\n\r\n", 404),
        (b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHo\0st: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno field\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", 413),
        (b"POST /score HTTP/1.1\r\nContent-Length: " + b"9" * 99 + b"\r\n\r\n", 413),
        (b"POST /skerry/golden HTTP/1.1\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 5000, 431),
        (b"x" * 100_000, 431),
    ],
)
def test_hostile_requests_are_refused(running: Path, raw: bytes, status: int) -> None:
    assert ask(running, raw)[0] == status
    assert answers(running)


def test_the_longest_request_fits(running: Path) -> None:
    sample = b"[5.1, 3.5, 1.4, 0.2]"
    line = b"POST /score HTTP/1.1\r\nContent-Length: 4096\r\nA: "
    head = line + b"x" * (4096 - len(line) - 2) + b"\r\n\r\n"
    assert ask(running, head + sample.ljust(4096))[0] == 200


def test_one_connection_too_many_is_told_and_a_place_that_is_left_is_free(running: Path) -> None:
    with ExitStack() as kept:
        waiting = [kept.enter_context(connected(running)) for _ in range(16)]
        with connected(running) as refused:
            assert refused.recv(4096).startswith(b"HTTP/1.1 503 ")
        waiting[0].close()
        eventually(lambda: answers(running))


def test_a_port_that_is_none_is_told(program: Path) -> None:
    done = subprocess.run(
        [program], env={"SKERRY_PORT": "many"}, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (2, b"SKERRY_PORT must be a number from 0 to 65535\n")


def test_its_image_becomes_a_module_and_runs_in_an_engine(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path
) -> None:
    compiled(tmp_path / "made")
    dockerd.docker("build", "--network", "none", "--tag", "iris-c:1", str(tmp_path / "made"))
    dockerd.docker("save", "--output", str(tmp_path / "iris.tar"), "iris-c:1")
    source = f"docker-archive:{tmp_path}/iris.tar"
    doubler.skerry.ok("module", "import", source, "-n", "iris-c")
    target = f"docker-archive:{tmp_path}/module.tar"
    doubler.skerry.ok("module", "export", "iris-c:1", "--output", target)
    dockerd.docker("load", "--input", str(tmp_path / "module.tar"))
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o777)
    place = ("--env", "SKERRY_RUN_DIR=/run/skerry", "--volume", f"{folder}:/run/skerry")
    limits = ("--read-only", "--network", "none", "--cap-drop", "ALL", "--memory", "16m")
    name = dockerd.docker("run", "--detach", *place, *limits, "iris-c:1").strip()
    try:
        eventually(lambda: answers(folder))
        agents_client.prove(folder, "iris", timeout_s=20)
        dockerd.docker("stop", name)
        assert dockerd.docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0\n"
    finally:
        dockerd.docker("rm", "--force", name)
