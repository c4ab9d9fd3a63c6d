"""What makes two specs of a module run alike, and what does not."""

from dataclasses import replace

import pytest

from skerry_contract.desired import ModuleSpec
from skerry_contract.manifest import FolderInput, Probe, Resources, RunSettings
from skerry_contract.names import Digest

RUN = RunSettings(env={"A": "1"}, inputs={"frames": FolderInput("frames")}, probe=Probe(90))
SPEC = ModuleSpec("m:1", Digest("sha256:" + "a" * 64), 100, RUN)


def revision_of(run: RunSettings) -> str:
    return replace(SPEC, run=run).revision


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, env={"A": "2"}),
        replace(RUN, probe=Probe(91)),
        replace(RUN, resources=Resources(memory_mb=64)),
        replace(RUN, network="host"),
        RunSettings(),
    ],
)
def test_other_settings_are_another_revision(other: RunSettings) -> None:
    assert revision_of(other) != SPEC.revision


def test_a_name_for_people_is_no_other_revision() -> None:
    assert replace(SPEC, image="other:9").revision == SPEC.revision


def test_what_was_run_before_is_found_by_an_agent_that_knows_more_settings() -> None:
    # These are on devices: a field that is added must leave them as they are.
    assert revision_of(RunSettings()) == "51db837c6be8"
    assert SPEC.revision == "9514a0b6231f"
