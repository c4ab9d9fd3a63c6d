"""The updater on a real folder: what it writes, refuses, tries again, and leaves behind."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from skerry_agent import launcher
from skerry_agent.core.agent_update import PROOF_S, STAY_S
from skerry_agent.launcher import Record
from skerry_agent.reconciling.jobs import Jobs
from skerry_agent.updating.releases import Releases
from skerry_agent.updating.updater import AGENT, AWAY_S, MAX_AWAY, Sight, Updater, Ways
from skerry_contract.desired import AgentSpec
from skerry_contract.errors import ContractError, NoSpaceError, RegistryError, SkerryError
from skerry_contract.messages import BadRevision
from skerry_contract.names import Digest

NEW, OLD = "2" * 64, "1" * 64
SPEC = AgentSpec("skerry-agent:2", Digest(f"sha256:{NEW}"), 100)


@dataclass
class Agent:
    """What the updater has around it: the disk is real, the registry is a function."""

    state: Path
    running: str | None = ""
    fails: SkerryError | None = None
    full: bool = False
    bad: list[BadRevision] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    sight: Sight = field(
        default_factory=lambda: Sight(True, frozenset({"cam"}), frozenset(), False, {}, 0.0)
    )

    def boot(self, running: str | None) -> None:
        """Start as a release; the clock of its age begins."""
        self.running = running
        self.jobs = Jobs(lambda: None, spawn=lambda work, _name: work())
        ways = Ways(self._fetch, lambda kind, _event: self.events.append(kind), self._condemn)
        self.releases = Releases(self.state)
        self.updater = Updater(self.releases, running, ways, self.jobs)
        self.updater.want(SPEC)
        self.sight = replace(self.sight, now=self.updater._since)

    def turn(self, after_s: float = 1.0, **changes: object) -> bool:
        """Let time pass and turn the loop once."""
        self.jobs.collect()
        known = {(one.module, one.digest): one.failure for one in self.bad}
        self.sight = replace(
            self.sight,
            now=self.sight.now + after_s,
            bad=known,
            **changes,  # type: ignore[arg-type]
        )
        return self.updater.turn(self.sight)

    def _fetch(self, spec: AgentSpec, _releases: Releases) -> None:
        if self.fails is not None:
            raise self.fails
        folder = self.state / launcher.SLOTS / spec.digest.removeprefix("sha256:")
        (folder / "skerry_agent").mkdir(parents=True)

    def _condemn(self, bad: BadRevision) -> None:
        if self.full:
            raise NoSpaceError("the disk is full")
        self.bad.append(bad)

    @property
    def record(self) -> Record:
        return launcher.read(self.state)


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    made = Agent(tmp_path)
    made.boot("")
    return made


def until(done: Callable[[], bool], turn: Callable[[], object]) -> None:
    for _ in range(20):
        if done():
            return
        turn()
    raise AssertionError("it does not come to that")


def test_what_is_wanted_is_fetched_tried_and_kept(agent: Agent) -> None:
    (agent.state / launcher.SLOTS / OLD / "skerry_agent").mkdir(parents=True)
    assert not agent.turn()  # fetches
    assert agent.turn()  # asks the launcher
    assert agent.record == Record(trial=NEW, served=("cam",))
    agent.boot(NEW)
    assert not agent.turn()
    assert agent.updater.verdict(agent.sight).wait is not None
    assert not agent.turn(STAY_S)
    assert agent.record == Record(good=NEW)
    assert agent.releases.here() == {NEW}
    assert agent.updater.verdict(agent.sight).wait is not None  # it was so when this turn began
    agent.turn()
    assert agent.updater.verdict(agent.sight).wait is None
    assert agent.events == ["agent-switching", "agent-kept"]


def test_one_that_does_not_see_its_modules_gives_itself_up_and_is_refused(agent: Agent) -> None:
    until(lambda: agent.record.trial == NEW, agent.turn)
    agent.boot(NEW)
    assert agent.turn(PROOF_S, serving=frozenset())
    assert agent.record.fallen == NEW
    agent.boot("")
    agent.turn(serving=frozenset({"cam"}))
    [bad] = agent.bad
    assert (bad.module, bad.image, bad.failure.code) == (AGENT, SPEC.image, "AGENT")
    assert "cam" in bad.failure.text
    assert agent.record == Record()
    assert not (agent.state / launcher.SLOTS / NEW).exists()
    agent.turn()
    assert agent.updater.verdict(agent.sight).refusal == bad.failure
    assert agent.events[-1] == "agent-refused"


def test_while_the_broker_is_away_a_release_is_tried_some_times_before_it_is_refused(
    agent: Agent,
) -> None:
    for count in range(1, MAX_AWAY + 1):
        until(lambda: agent.record.trial == NEW, agent.turn)
        agent.boot(NEW)
        assert agent.turn(PROOF_S, linked=False)
        agent.boot("")
        agent.turn(linked=True)
        assert bool(agent.bad) == (count == MAX_AWAY)
        if count < MAX_AWAY:
            assert not agent.turn(AWAY_S * 2 ** (count - 1) - 10)  # it rests
            assert agent.turn(20)
    assert agent.bad[0].failure.code == "NET"


def test_one_that_the_launcher_gave_up_is_refused_without_a_word_of_its_own(agent: Agent) -> None:
    agent.releases.write(Record(fallen=NEW))
    agent.boot("")
    agent.turn()
    assert "ended or hung" in agent.bad[0].failure.text
    assert agent.record == Record()


def test_on_a_full_disk_nothing_is_forgotten(agent: Agent) -> None:
    agent.releases.write(Record(fallen=NEW))
    agent.boot("")
    agent.full = True
    with pytest.raises(NoSpaceError):
        agent.turn()
    assert agent.record.fallen == NEW
    agent.full = False
    agent.turn()
    assert len(agent.bad) == 1


def test_bytes_that_are_no_agent_are_refused_and_a_registry_that_is_away_is_asked_again(
    agent: Agent,
) -> None:
    agent.fails = RegistryError("not now")
    agent.turn()
    agent.turn(0.0)
    assert agent.updater.problem is agent.fails
    assert not agent.bad
    agent.fails = ContractError("it is no release of the agent")
    until(lambda: bool(agent.bad), lambda: agent.turn(1000.0))
    assert agent.bad[0].failure.code == "CONTRACT"
    assert not agent.turn(1000.0)


def test_what_is_held_is_fetched_and_does_not_take_over(agent: Agent) -> None:
    agent.turn(held=True)
    for _ in range(5):
        assert not agent.turn(1000.0)
    assert agent.releases.here() == {NEW}
    assert agent.turn(held=False)


def test_without_a_launcher_it_is_said_what_is_missing(agent: Agent) -> None:
    agent.boot(None)
    assert not agent.turn()
    assert agent.updater.problem is not None
    assert "run.sh" in agent.updater.problem.remedy
    assert agent.updater.verdict(agent.sight).wait is None
