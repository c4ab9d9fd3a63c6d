"""Running programs within a limit."""

import os
import time
from pathlib import Path

import pytest

from skerry_cloud.compiler.programs import run
from skerry_contract.errors import RuntimeFailedError


def test_output_and_status_of_a_program_are_returned(tmp_path: Path) -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; pwd; exit 3"], timeout_s=10, cwd=tmp_path)
    assert (done.code, done.output) == (3, f"out\nerr\n{tmp_path}\n")


def test_a_program_that_is_not_there_is_named_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError, match=r"apt-get .* No such file") as caught:
        run([tmp_path / "apt-get"], timeout_s=10, cwd=tmp_path)
    assert "Debian 12" in caught.value.remedy


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError, match="longer than 1 s"):
        run(["sh", "-c", "sleep 600 & echo $! > child; wait"], timeout_s=1, cwd=tmp_path)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Whoever adopted it may not have collected it yet.
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
