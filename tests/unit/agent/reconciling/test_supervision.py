"""What runs is looked after: restarts, order, readiness; with clocks that the test moves on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.core.report import state_of
from skerry_contract.manifest import Probe
from support.memory_device import MemoryDevice, Nature, spec
from support.stepped_agent import SteppedAgent

A1, A2, A3 = spec("a:1"), spec("a:2"), spec("a:3")
B1, B2 = spec("b:1"), spec("b:2")
FIRST = {"a": A1, "b": B1}


# --- supervision ----------------------------------------------------------------------------------


def test_a_crash_is_mended_while_a_pull_never_ends(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.natures[A2.digest] = Nature(pull_s=1e9)
    agent.want({"a": A2, "b": B1})
    agent.run(60)

    device.crash("b")
    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 6)
    device.hang("a")
    assert agent.until(lambda: not any(run.hangs for run in device.alive("a")), 60)
    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 6)


def test_after_a_power_cut_without_a_network_everything_runs_again(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    device.network = False
    device.cut_power()
    agent.boot()

    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 10)


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
    told = agent.said().modules["a"]
    assert told.restarts == starts[-1] or told.restarts == starts[-1] + 1
    assert told.waits.startswith("starts again at 2026-03-02T")
    assert state_of(agent.said().phase, agent.said().modules) == "degraded"

    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 320)
    agent.run(70)
    device.crash("a")
    assert agent.until(lambda: device.serving() == {"a": "a:1", "b": "b:1"}, 6)


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

    assert agent.said().modules["a"].state == "stopped"
    assert agent.said().modules["a"].failure is None
    assert device.log.count("start a a:1") == 1


def test_one_that_is_not_ready_is_reported_and_left_alone(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    [run] = device.alive("a")
    run.unready = True
    agent.run(600, step_s=2)
    assert agent.said().modules["a"].state == "unready"
    assert device.alive("a") == [run]

    run.unready = False
    agent.run(20)
    assert agent.said().modules["a"].state == "serving"


def test_a_new_version_that_is_not_ready_is_refused(
    device: MemoryDevice, agent: SteppedAgent
) -> None:
    newer = spec("a:2", update="stop-first", probe=Probe(start_deadline_s=20))
    agent.want({"a": newer, "b": B1})
    assert agent.until(lambda: "a:2" in device.serving().values(), 60)
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
    assert ordered.said().modules["camera"].waits == ""
    assert ordered.said().modules["faces"].waits == "waits for camera"
    assert ordered.said().modules["alarm"].waits == "waits for faces"

    assert ordered.until(ordered.is_settled, 60)
    assert lines(device, "serve") == ["camera", "faces", "alarm"]


def test_one_that_keeps_failing_holds_up_nobody(
    device: MemoryDevice, ordered: SteppedAgent
) -> None:
    device.natures[CAMERA.digest] = Nature(ends="dies")
    device.cut_power()
    ordered.boot()

    assert ordered.until(lambda: set(device.serving()) >= {"faces", "alarm"}, 60)


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
