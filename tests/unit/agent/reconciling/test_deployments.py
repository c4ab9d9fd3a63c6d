"""Whole deployments on a device in memory, with clocks that the test moves on."""

from dataclasses import replace
from itertools import pairwise

import pytest

from skerry_agent.core.world import Key, key_of
from skerry_contract.desired import ModuleSpec
from skerry_contract.errors import ConflictError
from skerry_contract.manifest import Probe, Shadow
from skerry_contract.messages import ShadowReport
from support.memory_device import MemoryDevice, Nature, spec
from support.stepped_agent import SteppedAgent

A1, A2, A3 = spec("a:1"), spec("a:2"), spec("a:3")
B1, B2 = spec("b:1"), spec("b:2")
FIRST = {"a": A1, "b": B1}


# --- deployments ----------------------------------------------------------------------------------


def test_a_first_deployment_is_pulled_proven_served_and_committed(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    assert device.serving() == {"a": "a:1", "b": "b:1"}
    assert agent.said().phase == "committed"
    assert agent.kinds() == ["committed"]


def test_what_ran_goes_on_while_the_next_is_pulled_and_proven(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.want({"a": A2, "b": B1})
    agent.run(7)  # the pull takes five seconds, init() two
    assert device.serving() == {"a": "a:1", "b": "b:1"}

    assert agent.until(agent.is_settled, 20)
    assert device.log == [
        "begin 2, keep 2",
        "pull a:2",
        "start a a:2",
        "stop a a:1",
        "serve a a:2",
    ]


@pytest.mark.parametrize(
    "ends", ["init raises", "golden fails", "dies", "never ready", "unenforced"]
)
@pytest.mark.parametrize("update", ["side-by-side", "stop-first"])
def test_one_bad_module_returns_all_of_them(
    device: MemoryDevice, agent: SteppedAgent, ends: str, update: str
) -> None:
    bad = spec("a:2", update=update, probe=Probe(start_deadline_s=20))
    device.natures[bad.digest] = Nature(ends=ends)
    agent.want({"a": bad, "b": spec("b:2", update=update)})

    assert agent.until(lambda: agent.said().phase == "refused", 300)
    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 60)
    found = agent.said()
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

    assert agent.until(lambda: agent.said().phase == "refused", 120)
    assert device.serving() == {"a": "a:1", "b": "b:1"}
    assert "golden set was not answered" in agent.said().bad[0].failure.text


def test_what_the_engine_refuses_to_start_ends_the_outage_and_not_only_the_attempt(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    refused = spec("a:2", update="stop-first")
    device.natures[refused.digest] = Nature(ends="refused")
    agent.want({"a": refused, "b": B1})

    assert agent.until(lambda: "a" not in device.serving(), 60)
    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 400)
    [bad] = agent.said().bad
    assert bad.failure.code == "DEADLINE"
    assert "cannot be started" in bad.failure.text


def test_an_engine_that_is_away_is_nobody_s_fault(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.want({"a": spec("a:2", update="stop-first"), "b": B1})
    assert agent.until(lambda: "a" not in device.serving(), 60)
    device.engine = "away"
    agent.run(3600, step_s=10)
    assert agent.memory.bad() == ()

    device.engine = "works"
    assert agent.until(agent.is_settled, 400)


@pytest.mark.parametrize("loses_calls", [False, True])
@pytest.mark.parametrize("at_s", [0.0, 4.0, 6.0, 7.5, 9.0])
def test_an_engine_that_hangs_is_waited_for_no_longer_than_its_deadline(
    device: MemoryDevice, agent: SteppedAgent, at_s: float, *, loses_calls: bool
) -> None:
    device.loses_calls = loses_calls
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
    assert agent.until(lambda: agent.said().phase == "refused", 60)
    device.natures.clear()
    agent.run(600, step_s=2)
    assert agent.said().phase == "refused"

    assert agent.reconciler.clear_bad("b") == 0
    assert agent.reconciler.clear_bad("a") == 1
    assert agent.until(agent.is_settled, 60)


SHADOW = Shadow(inputs=20, slower_percent=50)


def test_a_version_that_says_the_same_on_live_input_takes_over(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    newer = spec("a:2", shadow=SHADOW)
    device.natures[newer.digest] = Nature(ms=14.0)
    agent.want({"a": newer, "b": B1})

    assert agent.until(agent.is_settled, 60)
    assert agent.said().modules["a"].shadow == ShadowReport(20, 20, 10.0, 14.0)
    [text] = [event.text for kind, event in agent.events if kind == "shadow"]
    assert text == "agreed on 20 of 20 inputs, 14.0 ms against 10.0 ms"


@pytest.mark.parametrize(
    ("nature", "text"),
    [
        (Nature(ends="disagrees"), "a: agreed with what runs on 0 of 20 inputs"),
        (Nature(ms=16.0), "a: took 16.0 ms, and what runs takes 10.0 ms"),
    ],
)
def test_a_version_that_says_something_else_or_is_slow_is_refused(
    device: MemoryDevice, agent: SteppedAgent, nature: Nature, text: str
) -> None:
    newer = spec("a:2", shadow=SHADOW)
    device.natures[newer.digest] = nature
    agent.want({"a": newer, "b": spec("b:2")})

    assert agent.until(lambda: agent.said().phase == "refused", 60)
    assert device.serving() == {"a": "a:1", "b": "b:1"}
    assert agent.said().bad[0].failure.text == text
    assert device.log.count("stop a a:1") == 0


def test_without_any_input_to_compare_on_the_switch_is_made_and_said(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.has_input = False
    agent.want({"a": spec("a:2", shadow=SHADOW), "b": B1})
    assert agent.until(agent.is_settled, 60)
    assert agent.events[-2][1].text == "no input came to compare it on"


def test_what_runs_is_mended_while_it_is_compared(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    agent.want({"a": spec("a:2", shadow=SHADOW), "b": B1})
    assert agent.until(lambda: agent.jobs.busy(("compare", key_of("a", agent.wanted["a"]))), 60)
    device.crash("b")
    device.hang("a")
    assert agent.until(agent.is_settled, 120)


def test_a_full_disk_is_told_and_tried_again(device: MemoryDevice, agent: SteppedAgent) -> None:
    device.full = True
    agent.want({"a": A2, "b": B1})
    agent.run(30)
    failure = agent.said().failure
    assert failure
    assert failure.code == "NO_SPACE"
    assert device.serving() == {"a": "a:1", "b": "b:1"}

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
    agent.want({"a": renamed, "b": B1})
    agent.run(10)
    assert agent.committed["a"].image == "other:1"
    assert device.log == ["begin 2, keep 2"]


def test_a_key_says_which_revision_of_which_module() -> None:
    assert str(Key("a", "0123")) == "a.0123"
