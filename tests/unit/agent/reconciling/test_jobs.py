"""Jobs run beside the loop, once per name, and are waited for no longer than they may take."""

import threading
from collections.abc import Callable

import pytest

from skerry_agent.reconciling.jobs import MAX_LEFT, Jobs
from skerry_contract.errors import NetworkError, SkerryError


class Bench:
    """Jobs that begin and end when the test says so, on a clock that it sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Callable[[], None]] = []
        self.ends: list[SkerryError | None] = []
        self.jobs = Jobs(
            lambda: None,
            clock=lambda: self.now,
            spawn=lambda work, _: self.waiting.append(work),
        )

    def run(self, name: str, *, deadline_s: float | None = None) -> None:
        self.jobs.run(name, lambda: None, self.ends.append, deadline_s=deadline_s)


def test_a_job_is_busy_until_its_end_is_collected() -> None:
    bench = Bench()
    bench.run("a")
    bench.run("a")
    [work] = bench.waiting
    work()
    assert bench.jobs.busy("a")
    bench.jobs.collect()
    assert (bench.ends, bench.jobs.busy("a")) == ([None], False)


def test_one_that_is_late_counts_as_failed_once_and_its_name_is_free() -> None:
    bench = Bench()
    bench.run("a", deadline_s=10)
    bench.now = 9.9
    bench.jobs.collect()
    assert bench.ends == []

    bench.now = 10.0
    bench.jobs.collect()
    bench.jobs.collect()
    [error] = bench.ends
    assert error
    assert error.code == "DEADLINE"

    bench.run("a", deadline_s=10)
    bench.waiting[0]()  # at last; nobody waits for it
    bench.jobs.collect()
    assert len(bench.ends) == 1
    assert bench.jobs.busy("a")
    bench.waiting[1]()
    bench.jobs.collect()
    assert bench.ends[1:] == [None]


def test_not_without_end_are_late_jobs_left_behind() -> None:
    bench = Bench()
    for number in range(MAX_LEFT + 3):
        bench.run(f"{number}", deadline_s=1)
    bench.now = 1.0
    bench.jobs.collect()
    assert len(bench.ends) == MAX_LEFT + 3
    busy = [number for number in range(MAX_LEFT + 3) if bench.jobs.busy(f"{number}")]
    assert len(busy) == 3

    for work in bench.waiting:
        work()
    bench.jobs.collect()
    assert not any(bench.jobs.busy(f"{number}") for number in busy)
    assert len(bench.ends) == MAX_LEFT + 3


def test_a_job_without_a_deadline_is_waited_for() -> None:
    bench = Bench()
    bench.run("a")
    bench.now = 1e9
    bench.jobs.collect()
    assert (bench.ends, bench.jobs.busy("a")) == ([], True)


@pytest.mark.parametrize(
    ("error", "code"), [(NetworkError("gone"), "NET"), (ValueError("a bug"), "INTERNAL")]
)
def test_what_a_job_raises_is_handed_to_the_loop(error: Exception, code: str) -> None:
    woken = threading.Event()
    jobs = Jobs(woken.set)
    found: list[SkerryError | None] = []

    def work() -> None:
        raise error

    jobs.run("a", work, found.append)
    assert woken.wait(30)
    jobs.join(30)
    jobs.collect()
    assert [one.code for one in found if one] == [code]
