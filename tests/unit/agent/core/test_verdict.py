"""The table "What makes a revision bad" of ``docs/agent-states.md``, row by row."""

import pytest

from skerry_agent.core.verdict import ATTEMPTS, is_bad
from skerry_contract.errors import (
    DigestError,
    GoldenError,
    InitFailedError,
    NetworkError,
    NoSpaceError,
    ProbeError,
    RegistryError,
    RuntimeFailedError,
    SkerryError,
    family,
)
from skerry_contract.messages import Failure

CERTAIN: list[type[SkerryError]] = [InitFailedError, GoldenError]
INNOCENT: list[type[SkerryError]] = [
    RuntimeFailedError,
    NetworkError,
    RegistryError,
    DigestError,
    NoSpaceError,
    SkerryError,
]


def failure(kind: type[SkerryError]) -> Failure:
    return Failure(kind.code, "text")


@pytest.mark.parametrize("kind", CERTAIN, ids=lambda kind: kind.code)
def test_what_its_own_code_shows_is_bad_at_once(kind: type[SkerryError]) -> None:
    assert is_bad(failure(kind), failures=1, committed=False)


@pytest.mark.parametrize(("failures", "bad"), [(1, False), (2, False), (3, True), (4, True)])
def test_what_ended_or_missed_its_deadline_is_bad_the_third_time(
    failures: int, *, bad: bool
) -> None:
    assert ATTEMPTS == 3
    assert is_bad(failure(ProbeError), failures=failures, committed=False) == bad


@pytest.mark.parametrize("kind", INNOCENT, ids=lambda kind: kind.code)
def test_what_the_revision_cannot_help_is_never_held_against_it(kind: type[SkerryError]) -> None:
    assert not is_bad(failure(kind), failures=1000, committed=False)


def test_a_committed_revision_never_becomes_bad() -> None:
    for kind in family():
        assert not is_bad(failure(kind), failures=1000, committed=True)
