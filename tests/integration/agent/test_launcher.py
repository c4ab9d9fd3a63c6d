"""The launcher with real processes: stand-in releases that work, crash, hang or wait."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import skerry_agent.launcher
from skerry_agent.launcher import AGAIN, MAX_TRIES, Record, read, write
from support.site import kill, processes_of

DEADLINE_S = 20.0
TELL = """\
import os, sys
from pathlib import Path
home = Path(sys.argv[sys.argv.index("--home") + 1])
with (home / "told").open("a") as told:
    told.write(f"{NAME} {os.environ['SKERRY_RELEASE'] or 'flashed'} {sys.argv[1]}\\n")
"""
WAIT = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nsignal.pause()\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A device folder whose flashed code tells that it runs, and waits."""
    package(tmp_path / "lib", "flashed", WAIT)
    launcher = Path(skerry_agent.launcher.__file__).read_bytes()
    (tmp_path / "lib" / "skerry_agent" / "launcher.py").write_bytes(launcher)
    (tmp_path / "state" / "agent").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def run(home: Path) -> Iterator["Run"]:
    running = Run(home)
    yield running
    running.end()


class Run:
    """One start of the launcher."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, command: str = "run") -> "subprocess.Popen[bytes]":
        script = self.home / "lib" / "skerry_agent" / "launcher.py"
        line = [sys.executable, str(script), command, "--home", str(self.home)]
        env = {**os.environ, "PYTHONPATH": str(self.home / "lib"), "PYTHONSAFEPATH": "1"}
        self.processes.append(subprocess.Popen(line, env=env))
        return self.processes[-1]

    def told(self, count: int) -> list[str]:
        """Wait until so many lines were told, and return all."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                lines = (self.home / "told").read_text().splitlines()
            except OSError:
                lines = []
            if len(lines) >= count or time.monotonic() > deadline:
                return lines
            time.sleep(0.02)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                assert process.wait(DEADLINE_S) == 0
        # A stand-in whose launcher was killed does not look after it.
        for pid in processes_of(self.home):
            kill(pid)


def package(folder: Path, name: str, body: str) -> None:
    """Write a stand-in agent that tells its name, and does ``body``."""
    (folder / "skerry_agent").mkdir(parents=True)
    (folder / "skerry_agent" / "__init__.py").touch()
    main = TELL.replace("{NAME}", name) + body
    (folder / "skerry_agent" / "__main__.py").write_text(main)


def release(home: Path, name: str, body: str, record: Record) -> None:
    package(home / "state" / "agent" / name, name, body)
    write(home / "state", record)


def test_without_a_record_the_flashed_code_runs_in_the_process_itself(run: Run) -> None:
    process = run.start()
    assert run.told(1) == ["flashed flashed run"]
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


def test_good_code_runs_each_command(run: Run, home: Path) -> None:
    release(home, "r1", "", Record(good="r1"))
    assert run.start("status").wait(DEADLINE_S) == 0
    assert run.told(1) == ["r1 r1 status"]
    assert read(home / "state").tries == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("raise SystemExit(3)\n", id="ends"),
        pytest.param("1 / 0\n", id="raises"),
        pytest.param("os.kill(os.getpid(), 9)\n", id="is killed"),
        pytest.param(
            "from skerry_agent import launcher\n"
            "launcher.HANG_S = 0.3\nlauncher.alive()\nwhile True: pass\n",
            id="hangs",
        ),
        pytest.param(f"sys.exit({AGAIN})\n", id="asks for the next choice"),
        pytest.param("from a_package_that_is_not_there import x\n", id="cannot import"),
    ],
)
def test_a_trial_that_fails_in_any_way_is_given_up(run: Run, home: Path, body: str) -> None:
    release(home, "r2", body, Record(trial="r2", served=("camera",)))
    launcher = Path(skerry_agent.launcher.__file__).read_bytes()
    (home / "state" / "agent" / "r2" / "skerry_agent" / "launcher.py").write_bytes(launcher)
    run.start()
    assert run.told(MAX_TRIES + 1) == ["r2 r2 run"] * MAX_TRIES + ["flashed flashed run"]
    assert read(home / "state") == Record(fallen="r2", served=("camera",))


def test_a_try_that_a_power_cut_ended_counts(run: Run, home: Path) -> None:
    release(home, "r2", WAIT, Record(trial="r2"))
    for tries in range(1, MAX_TRIES + 1):
        process = run.start()
        run.told(tries)
        assert read(home / "state").tries == tries
        process.kill()
        process.wait()
    run.start()
    assert run.told(MAX_TRIES + 1)[-1] == "flashed flashed run"


def test_a_trial_is_stopped_with_its_launcher(run: Run, home: Path) -> None:
    release(home, "r2", WAIT, Record(trial="r2"))
    process = run.start()
    run.told(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    assert read(home / "state").trial == "r2"


def test_a_trial_whose_launcher_is_gone_ends_itself(run: Run, home: Path) -> None:
    body = (
        "import time\nfrom skerry_agent import launcher\n"
        "(home / 'pid').write_text(str(os.getpid()))\n"
        "while True:\n    launcher.alive()\n    time.sleep(0.02)\n"
    )
    release(home, "r2", body, Record(trial="r2"))
    launcher = Path(skerry_agent.launcher.__file__).read_bytes()
    (home / "state" / "agent" / "r2" / "skerry_agent" / "launcher.py").write_bytes(launcher)
    process = run.start()
    run.told(1)
    deadline = time.monotonic() + DEADLINE_S
    while not (home / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = int((home / "pid").read_text())
    process.kill()
    process.wait()
    while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_agent_that_runs_in_the_process_itself_can_ask_for_the_next_choice(
    run: Run, home: Path
) -> None:
    body = (
        "import json\nrecord = home / 'state' / 'agent' / 'slots.json'\n"
        "said = json.loads(record.read_text())\n"
        "if said['good'] == 'r1':\n"
        "    record.write_text(json.dumps({**said, 'good': '', 'tries': 0}))\n"
        f"    sys.exit({AGAIN})\n"
    )
    release(home, "r1", body, Record(good="r1"))
    process = run.start()
    assert run.told(2) == ["r1 r1 run", "flashed flashed run"]
    assert process.poll() is None


@pytest.mark.parametrize(
    "left",
    [
        b"",
        b"\0" * 100,
        b"{}",
        b"[1]",
        b"null",
        json.dumps({"good": "../..", "trial": "", "tries": 0, "fallen": "", "served": []}).encode(),
        json.dumps({"good": 7, "trial": "", "tries": 0, "fallen": "", "served": []}).encode(),
        json.dumps({"good": "r1", "trial": "", "tries": "x", "fallen": "", "served": 1}).encode(),
    ],
)
def test_a_record_that_cannot_be_read_counts_as_none(home: Path, left: bytes) -> None:
    (home / "state" / "agent" / "slots.json").write_bytes(left)
    assert read(home / "state") == Record()


def test_a_release_whose_folder_is_gone_leaves_the_flashed_code(run: Run, home: Path) -> None:
    write(home / "state", Record(good="r9"))
    run.start()
    assert run.told(1) == ["flashed flashed run"]


def test_words_that_a_later_release_adds_to_the_record_do_no_harm(home: Path) -> None:
    write(home / "state", Record(good="r1"))
    path = home / "state" / "agent" / "slots.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "calm"}))
    assert read(home / "state") == Record(good="r1")
