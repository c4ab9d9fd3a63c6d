"""What the device says of itself: one table for phases, one for states, one for modules."""

import pytest

from skerry_agent.core.report import Known, phase_of, reports_of, state_of, told
from skerry_agent.core.world import Instance, Key, Life, Modules, World, key_of
from skerry_contract import shape
from skerry_contract.desired import ModuleSpec
from skerry_contract.manifest import RunSettings, Update
from skerry_contract.messages import (
    MAX_PAYLOAD_BYTES,
    BadRevision,
    DeviceState,
    Failure,
    ModuleReport,
    ModuleState,
    Phase,
    Reported,
)
from skerry_contract.names import Digest


def spec(letter: str, update: Update = "side-by-side") -> ModuleSpec:
    digest = Digest(f"sha256:{letter * 64}")
    return ModuleSpec(f"{letter}:1", digest, 100, RunSettings(update=update))


A, B, C = spec("a"), spec("b"), spec("c")
B_STOP_FIRST = spec("b", "stop-first")
STARTING, READY, SERVING = Instance(Life.STARTING), Instance(Life.READY), Instance(Life.SERVING)
PROVEN, UNHEALTHY = Instance(Life.READY, proven=True), Instance(Life.UNHEALTHY)
EXITED = Instance(Life.EXITED, status=1)
BROKEN = Failure("PROBE", "it stopped")


def world(*pairs: tuple[ModuleSpec, Instance], images: str = "abc", bad: str = "") -> World:
    return World(
        images=frozenset(spec(letter).digest for letter in images),
        instances={key_of("m", one): seen for one, seen in pairs},
        bad=frozenset(key_of("m", spec(letter)) for letter in bad),
    )


NOW_A: Modules = {"m": A}
NOW_B: Modules = {"m": B}


@pytest.mark.parametrize(
    ("desired", "committed", "seen", "phase"),
    [
        pytest.param(None, {}, world(), "idle", id="nothing was ever wanted"),
        pytest.param(None, NOW_A, world((A, SERVING)), "idle", id="a forgotten desired document"),
        pytest.param({}, {}, world(), "committed", id="nothing is wanted, and nothing there"),
        pytest.param(NOW_A, NOW_A, world((A, SERVING)), "committed", id="as it should be"),
        pytest.param(NOW_A, NOW_A, world((A, EXITED)), "committed", id="it crashed meanwhile"),
        pytest.param(NOW_A, NOW_A, world(images=""), "committed", id="its image was lost"),
        pytest.param(NOW_B, NOW_A, world((A, SERVING), images="a"), "pulling", id="image missing"),
        pytest.param(NOW_A, {}, world(images=""), "pulling", id="the first image is missing"),
        pytest.param(NOW_A, {}, world(), "proving", id="the first one is not started yet"),
        pytest.param(NOW_A, {}, world((A, STARTING)), "proving", id="the first one starts"),
        pytest.param(NOW_A, {}, world((A, PROVEN)), "switching", id="the first one is proven"),
        pytest.param(NOW_B, NOW_A, world((A, SERVING)), "proving", id="new one not started"),
        pytest.param(
            NOW_B, NOW_A, world((A, SERVING), (B, READY)), "proving", id="new one not proven"
        ),
        pytest.param(
            NOW_B, NOW_A, world((A, SERVING), (B, PROVEN)), "switching", id="new one proven"
        ),
        pytest.param(NOW_B, NOW_A, world((B, SERVING)), "switching", id="new one serves"),
        pytest.param(
            {"m": B_STOP_FIRST}, NOW_A, world(), "switching", id="stop-first, old one gone"
        ),
        pytest.param({}, NOW_A, world((A, SERVING)), "switching", id="all is to be removed"),
        pytest.param(NOW_B, NOW_A, world((A, SERVING), bad="b"), "refused", id="a bad revision"),
        pytest.param(
            NOW_B, NOW_A, world(images="", bad="b"), "refused", id="bad, whatever else is missing"
        ),
        pytest.param(
            {"m": B, "n": C}, NOW_A, world((A, SERVING), bad="b"), "refused", id="one of two bad"
        ),
    ],
)
def test_the_phase_follows_from_what_is_wanted_and_seen(
    desired: Modules | None, committed: Modules, seen: World, phase: Phase
) -> None:
    assert phase_of(desired, committed, seen) == phase


def report(state: ModuleState, failure: Failure | None = None) -> ModuleReport:
    return ModuleReport("a:1", A.digest, A.revision, state, 0, failure)


@pytest.mark.parametrize(
    ("phase", "modules", "state"),
    [
        ("idle", [], "ready"),
        ("committed", [], "ready"),
        ("committed", [report("serving")], "ready"),
        ("committed", [report("serving"), report("stopped")], "ready"),
        ("committed", [report("serving"), report("starting")], "degraded"),
        ("committed", [report("proven")], "degraded"),
        ("committed", [report("failed", BROKEN)], "degraded"),
        ("committed", [report("stopped", BROKEN)], "degraded"),
        ("refused", [report("serving")], "ready"),
        ("refused", [report("starting")], "degraded"),
        ("pulling", [report("serving")], "updating"),
        ("proving", [report("failed", BROKEN)], "updating"),
        ("switching", [], "updating"),
    ],
)
def test_the_state_is_one_word_for_phase_and_modules(
    phase: Phase, modules: list[ModuleReport], state: DeviceState
) -> None:
    assert state_of(phase, {str(n): one for n, one in enumerate(modules)}) == state


@pytest.mark.parametrize(
    ("desired", "seen", "failing", "image", "state"),
    [
        pytest.param(NOW_A, world((A, SERVING)), "", "a:1", "serving", id="it serves"),
        pytest.param(NOW_A, world((A, SERVING)), "a", "a:1", "serving", id="an old failure"),
        pytest.param(NOW_A, world((A, READY)), "", "a:1", "proven", id="ready"),
        pytest.param(NOW_A, world((A, STARTING)), "", "a:1", "starting", id="starting"),
        pytest.param(NOW_A, world((A, STARTING)), "a", "a:1", "starting", id="starting again"),
        pytest.param(NOW_A, world((A, UNHEALTHY)), "", "a:1", "failed", id="unhealthy"),
        pytest.param(NOW_A, world((A, EXITED)), "", "a:1", "stopped", id="it ended"),
        pytest.param(NOW_A, world((A, EXITED)), "a", "a:1", "failed", id="it crashed"),
        pytest.param(NOW_A, world(), "", "a:1", "stopped", id="not started yet"),
        pytest.param(NOW_A, world(images=""), "", "a:1", "pulling", id="no image"),
        pytest.param(NOW_A, world(images=""), "a", "a:1", "failed", id="no image, and no way"),
        pytest.param(
            NOW_B, world((A, SERVING), (B, PROVEN)), "", "a:1", "serving", id="the old one serves"
        ),
        pytest.param(NOW_B, world((B, STARTING)), "", "b:1", "starting", id="the new one alone"),
        pytest.param(
            NOW_B, world((A, EXITED), (B, READY)), "", "b:1", "proven", id="the nearer one"
        ),
        pytest.param(
            NOW_B, world((A, STARTING), (B, STARTING)), "", "b:1", "starting", id="as near: the new"
        ),
        pytest.param(NOW_B, world(bad="b"), "", "a:1", "stopped", id="the new one is bad"),
    ],
)
def test_a_module_is_reported_by_the_instance_that_serves_or_comes_nearest(
    desired: Modules, seen: World, failing: str, image: str, state: ModuleState
) -> None:
    failures = {key_of("m", spec(letter)): BROKEN for letter in failing}
    found = reports_of(desired, NOW_A, seen, Known(failures=failures))
    assert list(found) == ["m"]
    assert (found["m"].image, found["m"].state) == (image, state)
    assert (found["m"].failure is None) == (state == "serving" or not failing)


def test_restarts_are_those_of_the_instance_that_is_reported() -> None:
    restarts: dict[Key, int] = {key_of("m", A): 4, key_of("m", B): 9}
    found = reports_of(NOW_B, NOW_A, world((A, SERVING)), Known(restarts))
    assert found["m"].restarts == 4


def test_every_module_of_either_set_is_reported_by_name() -> None:
    found = reports_of({"z": B}, {"m": A}, World(), Known())
    assert {name: one.image for name, one in found.items()} == {"m": "a:1", "z": "b:1"}
    assert list(found) == ["m", "z"]


def test_where_one_revision_is_bad_the_others_of_its_set_are_not_reported() -> None:
    found = reports_of({"m": B, "n": C}, NOW_A, world((A, SERVING), bad="b"), Known())
    assert {name: one.image for name, one in found.items()} == {"m": "a:1"}


def test_a_report_fits_into_a_payload_however_much_was_refused() -> None:
    failure = Failure("INIT_FAILED", "t" * 2000, "r" * 1000, "d" * 8000)
    bad = [
        BadRevision("m", f"m:{n}", f"sha256:{'a' * 64}", f"{n:012x}", failure, "now")
        for n in range(50)
    ]

    found = told(bad)
    assert [one.image for one in found] == [f"m:{n}" for n in range(40, 50)]
    assert [bool(one.failure.detail) for one in found] == [False] * 7 + [True] * 3
    assert len(shape.dump(Reported("b1", "now", failure=failure, bad=found))) < MAX_PAYLOAD_BYTES


def test_a_report_fits_into_a_payload_however_many_modules_fail() -> None:
    failure = Failure("PROBE", "t" * 2000, "r" * 1000, "d" * 8000)
    wanted = {f"m{n}": A for n in range(50)}
    failures = {key_of(name, A): failure for name in wanted}
    given = World(frozenset({A.digest}))
    reports = reports_of(wanted, wanted, given, Known(failures=failures))

    assert all(one.failure and one.failure.text for one in reports.values())
    assert len(shape.dump(Reported("b1", "now", modules=reports))) < MAX_PAYLOAD_BYTES
