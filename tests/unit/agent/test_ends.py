"""How an end is told that met a limit."""

import pytest

from skerry_agent.runtimes import Exited, Pressure
from skerry_agent.runtimes.ends import told


@pytest.mark.parametrize(
    ("pressure", "text", "remedy"),
    [
        (Pressure(), "", ""),
        (
            Pressure(1, 67_100_000, 2**26),
            "; the kernel killed it for the memory it used: memory limit 64 MiB, peak 64 MiB",
            "resources.memory_mb",
        ),
        (
            Pressure(1, None, None),
            "; the kernel killed it for the memory it used",
            "The device itself is short of memory",
        ),
        (
            Pressure(0, 5, 2**26, 3, 20),
            "; it was refused another process or thread 3 times, for it may have 20",
            "resources.pids",
        ),
    ],
)
def test_a_limit_is_told_with_its_numbers(pressure: Pressure, text: str, remedy: str) -> None:
    found = told(Exited(0.0, 137, pressure))
    assert found[0] == text
    assert remedy in found[1]


def test_nothing_is_said_of_an_end_that_nobody_saw() -> None:
    assert told(None) == ("", "")
