"""Where groups are made, what is written to them, and what is read from them."""

from pathlib import Path

import pytest

from skerry_agent.runtimes import Pressure, cgroups
from skerry_agent.runtimes.cgroups import Cgroups, Tree, settings, trees
from skerry_contract.manifest import Resources

V1 = """\
30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 29 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 29 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
"""
V2 = "25 22 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = V1 + V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
TOP = Path("/sys/fs/cgroup")
OWN = "1:memory:/elsewhere\n0::/user.slice/skerry.service\n"
ALL = Resources(memory_mb=64, cpu_percent=150, pids=20)


@pytest.mark.parametrize(
    ("mounts", "root", "expected"),
    [
        (
            V1,
            True,
            {"memory": Tree(1, TOP / "memory"), "cpu": Tree(1, TOP / "cpu,cpuacct")},
        ),
        (V1, False, {}),
        (V2, True, dict.fromkeys(cgroups.CONTROLLERS, Tree(2, TOP))),
        (
            V2,
            False,
            dict.fromkeys(cgroups.CONTROLLERS, Tree(2, TOP / "user.slice/skerry.service")),
        ),
        (
            HYBRID,
            True,
            {
                "memory": Tree(1, TOP / "memory"),
                "cpu": Tree(1, TOP / "cpu,cpuacct"),
                "pids": Tree(2, TOP / "unified"),
            },
        ),
        ("", True, {}),
        ("garbage\n1 2 - cgroup\n", True, {}),
    ],
    ids=["v1", "v1, not root", "v2", "v2, not root", "hybrid", "none", "garbage"],
)
def test_each_controller_has_its_tree(
    *, mounts: str, root: bool, expected: dict[str, Tree]
) -> None:
    assert trees(mounts, OWN, root=root) == expected


@pytest.mark.parametrize(
    ("controller", "version", "expected"),
    [
        (
            "memory",
            1,
            [("memory.limit_in_bytes", "67108864"), ("-memory.memsw.limit_in_bytes", "67108864")],
        ),
        (
            "memory",
            2,
            [("memory.max", "67108864"), ("-memory.swap.max", "0"), ("-memory.oom.group", "1")],
        ),
        ("cpu", 1, [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")]),
        ("cpu", 2, [("cpu.max", "150000 100000")]),
        ("pids", 1, [("pids.max", "22")]),
        ("pids", 2, [("pids.max", "22")]),
    ],
)
def test_limits_are_said_in_the_units_of_the_kernel(
    controller: str, version: int, expected: list[tuple[str, str]]
) -> None:
    assert list(settings(controller, version, ALL, 2)) == expected


def test_only_processes_are_limited_where_nothing_is_said() -> None:
    said = [list(settings(one, 2, Resources())) for one in cgroups.CONTROLLERS]
    assert said == [[], [], [("pids.max", "256")]]


@pytest.mark.parametrize("version", [1, 2])
def test_what_the_kernel_counted_is_read(tmp_path: Path, version: int) -> None:
    both = Cgroups("m", dict.fromkeys(("memory", "pids"), Tree(version, tmp_path)))
    group = tmp_path / both.name("cam.abc")
    group.mkdir()
    counted = {
        1: {
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            "memory.max_usage_in_bytes": "67108864\n",
            "memory.limit_in_bytes": "67108864\n",
        },
        2: {
            "memory.events": "low 0\nhigh 0\nmax 40\noom 1\noom_kill 2\n",
            "memory.peak": "67108864\n",
            "memory.max": "67108864\n",
        },
    }
    for name, text in {**counted[version], "pids.events": "max 7\n", "pids.max": "20\n"}.items():
        (group / name).write_text(text)
    assert both.pressure("cam.abc") == Pressure(2, 2**26, 2**26, 7, 20)


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096), "9223372036854771712"])
def test_no_limit_is_no_number(tmp_path: Path, limit: str) -> None:
    one = Cgroups("m", {"memory": Tree(2, tmp_path)})
    group = tmp_path / one.name("cam.abc")
    group.mkdir()
    (group / "memory.max").write_text(limit)
    assert one.pressure("cam.abc") == Pressure()


def test_a_group_that_is_gone_counted_nothing(tmp_path: Path) -> None:
    one = Cgroups("m", dict.fromkeys(cgroups.CONTROLLERS, Tree(2, tmp_path)))
    assert one.pressure("cam.abc") == Pressure()
    one.remove("cam.abc")


def test_a_controller_without_a_kernel_behind_it_does_not_work(tmp_path: Path) -> None:
    candidates = dict.fromkeys(cgroups.CONTROLLERS, Tree(2, tmp_path))
    assert cgroups.working(candidates, "m") == {}
    assert list(tmp_path.iterdir()) == []
