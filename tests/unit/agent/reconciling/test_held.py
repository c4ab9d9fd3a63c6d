"""What holds a switch back, and that it holds nothing else back."""

from datetime import timedelta
from pathlib import Path

import pytest

from skerry_agent.core.world import key_of
from skerry_agent.reconciling.reconciler import AgentVerdict
from skerry_contract.errors import ConflictError, ContractError
from skerry_contract.manifest import Window
from skerry_contract.messages import Wait
from support.memory_device import MemoryDevice, Nature, spec
from support.stepped_agent import SteppedAgent

A1, A2, A3 = spec("a:1"), spec("a:2"), spec("a:3")
B1, B2 = spec("b:1"), spec("b:2")
FIRST = {"a": A1, "b": B1}


# --- what holds the switch back -------------------------------------------------------------------

NIGHT = (Window("02:00", "04:00", zone="utc"),)


def test_a_hold_holds_back_the_switch_and_nothing_else(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.holds.put("hold", "olga", "the line runs", 3600)
    agent.want({"a": A2, "b": spec("b:2", update="stop-first")})

    assert agent.until(lambda: agent.said().phase == "held", 60)
    assert {A2.digest, B2.digest} <= device.held_images
    assert device.log.count("start a a:2") == 1
    agent.run(1200, step_s=2)
    assert device.serving() == {"a": "a:1", "b": "b:1"}
    assert device.log.count("start a a:2") == 1  # it was tried once, and then given its memory back
    assert [run.spec.image for run in device.alive("a")] == ["a:1"]
    [wait] = agent.said().waits
    assert (wait.kind, wait.owner, wait.reason) == ("hold", "olga", "the line runs")
    assert wait.until.startswith("2026-03-02T13:00:1")
    assert agent.kinds().count("held") == 1

    assert agent.holds.remove("hold", "olga")
    assert agent.until(agent.is_settled, 60)
    assert agent.said().waits == ()


def test_what_is_held_is_looked_after(device: MemoryDevice, agent: SteppedAgent) -> None:
    agent.holds.put("hold", "olga", "", 3600)
    agent.want({"a": A2, "b": B2})
    assert agent.until(lambda: agent.said().phase == "held", 60)
    device.crash("a")
    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 6)


def test_a_bad_version_is_told_though_the_switch_is_held(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.natures[A2.digest] = Nature(ends="init raises")
    agent.holds.put("hold", "olga", "", 3600)
    agent.want({"a": A2, "b": B1})
    assert agent.until(lambda: agent.said().phase == "refused", 60)


def test_a_hold_ends_with_its_lease_and_survives_the_agent(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.holds.put("hold", "olga", "", 600)
    agent.want({"a": A2, "b": B1})
    agent.run(300, step_s=1)
    agent.boot()
    agent.run(200, step_s=1)
    assert device.serving()["a"] == "a:1"

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
    assert agent.until(lambda: agent.said().phase == "held", 60)
    agent.run(60)
    assert agent.said().waits[0].owner == "b"

    del device.runs[key_of("b", B1)]
    assert agent.until(agent.is_settled, 60)
    assert agent.holds.current() == ()


def test_an_override_lets_the_switch_through(agent: SteppedAgent) -> None:
    agent.holds.put("hold", "olga", "", 3600)
    agent.holds.put("lock", "b", "", 3600)
    agent.want({"a": A2, "b": B1}, NIGHT)
    agent.run(60)
    assert {wait.kind for wait in agent.said().waits} == {"hold", "lock", "window"}

    agent.holds.put("override", "root", "", 600)
    assert agent.until(agent.is_settled, 60)


@pytest.mark.parametrize("lease_s", [0, -1, 31 * 86_400, float("nan")])
def test_a_lease_has_bounds(agent: SteppedAgent, lease_s: float) -> None:
    with pytest.raises(ContractError, match="lease"):
        agent.holds.put("hold", "olga", "", lease_s)


def test_the_switch_waits_for_a_window(device: MemoryDevice, agent: SteppedAgent) -> None:
    agent.want({"a": A2, "b": B1}, NIGHT)  # it is noon
    assert agent.until(lambda: agent.said().phase == "held", 60)
    assert [wait.reason for wait in agent.said().waits] == ["02:00-04:00 UTC"]
    agent.run(13 * 3600, step_s=60)
    assert device.serving()["a"] == "a:1"

    agent.run(3700, step_s=10)
    assert agent.is_settled()


def test_a_switch_that_has_begun_is_ended_though_the_window_closes(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    slow = spec("a:2", update="stop-first")
    device.natures[slow.digest] = Nature(init_s=50)
    agent.want({"a": slow, "b": B1}, (Window("12:01", "12:02", zone="utc"),))
    assert agent.until(lambda: "a" not in device.serving(), 120)
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
    assert agent.until(lambda: "a" not in device.serving(), 120)

    assert agent.until(lambda: agent.said().phase == "refused", 300)
    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 10)


def test_with_a_clock_that_is_behind_no_window_counts_as_open(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.clock_error = timedelta(days=-400)
    agent.want({"a": A2, "b": B1}, (Window("00:00", "00:00"),))
    assert agent.until(lambda: agent.said().phase == "held", 60)
    assert [wait.kind for wait in agent.said().waits] == ["clock"]

    device.clock_error = timedelta()
    assert agent.until(agent.is_settled, 60)


def test_no_lock_is_taken_once_a_switch_has_begun(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    slow = spec("a:2", update="stop-first")
    device.natures[slow.digest] = Nature(init_s=20)
    agent.want({"a": slow, "b": B1})
    assert agent.until(lambda: "a" not in device.serving(), 60)
    with pytest.raises(ConflictError, match="b: the switch to another deployment is under way"):
        agent.holds.lock("b", "counts coins", 60)

    assert agent.until(agent.is_settled, 60)
    agent.turn()
    assert agent.holds.lock("b", "counts coins", 60)
    agent.holds.unlock("b")
    agent.holds.unlock("b")
    assert agent.holds.current() == ()


# --- another agent --------------------------------------------------------------------------------


def test_another_agent_waits_for_the_window_from_the_very_first_round(
    device: MemoryDevice, tmp_path: Path
) -> None:
    agent = SteppedAgent(device, tmp_path, NIGHT)
    agent.want(FIRST)
    assert agent.until(agent.is_settled, 60)
    agent.boot()  # by day, with another agent on the device that only has to take over
    assert agent.reconciler.holds_agent()
    agent.reconciler.agent = AgentVerdict(Wait("agent"))
    assert agent.reconciler.holds_agent()
    agent.turn()
    assert agent.reconciler.holds_agent()
    assert {wait.kind for wait in agent.reconciler.waits} == {"window", "agent"}
    assert agent.until(lambda: not agent.reconciler.holds_agent(), 86_400, step_s=600)
    assert device.utc.hour in (2, 3)


def test_no_agent_takes_over_while_the_modules_cannot_be_seen(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.reconciler.agent = AgentVerdict(Wait("agent"))
    agent.turn()
    assert not agent.reconciler.holds_agent()
    device.engine = "away"
    agent.turn()
    assert agent.reconciler.holds_agent()
