"""``skerry demo``: the whole story, and its end when it is cut short."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.skerry_command import Skerry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def processes_below(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"{folder}/" in command and int(entry.name) != os.getpid():
            found.append(command)
    return found


def start(skerry: Skerry, folder: Path, *words: str, path: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "skerry", "demo", "--data", str(folder), *words]
    return subprocess.Popen(
        command,
        # All of ours: it may say how to reach the package index from here.
        env={**os.environ, **skerry.env, "PATH": path or os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_demo_that_is_kept_runs_on_until_it_is_told_to_end(tmp_path: Path) -> None:
    skerry = Skerry(tmp_path / "mine.json", tmp_path)
    folder = tmp_path / "demo"
    with start(skerry, folder, "--runtime", "process", "--keep") as demo:
        assert demo.stderr is not None
        told = ""
        while "Stop it all with Ctrl-C" not in told:
            line = demo.stderr.readline()
            assert line, told
            told += line
        looking = Skerry(folder / "login.json", tmp_path)
        assert "online" in looking.ok("device", "list")
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=90)
    assert demo.returncode == 0
    assert processes_below(folder) == []


@pytest.mark.parametrize("broker", ["mosquitto", "nats"])
def test_the_whole_story_goes_well_and_leaves_nothing_running(tmp_path: Path, broker: str) -> None:
    skerry = Skerry(tmp_path / "mine.json", tmp_path)
    words = ("--broker", broker, "--runtime", "process", "--output", "json")
    with start(skerry, tmp_path / "demo", *words) as demo:
        out, err = demo.communicate(timeout=850)

    assert demo.returncode == 0, err
    assert json.loads(out)["trouble"] == []
    assert "[INIT_FAILED]" in err
    assert processes_below(tmp_path / "demo") == []
    assert not skerry.login_file.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    skerry = Skerry(tmp_path / "mine.json", tmp_path)
    folder = tmp_path / "demo"
    with start(skerry, folder, "--runtime", "process") as demo:
        deadline = time.monotonic() + 60
        while not (folder / "login.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        demo.send_signal(number)
        _, err = demo.communicate(timeout=90)
    assert demo.returncode == 130, err
    assert "interrupted at: " in err
    assert processes_below(folder) == []


def test_a_step_that_fails_is_named_with_its_reason_and_the_logs(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    skerry = Skerry(tmp_path / "mine.json", tmp_path)
    folder = tmp_path / "demo"
    # Without any program on its path, the server cannot make the base of an image.
    with start(skerry, folder, path=str(tools)) as demo:
        _, err = demo.communicate(timeout=120)
    assert demo.returncode == 1, err
    assert "The demo failed at: Build the module, v1" in err
    assert "apt-get" in err
    assert f"Logs are in {folder}/logs" in err
    assert processes_below(folder) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    refused = Skerry(tmp_path / "login.json", tmp_path)("demo", "--data", tmp_path)
    assert refused.returncode == 1
    assert "is not empty [CONFLICT]" in refused.stderr
