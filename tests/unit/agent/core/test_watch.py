"""What a runtime and a host say of an instance, and the life that follows from it."""

import pytest

from skerry_agent.core.watch import Seen, Watch
from skerry_agent.core.world import Instance, Life
from skerry_contract.manifest import Probe

PROBE = Probe(start_deadline_s=60, interval_s=10, timeout_s=5, failures=3)
RUNS = Seen("run-1", running=True)


def watch(*, ready: bool = False, serving: bool = False, proven: bool = False) -> Watch:
    return Watch("run-1", since=100.0, ready=ready, serving=serving, proven=proven)


@pytest.mark.parametrize(
    ("heard", "seen", "life"),
    [
        (watch(), RUNS, Instance(Life.STARTING)),
        (watch(ready=True), RUNS, Instance(Life.READY)),
        (watch(ready=True, proven=True), RUNS, Instance(Life.READY, proven=True)),
        (watch(ready=True, serving=True), RUNS, Instance(Life.SERVING)),
        (watch(ready=True, serving=True, proven=True), RUNS, Instance(Life.SERVING, proven=True)),
        (watch(), Seen("run-1", running=False, status=3), Instance(Life.EXITED, status=3)),
        (watch(), Seen("run-1", running=False), Instance(Life.EXITED, status=None)),
        (
            watch(ready=True, serving=True, proven=True),
            Seen("run-1", running=False, status=137),
            Instance(Life.EXITED, proven=False, status=137),
        ),
    ],
)
def test_the_life_follows_from_what_was_heard(heard: Watch, seen: Seen, life: Instance) -> None:
    assert heard.instance(seen, PROBE) == life


def test_silence_before_it_is_ready_means_nothing() -> None:
    heard = watch()
    for _ in range(100):
        heard.missed(PROBE, now=101.0)
    assert heard.instance(RUNS, PROBE).life is Life.STARTING


def test_only_misses_in_a_row_make_it_unhealthy() -> None:
    heard = watch(ready=True, serving=True)
    for _ in range(2):
        heard.missed(PROBE, now=101.0)
    assert heard.instance(RUNS, PROBE).life is Life.SERVING
    heard.heard(ready=True, serving=True, probe=PROBE, now=102.0)
    for _ in range(2):
        heard.missed(PROBE, now=103.0)
    assert heard.instance(RUNS, PROBE).life is Life.SERVING
    heard.missed(PROBE, now=104.0)
    assert heard.instance(RUNS, PROBE).life is Life.UNHEALTHY


def test_an_unhealthy_instance_that_answers_again_is_well() -> None:
    heard = watch(ready=True, serving=True, proven=True)
    for _ in range(5):
        heard.missed(PROBE, now=101.0)
    heard.heard(ready=True, serving=True, probe=PROBE, now=102.0)
    assert heard.instance(RUNS, PROBE) == Instance(Life.SERVING, proven=True)


def test_what_has_ended_is_not_called_unhealthy() -> None:
    heard = watch(ready=True)
    for _ in range(5):
        heard.missed(PROBE, now=101.0)
    assert heard.instance(Seen("run-1", running=False), PROBE).life is Life.EXITED


@pytest.mark.parametrize(
    ("ready", "now", "overdue"),
    [(False, 160.0, False), (False, 160.1, True), (True, 1e9, False), (False, 99.0, False)],
)
def test_the_start_deadline_counts_until_it_is_ready(
    now: float, *, ready: bool, overdue: bool
) -> None:
    assert watch(ready=ready).overdue(PROBE, now) == overdue


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize(
    ("age_s", "pause_s"), [(0.0, 0.05), (0.1, 0.05), (0.4, 0.1), (2.0, 0.5), (60.0, 1.0)]
)
def test_the_longer_a_start_takes_the_rarer_it_is_looked_at(
    age_s: float, pause_s: float, *, ready: bool
) -> None:
    now = 100.0 + age_s
    heard, missed = watch(), watch()
    heard.heard(ready=ready, serving=False, probe=PROBE, now=now)
    missed.missed(PROBE, now=now)
    assert [one.next_look - now for one in (heard, missed)] == pytest.approx([pause_s] * 2)


def test_one_that_is_being_asked_is_not_asked_again_at_once() -> None:
    asked = watch()
    asked.asked(now=101.0)
    assert asked.next_look > 101.0


def test_what_serves_is_looked_at_in_its_interval_and_after_a_miss_sooner() -> None:
    heard = watch()
    heard.heard(ready=True, serving=True, probe=PROBE, now=200.0)
    assert heard.next_look == 210.0
    heard.missed(PROBE, now=210.0)
    assert heard.next_look == 211.0


def test_an_answer_that_never_ends_is_a_miss_after_twice_its_time() -> None:
    watch, probe = Watch("1", 0.0, ready=True, serving=True), Probe(timeout_s=5, failures=2)
    watch.asked(100.0)

    misses = []
    for second in range(101, 125):
        watch.still_waiting(probe, float(second))
        assert watch.next_look > second  # or the loop would not rest
        misses.append(watch.misses)
    assert misses[9:11] == [0, 1]
    assert watch.instance(Seen("1", running=True), probe).life is Life.UNHEALTHY


def test_the_last_complaint_is_remembered() -> None:
    watch = Watch("1", 0.0, ready=True)
    watch.missed(Probe(), 1.0, "run() has taken 301 s")

    assert (watch.misses, watch.complaint) == (1, "run() has taken 301 s")
