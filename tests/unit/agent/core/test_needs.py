"""What a manifest requires, against what a device enforces."""

import pytest

from skerry_agent.core.needs import check
from skerry_agent.core.verdict import is_bad
from skerry_contract.errors import UnenforcedError
from skerry_contract.manifest import Enforced, RunSettings
from skerry_contract.messages import RuntimeCaps, failure_of

ALL: tuple[Enforced, ...] = ("memory", "cpu", "pids", "network", "device_files", "root", "seccomp")


def test_what_is_enforced_may_be_required() -> None:
    check("cam", RunSettings(requires=ALL), RuntimeCaps("docker", "container", ALL))
    check("cam", RunSettings(), RuntimeCaps("process", "none"))


@pytest.mark.parametrize(
    ("requires", "text", "remedy"),
    [
        (("memory",), "cam requires that memory be enforced", "cgroup_enable=memory"),
        (("pids", "root", "cpu"), "that pids, root and cpu be", "control groups"),
        (("root",), "(process, isolation: none) enforces network", "Install bubblewrap"),
    ],
)
def test_what_is_not_is_refused_for_good_with_a_remedy(
    requires: tuple[Enforced, ...], text: str, remedy: str
) -> None:
    run = RunSettings(requires=requires)
    with pytest.raises(UnenforcedError) as caught:
        check("cam", run, RuntimeCaps("process", "none", ("network",)))
    assert text in caught.value.text
    assert remedy in caught.value.remedy
    assert is_bad(failure_of(caught.value), failures=1, committed=False)
