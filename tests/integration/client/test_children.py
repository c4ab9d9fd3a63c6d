"""Processes that we start end when they are told to, and leave nothing behind."""

import os
import sys
import time
from pathlib import Path

import pytest

from skerry import server as servers
from skerry.children import Child
from skerry_contract.errors import ContractError, DeadlineError, RuntimeFailedError

pytestmark = pytest.mark.integration

STUBBORN = "import signal, time; signal.signal(15, 1); print('up', flush=True); time.sleep(60)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def serving(code: str, tmp_path: Path) -> Child:
    return Child("server", python(code), log=tmp_path / "server.log", read_stdout=True)


def log_of(child: Child, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in child.last_lines():
        assert time.monotonic() < deadline, child.last_lines()
        time.sleep(0.02)


def test_a_child_ends_when_it_is_told_and_twice_is_harmless(tmp_path: Path) -> None:
    child = Child("sleeper", python("import time; time.sleep(60)"), log=tmp_path / "log")
    assert child.ended() is None
    assert child.stop()
    assert child.stop()
    assert child.ended() == -15


def test_a_child_that_does_not_listen_is_killed_and_told_of(tmp_path: Path) -> None:
    child = Child("stubborn", python(STUBBORN), log=tmp_path / "log")
    log_of(child, "up")
    assert not child.stop(grace_s=0.1)
    assert child.ended() == -9


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(RuntimeFailedError, match="ghost does not start"):
        Child("ghost", ["/nowhere/ghost"])


def test_what_a_child_leaves_behind_is_found_and_ended(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "start_new_session=True); print('left', flush=True)"
    )
    # In a process of its own: adopting orphans would change the one that runs the tests.
    outer = (
        "import sys, pathlib; from skerry.children import *; adopt_orphans(); "
        f"child = Child('c', [sys.executable, '-c', {code!r}], log=pathlib.Path(sys.argv[1])); "
        "child.wait(20); print(end_orphans()); print(end_orphans())"
    )
    done = Child("outer", [*python(outer), tmp_path / "c.log"], log=tmp_path / "outer.log")
    assert done.wait(30) == 0, done.last_lines()
    first, second = done.last_lines().splitlines()
    assert "time.sleep(60)" in first
    assert second == "[]"


def test_a_server_that_ends_before_it_serves_passes_on_its_status(tmp_path: Path) -> None:
    code = "import sys; print('skerry: port taken [CONFLICT]', file=sys.stderr); sys.exit(7)"
    with pytest.raises(RuntimeFailedError) as caught:
        servers.start(server := serving(code, tmp_path))
    assert server.ended() == 7
    assert "port taken" in caught.value.detail


def test_a_server_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True, file=open('pid', 'w')); time.sleep(60)"
    code = code.replace("'pid'", repr(str(tmp_path / "pid")))
    with pytest.raises(DeadlineError, match="not ready within"):
        servers.start(serving(code, tmp_path), deadline_s=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("line", ["hello", "{}", '{"ready": true}'])
def test_a_first_line_that_makes_no_sense_is_refused(tmp_path: Path, line: str) -> None:
    code = f"import time; print({line!r}, flush=True); time.sleep(60)"
    server = serving(code, tmp_path)
    with pytest.raises(ContractError, match="server's first line"):
        servers.start(server)
    assert server.ended() is not None


def test_only_options_that_were_given_reach_the_server(tmp_path: Path) -> None:
    line = servers.command(tmp_path, {"port": 0, "broker_port": None, "tls": False, "fleet": "a"})
    assert line[1:] == [
        *("-m", "skerry_cloud", "serve", "--data", str(tmp_path)),
        *("--port", "0", "--no-tls", "--fleet", "a"),
    ]
