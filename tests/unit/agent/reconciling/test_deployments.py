"""Whole deployments on a device in memory, with clocks that the test moves on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.core.report import state_of
from skerry_agent.core.world import Key, key_of
from skerry_agent.reconciling.reporting import Heading, report
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import ConflictError, ContractError
from skerry_contract.manifest import Probe, Window
from skerry_contract.messages import Reported
from support.stepped_agent import MemoryDevice, Nature, SteppedAgent, spec

A1, A2, A3 = spec("a:1"), spec("a:2"), spec("a:3")
B1, B2 = spec("b:1"), spec("b:2")
FIRST = {"a": A1, "b": B1}


@pytest.fixture
def device() -> MemoryDevice:
    return MemoryDevice()


@pytest.fixture
def agent(device: MemoryDevice, tmp_path: Path) -> SteppedAgent:
    """An agent that has committed a first deployment of two modules."""
    made = SteppedAgent(device, tmp_path)
    made.want(FIRST)
    assert made.until(made.is_settled, 60)
    device.log.clear()
    return made


def said(agent: SteppedAgent) -> Reported:
    agent.turn()
    return report(agent.reconciler, Heading("b1-abc", "2026-01-01T00:00:00Z"))


def kinds(agent: SteppedAgent) -> list[str]:
    return [kind for kind, _ in agent.events]


def served(device: MemoryDevice) -> dict[str, str]:
    return device.serving()


# --- deployments ----------------------------------------------------------------------------------


def test_a_first_deployment_is_pulled_proven_served_and_committed(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    assert served(device) == {"a": "a:1", "b": "b:1"}
    assert said(agent).phase == "committed"
    assert kinds(agent) == ["committed"]


def test_what_ran_goes_on_while_the_next_is_pulled_and_proven(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.want({"a": A2, "b": B1})
    agent.run(7)  # the pull takes five seconds, init() two
    assert served(device) == {"a": "a:1", "b": "b:1"}

    assert agent.until(agent.is_settled, 20)
    assert device.log == [
        "begin 2, keep 2",
        "pull a:2",
        "start a a:2",
        "stop a a:1",
        "serve a a:2",
    ]


@pytest.mark.parametrize("ends", ["init raises", "golden fails", "dies", "never ready"])
@pytest.mark.parametrize("update", ["side-by-side", "stop-first"])
def test_one_bad_module_returns_all_of_them(
    device: MemoryDevice, agent: SteppedAgent, ends: str, update: str
) -> None:
    bad = spec("a:2", update=update, probe=Probe(start_deadline_s=20))
    device.natures[bad.digest] = Nature(ends=ends)
    agent.want({"a": bad, "b": spec("b:2", update=update)})

    assert agent.until(lambda: said(agent).phase == "refused", 300)
    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 60)
    found = said(agent)
    assert [one.image for one in found.bad] == ["a:2"]
    assert found.failure
    assert found.failure.text.startswith("a: ")
    assert agent.until(lambda: device.held_images == {A1.digest, B1.digest}, 60)
    agent.run(600, step_s=2)
    assert "a:2" not in " ".join(device.log[-1:])


def test_a_golden_set_that_is_never_answered_is_a_verdict_in_the_end(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.natures[A2.digest] = Nature(ends="golden hangs")
    agent.want({"a": A2, "b": B1})

    assert agent.until(lambda: said(agent).phase == "refused", 120)
    assert served(device) == {"a": "a:1", "b": "b:1"}
    assert "golden set was not answered" in said(agent).bad[0].failure.text


def test_what_the_engine_refuses_to_start_ends_the_outage_and_not_only_the_attempt(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    refused = spec("a:2", update="stop-first")
    device.natures[refused.digest] = Nature(ends="refused")
    agent.want({"a": refused, "b": B1})

    assert agent.until(lambda: "a" not in served(device), 60)
    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 400)
    [bad] = said(agent).bad
    assert bad.failure.code == "DEADLINE"
    assert "cannot be started" in bad.failure.text


def test_an_engine_that_is_away_is_nobody_s_fault(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.want({"a": spec("a:2", update="stop-first"), "b": B1})
    assert agent.until(lambda: "a" not in served(device), 60)
    device.engine = "away"
    agent.run(3600, step_s=10)
    assert agent.memory.bad() == ()

    device.engine = "works"
    assert agent.until(agent.is_settled, 400)


@pytest.mark.parametrize("at_s", [0.0, 4.0, 6.0, 7.5, 9.0])
def test_an_engine_that_hangs_is_waited_for_no_longer_than_its_deadline(
    device: MemoryDevice, agent: SteppedAgent, at_s: float
) -> None:
    agent.want({"a": A2, "b": B1})
    agent.run(at_s)
    device.engine = "hangs"
    device.crash("b")
    agent.run(1000, step_s=1)
    device.engine = "works"

    assert agent.until(agent.is_settled, 700)


def test_a_bad_revision_is_tried_again_once_somebody_says_so(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.natures[A2.digest] = Nature(ends="golden fails")
    agent.want({"a": A2, "b": B1})
    assert agent.until(lambda: said(agent).phase == "refused", 60)
    device.natures.clear()
    agent.run(600, step_s=2)
    assert said(agent).phase == "refused"

    assert agent.reconciler.clear_bad("b") == 0
    assert agent.reconciler.clear_bad("a") == 1
    assert agent.until(agent.is_settled, 60)


def test_a_full_disk_is_told_and_tried_again(device: MemoryDevice, agent: SteppedAgent) -> None:
    device.full = True
    agent.want({"a": A2, "b": B1})
    agent.run(30)
    failure = said(agent).failure
    assert failure
    assert failure.code == "NO_SPACE"
    assert served(device) == {"a": "a:1", "b": "b:1"}

    device.full = False
    assert agent.until(agent.is_settled, 700)


def test_what_is_tried_for_ever_is_tried_at_growing_pauses(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.network = False
    tries = []
    device.pull = lambda spec: tries.append(device.now) or MemoryDevice.pull(device, spec)  # type: ignore[method-assign,func-returns-value]
    agent.want({"a": A2, "b": B1})
    agent.run(6 * 3600, step_s=5)

    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert 50 < len(tries) < 200
    assert max(pauses[:3]) < 20 < min(pauses[-5:])
    assert max(pauses) < 330
    device.network = True
    assert agent.until(agent.is_settled, 700)


# --- supervision ----------------------------------------------------------------------------------


def test_a_crash_is_mended_while_a_pull_never_ends(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.natures[A2.digest] = Nature(pull_s=1e9)
    agent.want({"a": A2, "b": B1})
    agent.run(60)

    device.crash("b")
    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 6)
    device.hang("a")
    assert agent.until(lambda: not any(run.hangs for run in device.alive("a")), 60)
    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 6)


def test_after_a_power_cut_without_a_network_everything_runs_again(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.network = False
    device.cut_power()
    agent.boot()

    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 10)


def test_a_crash_loop_grows_slower_and_is_forgiven_once_it_serves(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    starts = []
    device.log.clear()
    for _ in range(1200):
        device.crash("a")
        agent.run(1, step_s=1)
        starts.append(sum(line == "start a a:1" for line in device.log))
    assert starts[-1] < 20
    told = said(agent).modules["a"]
    assert told.restarts == starts[-1] or told.restarts == starts[-1] + 1
    assert told.waits.startswith("starts again at 2026-03-02T")
    assert state_of(said(agent).phase, said(agent).modules) == "degraded"

    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 320)
    agent.run(70)
    device.crash("a")
    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 6)


def ends_well(agent: SteppedAgent) -> None:
    agent.device.crash("a", 0)


def crashes(agent: SteppedAgent) -> None:
    agent.device.crash("a", 1)


def hangs(agent: SteppedAgent) -> None:
    agent.device.hang("a")


def loses_power(agent: SteppedAgent) -> None:
    agent.device.cut_power()
    agent.boot()


@pytest.mark.parametrize(
    ("restart", "events"),
    [
        ("never", [loses_power]),
        ("on-failure", [loses_power, crashes]),
        ("on-unhealthy", [loses_power, crashes, hangs]),
        ("always", [loses_power, crashes, hangs, ends_well]),
    ],
)
@pytest.mark.parametrize("event", [ends_well, crashes, hangs, loses_power])
def test_restart_policies(
    device: MemoryDevice,
    tmp_path: Path,
    restart: Any,
    events: list[Callable[[SteppedAgent], None]],
    event: Callable[[SteppedAgent], None],
) -> None:
    agent = SteppedAgent(device, tmp_path)
    agent.want({"a": spec("a:1", restart=restart)})
    assert agent.until(agent.is_settled, 60)
    device.log.clear()

    event(agent)
    agent.run(120)

    assert ("start a a:1" in device.log) == (event in events)


def test_what_has_ended_for_good_is_not_run_again_by_the_next_start_of_the_agent(
    device: MemoryDevice, tmp_path: Path
) -> None:
    agent = SteppedAgent(device, tmp_path)
    agent.want({"a": spec("a:1", restart="on-failure")})
    assert agent.until(agent.is_settled, 60)
    device.crash("a", 0)
    agent.run(10)
    agent.boot()
    agent.run(60)

    assert said(agent).modules["a"].state == "stopped"
    assert said(agent).modules["a"].failure is None
    assert device.log.count("start a a:1") == 1


def test_one_that_is_not_ready_is_reported_and_left_alone(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    [run] = device.alive("a")
    run.unready = True
    agent.run(600, step_s=2)
    assert said(agent).modules["a"].state == "unready"
    assert device.alive("a") == [run]

    run.unready = False
    agent.run(20)
    assert said(agent).modules["a"].state == "serving"


def test_a_new_version_that_is_not_ready_is_refused(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    newer = spec("a:2", update="stop-first", probe=Probe(start_deadline_s=20))
    agent.want({"a": newer, "b": B1})
    assert agent.until(lambda: "a:2" in served(device).values(), 60)
    for run in device.alive("a"):
        run.unready = True
    device.natures[newer.digest] = Nature(ends="never ready")

    assert agent.until(lambda: agent.committed == agent.wanted or agent.memory.bad() != (), 400)


# --- order ----------------------------------------------------------------------------------------

CAMERA = spec("camera:1")
FACES = spec("faces:1", after=("camera",))
ALARM = spec("alarm:1", after=("faces",))
ORDERED = {"alarm": ALARM, "camera": CAMERA, "faces": FACES}


@pytest.fixture
def ordered(device: MemoryDevice, tmp_path: Path) -> SteppedAgent:
    made = SteppedAgent(device, tmp_path)
    made.want(ORDERED)
    assert made.until(made.is_settled, 120)
    return made


def lines(device: MemoryDevice, word: str) -> list[str]:
    return [line.split()[1] for line in device.log if line.startswith(word)]


def test_modules_start_in_their_order(device: MemoryDevice, ordered: SteppedAgent) -> None:
    assert lines(device, "serve") == ["camera", "faces", "alarm"]
    device.log.clear()
    device.cut_power()
    ordered.boot()
    ordered.run(1)
    assert said(ordered).modules["camera"].waits == ""
    assert said(ordered).modules["faces"].waits == "waits for camera"
    assert said(ordered).modules["alarm"].waits == "waits for faces"

    assert ordered.until(ordered.is_settled, 60)
    assert lines(device, "serve") == ["camera", "faces", "alarm"]


def test_one_that_keeps_failing_holds_up_nobody(
    device: MemoryDevice, ordered: SteppedAgent
) -> None:
    device.natures[CAMERA.digest] = Nature(ends="dies")
    device.cut_power()
    ordered.boot()

    assert ordered.until(lambda: set(served(device)) >= {"faces", "alarm"}, 60)


def test_modules_stop_in_the_other_order(device: MemoryDevice, ordered: SteppedAgent) -> None:
    device.log.clear()
    ordered.want(
        {
            "alarm": spec("alarm:2", after=("faces",), update="stop-first"),
            "camera": spec("camera:2", update="stop-first"),
            "faces": spec("faces:2", after=("camera",), update="stop-first"),
        }
    )
    assert ordered.until(ordered.is_settled, 120)
    assert lines(device, "stop") == ["alarm", "faces", "camera"]
    assert lines(device, "serve") == ["camera", "faces", "alarm"]


@pytest.mark.parametrize("camera", ["side-by-side", "stop-first"])
@pytest.mark.parametrize("faces", ["side-by-side", "stop-first"])
def test_no_order_and_strategy_ends_in_a_deadlock(
    device: MemoryDevice, tmp_path: Path, camera: Any, faces: Any
) -> None:
    agent = SteppedAgent(device, tmp_path)
    for version in (1, 2):
        agent.want(
            {
                "camera": spec(f"camera:{version}", update=camera),
                "faces": spec(f"faces:{version}", update=faces, after=("camera",)),
            }
        )
        assert agent.until(agent.is_settled, 120)


def test_a_circle_that_came_all_the_same_holds_up_nobody(
    device: MemoryDevice, tmp_path: Path
) -> None:
    agent = SteppedAgent(device, tmp_path)
    agent.want({"a": spec("a:1", after=("b",)), "b": spec("b:1", after=("a", "gone"))})
    assert agent.until(agent.is_settled, 60)


# --- what holds the switch back -------------------------------------------------------------------

NIGHT = (Window("02:00", "04:00", zone="utc"),)


def test_a_hold_holds_back_the_switch_and_nothing_else(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.holds.put("hold", "olga", "the line runs", 3600)
    agent.want({"a": A2, "b": spec("b:2", update="stop-first")})

    assert agent.until(lambda: said(agent).phase == "held", 60)
    assert {A2.digest, B2.digest} <= device.held_images
    assert device.log.count("start a a:2") == 1
    agent.run(1200, step_s=2)
    assert served(device) == {"a": "a:1", "b": "b:1"}
    assert device.log.count("start a a:2") == 1  # it was tried once, and then given its memory back
    assert [run.spec.image for run in device.alive("a")] == ["a:1"]
    [wait] = said(agent).waits
    assert (wait.kind, wait.owner, wait.reason) == ("hold", "olga", "the line runs")
    assert wait.until.startswith("2026-03-02T13:00:1")
    assert kinds(agent).count("held") == 1

    assert agent.holds.remove("hold", "olga")
    assert agent.until(agent.is_settled, 60)
    assert said(agent).waits == ()


def test_what_is_held_is_looked_after(device: MemoryDevice, agent: SteppedAgent) -> None:
    agent.holds.put("hold", "olga", "", 3600)
    agent.want({"a": A2, "b": B2})
    assert agent.until(lambda: said(agent).phase == "held", 60)
    device.crash("a")
    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 6)


def test_a_bad_version_is_told_though_the_switch_is_held(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.natures[A2.digest] = Nature(ends="init raises")
    agent.holds.put("hold", "olga", "", 3600)
    agent.want({"a": A2, "b": B1})
    assert agent.until(lambda: said(agent).phase == "refused", 60)


def test_a_hold_ends_with_its_lease_and_survives_the_agent(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.holds.put("hold", "olga", "", 600)
    agent.want({"a": A2, "b": B1})
    agent.run(300, step_s=1)
    agent.boot()
    agent.run(200, step_s=1)
    assert served(device)["a"] == "a:1"

    assert agent.until(agent.is_settled, 150)


@pytest.mark.parametrize("jump", [timedelta(days=3650), timedelta(days=-3650)])
def test_no_jump_of_the_clock_makes_a_lease_longer_or_shorter(
    device: MemoryDevice, agent: SteppedAgent, jump: timedelta
) -> None:
    agent.holds.put("hold", "olga", "", 600)
    device.clock_error = jump
    device.step(590)
    assert len(agent.holds.current()) == 1
    device.step(20)
    assert agent.holds.current() == ()


def test_after_a_reboot_a_lease_begins_anew_but_never_passes_its_end(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.holds.put("hold", "olga", "", 600)
    device.step(300)
    device.cut_power()
    agent.boot()
    assert len(agent.holds.current()) == 1
    device.step(310)
    assert agent.holds.current() == ()


def test_a_lock_ends_with_the_module_that_holds_it(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.holds.put("lock", "b", "counts coins", 3600)
    agent.want({"a": A2, "b": B1})
    assert agent.until(lambda: said(agent).phase == "held", 60)
    agent.run(60)
    assert said(agent).waits[0].owner == "b"

    del device.runs[key_of("b", B1)]
    assert agent.until(agent.is_settled, 60)
    assert agent.holds.current() == ()


def test_an_override_lets_the_switch_through(agent: SteppedAgent) -> None:
    agent.holds.put("hold", "olga", "", 3600)
    agent.holds.put("lock", "b", "", 3600)
    agent.want({"a": A2, "b": B1}, NIGHT)
    agent.run(60)
    assert {wait.kind for wait in said(agent).waits} == {"hold", "lock", "window"}

    agent.holds.put("override", "root", "", 600)
    assert agent.until(agent.is_settled, 60)


@pytest.mark.parametrize("lease_s", [0, -1, 31 * 86_400, float("nan")])
def test_a_lease_has_bounds(agent: SteppedAgent, lease_s: float) -> None:
    with pytest.raises(ContractError, match="lease"):
        agent.holds.put("hold", "olga", "", lease_s)


def test_the_switch_waits_for_a_window(device: MemoryDevice, agent: SteppedAgent) -> None:
    agent.want({"a": A2, "b": B1}, NIGHT)  # it is noon
    assert agent.until(lambda: said(agent).phase == "held", 60)
    assert [wait.reason for wait in said(agent).waits] == ["02:00-04:00 UTC"]
    agent.run(13 * 3600, step_s=60)
    assert served(device)["a"] == "a:1"

    agent.run(3700, step_s=10)
    assert agent.is_settled()


def test_a_switch_that_has_begun_is_ended_though_the_window_closes(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    slow = spec("a:2", update="stop-first")
    device.natures[slow.digest] = Nature(init_s=50)
    agent.want({"a": slow, "b": B1}, (Window("12:01", "12:02", zone="utc"),))
    assert agent.until(lambda: "a" not in served(device), 120)
    assert f"{device.utc:%H:%M}" == "12:01"
    device.step(30)

    assert agent.until(agent.is_settled, 120)
    assert f"{device.utc:%H:%M}" == "12:02"
    assert device.log.count("start a a:1") == 0


def test_a_first_deployment_waits_for_no_window(device: MemoryDevice, tmp_path: Path) -> None:
    agent = SteppedAgent(device, tmp_path, NIGHT)
    agent.want({"a": A1}, NIGHT)
    assert agent.until(agent.is_settled, 60)


def test_a_return_waits_for_no_window(device: MemoryDevice, agent: SteppedAgent) -> None:
    bad = spec("a:2", update="stop-first")
    device.natures[bad.digest] = Nature(init_s=80, ends="init raises")
    agent.want({"a": bad, "b": B1}, (Window("12:01", "12:02", zone="utc"),))
    assert agent.until(lambda: "a" not in served(device), 120)

    assert agent.until(lambda: said(agent).phase == "refused", 300)
    assert agent.until(lambda: served(device) == {"a": "a:1", "b": "b:1"}, 10)


def test_with_a_clock_that_is_behind_no_window_counts_as_open(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.clock_error = timedelta(days=-400)
    agent.want({"a": A2, "b": B1}, (Window("00:00", "00:00"),))
    assert agent.until(lambda: said(agent).phase == "held", 60)
    assert [wait.kind for wait in said(agent).waits] == ["clock"]

    device.clock_error = timedelta()
    assert agent.until(agent.is_settled, 60)


# --- what commands ask for ------------------------------------------------------------------------


def test_a_module_is_restarted_when_somebody_asks(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    key = key_of("a", A1)
    agent.asked_to_stop.add("a")
    run = agent.reconciler.restart(key)
    assert agent.reconciler.serving_run("a") == run
    with pytest.raises(ConflictError, match="a is being started or stopped"):
        agent.reconciler.restart(key)

    assert agent.until(lambda: agent.reconciler.serving_run("a") not in ("", run), 20)
    assert device.log == ["stop a a:1", "start a a:1", "serve a a:1"]
    with pytest.raises(ConflictError):
        agent.reconciler.restart(Key("z", "0" * 12))


def test_a_name_for_people_may_change_without_a_restart(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    renamed: ModuleSpec = replace(A1, image="other:1")
    agent.want({"a": renamed, "b": B1}, NIGHT)
    agent.run(10)
    assert agent.committed["a"].image == "other:1"
    assert device.log == ["begin 2, keep 2"]


def test_a_key_says_which_revision_of_which_module() -> None:
    assert str(Key("a", "0123")) == "a.0123"
