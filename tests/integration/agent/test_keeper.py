"""What the keeper of a module does with signals that come at a bad moment."""

import os
import signal
import subprocess

import pytest

from skerry_agent.runtimes import keeper

pytestmark = pytest.mark.integration


def test_a_child_is_killed_that_has_no_group_of_its_own_yet() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:  # in our group, as a sandbox just begun
        ended = keeper._signalled(bytes([signal.SIGUSR1]), child.pid, child.pid)
        assert not ended
        assert child.wait(10) == -signal.SIGKILL


def test_a_child_that_has_ended_is_noticed_and_its_number_left_alone() -> None:
    with subprocess.Popen(["true"]) as child, subprocess.Popen(["sleep", "60"]) as stranger:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert keeper._signalled(bytes([signal.SIGUSR1]), child.pid, stranger.pid)
        assert stranger.poll() is None
        stranger.kill()
