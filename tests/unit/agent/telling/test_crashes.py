"""How the run before has ended is told by the next one, with its last lines."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skerry_agent.telling.crashes import RUNNING, CrashWatch

RUN = """
import logging, os, sys, time
from pathlib import Path
from skerry_agent.telling.agent_log import AgentLog
from skerry_agent.telling.crashes import CrashWatch, catch_faults
state = Path(sys.argv[1])
logging.getLogger().addHandler(AgentLog(state))
watch = CrashWatch(state)
assert watch.begin() is None
faults = catch_faults(state)
logging.warning("the last thing that it said")
if sys.argv[2] == "end":
    watch.end()
else:
    os.kill(os.getpid(), int(sys.argv[2]))
    time.sleep(60)
"""


def run(state: Path, how: object) -> None:
    subprocess.run([sys.executable, "-c", RUN, state, str(how)], check=False, timeout=30)


def test_a_good_end_is_nothing_to_tell(tmp_path: Path) -> None:
    run(tmp_path, "end")
    assert CrashWatch(tmp_path).begin() is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_is_told_with_the_last_lines(tmp_path: Path, number: signal.Signals) -> None:
    run(tmp_path, int(number))
    event = CrashWatch(tmp_path).begin()
    assert event is not None
    assert (event.severity, event.code) == ("error", "CRASH")
    assert "the last thing that it said" in event.detail
    # Of a crash inside the interpreter it says where it was.
    assert ("Segmentation fault" in event.detail) == (number == signal.SIGSEGV)


def test_a_power_cut_is_no_crash_of_the_agent(tmp_path: Path) -> None:
    (tmp_path / RUNNING).write_text("another run of the machine")
    event = CrashWatch(tmp_path).begin()
    assert event is not None
    assert event.code == "POWER"
    assert os.path.exists(tmp_path / RUNNING)  # noqa: PTH110 - as plain as can be
