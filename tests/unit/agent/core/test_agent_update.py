"""How the agent replaces itself: the table of ``docs/agent-update.md``, then whole lives."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_agent.core.agent_update import (
    PROOF_S,
    STAY_S,
    UP_S,
    Fetch,
    GiveUp,
    Keep,
    Note,
    Step,
    Switch,
    View,
    is_pending,
    next_step,
)
from skerry_agent.launcher import MAX_STARTS, MAX_TRIES, Record, begin

NEW, OLD = "new", "old"
TRIAL = Record(OLD, "older", NEW, tries=1, served=("camera",))
ON_TRIAL = View(NEW, NEW, TRIAL, frozenset({NEW, OLD}), serving=frozenset({"camera"}))
SETTLED = View("", OLD, Record(good=OLD), frozenset({OLD}))
FALLEN = Record(OLD, "older", fallen=NEW)


@pytest.mark.parametrize(
    ("view", "step"),
    [
        pytest.param(
            replace(ON_TRIAL, linked=True, age_s=STAY_S), Keep(Record(NEW, OLD)), id="proved"
        ),
        pytest.param(replace(ON_TRIAL, linked=True), None, id="too short a while"),
        pytest.param(
            replace(
                ON_TRIAL,
                linked=True,
                age_s=STAY_S,
                serving=frozenset(),
                ended=frozenset({"camera"}),
            ),
            Keep(Record(NEW, OLD)),
            id="a module has done its work meanwhile",
        ),
        pytest.param(ON_TRIAL, None, id="no broker yet"),
        pytest.param(replace(ON_TRIAL, linked=True, serving=frozenset()), None, id="no module yet"),
        pytest.param(
            replace(ON_TRIAL, age_s=PROOF_S),
            GiveUp(replace(FALLEN), frozenset(), linked=False),
            id="no broker in time",
        ),
        pytest.param(
            replace(ON_TRIAL, age_s=PROOF_S, linked=True, serving=frozenset()),
            GiveUp(replace(FALLEN), frozenset({"camera"}), linked=True),
            id="no module in time",
        ),
        pytest.param(replace(SETTLED, record=FALLEN, wanted=NEW), Note(NEW), id="something fell"),
        pytest.param(
            replace(SETTLED, record=Record(good=OLD, tries=4), linked=True, age_s=STAY_S),
            Keep(Record(good=OLD)),
            id="up",
        ),
        pytest.param(
            replace(SETTLED, record=Record(good=OLD, tries=4), age_s=UP_S),
            Keep(Record(good=OLD)),
            id="up without a broker",
        ),
        pytest.param(replace(SETTLED, record=Record(good=OLD, tries=4)), None, id="not up yet"),
        pytest.param(replace(SETTLED, wanted=NEW), Fetch(), id="wanted, not here"),
        pytest.param(
            replace(SETTLED, wanted=NEW, here=frozenset({NEW}), serving=frozenset({"b", "a"})),
            Switch(Record(OLD, "", NEW, served=("a", "b"))),
            id="wanted and here",
        ),
        pytest.param(replace(SETTLED, wanted=NEW, resting=True), None, id="resting"),
        pytest.param(
            replace(SETTLED, wanted=NEW, here=frozenset({NEW}), held=True), None, id="held"
        ),
        pytest.param(replace(SETTLED, wanted=NEW, held=True), Fetch(), id="held, not here"),
        pytest.param(replace(SETTLED, wanted=NEW, refused=frozenset({NEW})), None, id="refused"),
        pytest.param(replace(SETTLED, wanted=OLD), None, id="runs already"),
        pytest.param(SETTLED, None, id="none is wanted"),
        pytest.param(View("", "", Record()), None, id="as flashed"),
        pytest.param(View(NEW, "", Record()), Fetch(), id="as flashed, another is wanted"),
    ],
)
def test_the_agents_table(view: View, step: Step | None) -> None:
    assert next_step(view) == step


@pytest.mark.parametrize(
    ("record", "release", "then"),
    [
        pytest.param(Record(), "", Record(), id="as flashed"),
        pytest.param(Record(OLD), OLD, Record(OLD, tries=1), id="good"),
        pytest.param(
            Record(OLD, "older", tries=MAX_STARTS),
            "older",
            Record("older", fallen=OLD),
            id="good, and never up",
        ),
        pytest.param(Record(OLD, tries=MAX_STARTS), "", Record(fallen=OLD), id="and none before"),
        pytest.param(Record(OLD, trial=NEW), NEW, Record(OLD, "", NEW, 1), id="first try"),
        pytest.param(
            Record(OLD, "", NEW, MAX_TRIES), OLD, Record(OLD, fallen=NEW), id="one try too many"
        ),
        pytest.param(
            Record(trial=NEW, tries=MAX_TRIES), "", Record(fallen=NEW), id="back to the flashed"
        ),
    ],
)
def test_the_launchers_table(record: Record, release: str, then: Record) -> None:
    assert begin(record) == (release, then)


def test_modules_wait_only_for_what_is_still_to_come() -> None:
    assert is_pending(ON_TRIAL)
    assert is_pending(replace(SETTLED, wanted=NEW))
    assert not is_pending(replace(SETTLED, wanted=NEW, refused=frozenset({NEW})))
    assert not is_pending(SETTLED)


@dataclass
class Device:
    """A device in small: the disk, and a process that ends at any instant."""

    works: bool
    record: Record = field(default_factory=Record)
    here: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    ran: list[str] = field(default_factory=list)

    def start(self) -> str:
        release, self.record = begin(self.record)
        self.ran.append(release)
        return release

    def turn(self, running: str, *, age_s: float, linked: bool) -> bool:
        """Carry one step out; say whether the process goes on."""
        serving = frozenset({"camera"} if self.works or running != NEW else ())
        view = View(
            NEW,
            running,
            self.record,
            self.here,
            self.refused,
            linked=linked,
            serving=serving,
            age_s=age_s,
        )
        match next_step(view):
            case Fetch():
                self.here |= {NEW}
            case Switch(record) | GiveUp(record):
                self.record = record
                return False
            case Keep(record):
                self.record = record
            case Note(release):
                self.refused |= {release}
                self.record = replace(self.record, fallen="")
            case None:
                pass
        return True


Lives = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12)


def live(device: Device, lives: list[tuple[int, bool]]) -> None:
    """Start the device again and again; each life ends after some turns, as by a power cut."""
    for turns, linked in lives:
        running = device.start()
        for turn in range(turns):
            if not device.turn(running, age_s=turn * PROOF_S / 2, linked=linked):
                break


@given(Lives, st.booleans())
@settings(max_examples=300)
def test_whatever_cuts_the_power_it_ends_with_a_release_that_works(
    lives: list[tuple[int, bool]],
    works: bool,  # noqa: FBT001 - hypothesis gives it by place
) -> None:
    device = Device(works)
    live(device, lives)
    live(device, [(9, True)] * 8)
    running = device.start()
    assert running == ("" if NEW in device.refused or not works else NEW)
    assert works or NEW in device.refused
    assert not device.record.trial


@given(Lives)
@settings(max_examples=200)
def test_a_release_that_does_not_work_is_never_called_good(lives: list[tuple[int, bool]]) -> None:
    device = Device(works=False)
    live(device, lives)
    assert device.record.good == ""
    assert device.ran.count(NEW) <= MAX_TRIES
