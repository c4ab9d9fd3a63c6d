"""The clock of ages goes forward by what has passed, whatever the wall clock says."""

from dataclasses import replace
from pathlib import Path

import pytest

from skerry_agent.core.age_clock import MAX_OFF_S, Mark, Moment, resumed
from skerry_agent.telling.age_clock import SAVE_EVERY_S, AgeClock, this_moment

YEARS_10 = 10 * 365.25 * 24 * 3600
DAY = 24 * 3600.0
BEFORE = Mark(1000.0, Moment("kernel-1", 500.0, 1_700_000_000.0))
CASES = {
    "nothing has happened": ("kernel-1", 500.0, 0.0, 1000.0),
    "an hour, and the wall clock agrees": ("kernel-1", 4100.0, 3600.0, 4600.0),
    "an hour, and the wall clock jumped ahead": ("kernel-1", 4100.0, YEARS_10, 4600.0),
    "an hour, and the wall clock jumped back": ("kernel-1", 4100.0, -YEARS_10, 4600.0),
    "rebooted, off for an hour": ("kernel-2", 60.0, 3660.0, 4660.0),
    "rebooted, off for a month": ("kernel-2", 60.0, 30 * DAY, 1060.0 + MAX_OFF_S),
    "rebooted, and the wall clock jumped ahead": ("kernel-2", 60.0, YEARS_10, 1060.0 + MAX_OFF_S),
    "rebooted, and the wall clock jumped back": ("kernel-2", 60.0, -YEARS_10, 1060.0),
    "rebooted without a clock that runs": ("kernel-2", 60.0, 0.0, 1060.0),
    "two kernels that tell no id": ("", 60.0, 3660.0, 4660.0),
}


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on(case: str) -> None:
    machine, up_s, wall_later_s, age_s = CASES[case]
    mark = replace(BEFORE, moment=replace(BEFORE.moment, machine=machine and "kernel-1"))
    now = Moment(machine, up_s, BEFORE.moment.wall_s + wall_later_s)
    assert resumed(mark, now) == pytest.approx(age_s)


class Machine:
    """A machine whose clocks a test sets."""

    def __init__(self) -> None:
        self.now = Moment("k1", 100.0, 1_700_000_000.0)

    def __call__(self) -> Moment:
        return self.now

    def passes(self, seconds: float, *, wall_s: float | None = None) -> None:
        wall = seconds if wall_s is None else wall_s
        self.now = Moment(self.now.machine, self.now.up_s + seconds, self.now.wall_s + wall)

    def reboots(self, off_s: float, *, wall_s: float | None = None) -> None:
        wall = off_s + 10.0 if wall_s is None else wall_s
        self.now = Moment(f"{self.now.machine}+", 10.0, self.now.wall_s + wall)


def test_over_restarts_reboots_and_jumps_ages_are_never_more_than_the_time_and_never_less(
    tmp_path: Path,
) -> None:
    machine, path = Machine(), tmp_path / "age-clock.json"
    clock = AgeClock(path, moment=machine)
    start = clock.now_s()
    machine.passes(3600)
    machine.passes(0, wall_s=YEARS_10)
    clock.now_s()
    clock.save()
    assert AgeClock(path, moment=machine).now_s() - start == pytest.approx(3600)
    machine.reboots(600)
    clock = AgeClock(path, moment=machine)
    machine.passes(50, wall_s=-2 * YEARS_10)
    assert clock.now_s() - start == pytest.approx(3600 + 600 + 10 + 50)


def test_it_is_written_down_now_and_then(tmp_path: Path) -> None:
    machine, path = Machine(), tmp_path / "age-clock.json"
    clock = AgeClock(path, moment=machine)
    first = path.read_bytes()
    machine.passes(SAVE_EVERY_S - 1)
    clock.save_if_due()
    assert path.read_bytes() == first
    machine.passes(1)
    clock.save_if_due()
    assert path.read_bytes() != first


@pytest.mark.parametrize("content", [b"", b"{}", b'{"age_s": -1}', b"\xff"])
def test_a_mark_that_is_lost_makes_nothing_older(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "age-clock.json"
    path.write_bytes(content)
    assert AgeClock(path, at_least_s=77.0, moment=Machine()).now_s() == 77.0


def test_this_machine_has_a_clock_that_only_goes_forward() -> None:
    assert this_moment().up_s <= this_moment().up_s
