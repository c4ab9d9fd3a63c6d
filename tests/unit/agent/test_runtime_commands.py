"""What runtimes tell bubblewrap, Docker and the dynamic loader, and how they read the answers."""

from pathlib import Path

import pytest

from skerry_agent.core.world import Key
from skerry_agent.pulling.store import BlobStore
from skerry_agent.runtimes import Exited, InstanceSpec, Pressure, Running, bubblewrap, plain
from skerry_agent.runtimes.docker import Owner, container, limits, status_of, without_frames
from skerry_agent.runtimes.grants import Grants
from skerry_agent.runtimes.run_folder import input_folder
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.manifest import FolderInput, Resources, RunSettings
from support.images import Entry, oci_image, tar_of

HOME = Path("/var/lib/skerry")


def pairs(options: list[str]) -> set[tuple[str, ...]]:
    """Return each option with what follows it."""
    starts = [i for i, option in enumerate(options) if option.startswith("--")]
    ends = [*starts[1:], len(options)]
    return {tuple(options[start:end]) for start, end in zip(starts, ends, strict=True)}


def test_bubblewrap_takes_everything_away_that_it_can() -> None:
    given = pairs(bubblewrap.arguments(bubblewrap.Room(HOME / "root", HOME / "run")))
    assert given >= {
        ("--unshare-all",),
        ("--disable-userns",),
        ("--cap-drop", "ALL"),
        ("--new-session",),
        ("--uid", "65532"),
        ("--ro-bind", str(HOME / "root"), "/"),
        ("--bind", str(HOME / "run"), "/run/skerry"),
        ("--remount-ro", "/run"),
    }
    assert not given & {("--share-net",)}


def test_bubblewrap_gives_the_network_and_the_inputs_that_are_asked_for() -> None:
    room = bubblewrap.Room(HOME, inputs={"frames": HOME / "in"}, network=True)
    given = pairs(bubblewrap.arguments(room))
    assert given >= {
        ("--share-net",),
        ("--bind", str(HOME / "in"), "/inputs/frames"),
        ("--remount-ro", "/inputs"),
    }


def test_what_steers_the_loader_is_set_inside_the_sandbox_only() -> None:
    env = {"LD_PRELOAD": "/evil.so", "A": "1"}
    line = bubblewrap.command("bwrap", bubblewrap.Room(HOME), ("/x",), env=env, cwd="/app")
    assert ("--setenv", "LD_PRELOAD", "/evil.so") in pairs(line)
    assert line[-2:] == ["--", "/x"]


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("usr/bin", "usr/lib/x86_64-linux-gnu", "opt/skerry/env", "tmp", "app"):
        (root / folder).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "bin").symlink_to("/usr/bin")
    (root / "usr/bin/tool").write_bytes(b"\x7fELF" + bytes([2, 1]) + bytes(58))
    (root / "usr/bin/script").write_text("#!/bin/sh\n" + "#" * 100)
    for name in ("tool", "script"):
        (root / "usr/bin" / name).chmod(0o755)
    return root


def test_paths_that_the_image_has_are_moved_into_it(rootfs: Path) -> None:
    env = {
        "PYTHONPATH": "/opt/skerry/env:/not/there:relative",
        "PATH": "/bin",
        "TMP": "/tmp",
        "ROOT": "/",
        "WORD": "a:b",
    }
    assert plain.environment(rootfs, env) == {
        "PYTHONPATH": f"{rootfs}/opt/skerry/env:/not/there:relative",
        "PATH": f"{rootfs}/bin",
        "TMP": "/tmp",
        "ROOT": "/",
        "WORD": "a:b",
    }


@pytest.mark.parametrize("name", ["/usr/bin/tool", "/bin/tool", "tool"])
def test_a_program_is_found_as_the_image_would_find_it(rootfs: Path, name: str) -> None:
    line = plain.command(rootfs, (name, "-v"), {"PATH": "/sbin:/bin"})
    assert line == [f"{rootfs}/usr/bin/tool", "-v"]


@pytest.mark.parametrize("name", ["/usr/bin/none", "none", "/usr/bin/script"])
def test_what_cannot_run_plainly_is_refused(rootfs: Path, name: str) -> None:
    with pytest.raises(RuntimeFailedError, match=name.rpartition("/")[2]):
        plain.command(rootfs, (name,), {"PATH": "/bin"})


def spec(tmp_path: Path, **settings: object) -> InstanceSpec:
    store = BlobStore(tmp_path / "blobs", cap_bytes=10**7)
    image = oci_image(
        [tar_of([Entry("a")])], command=("/a",), config={"Env": ["A=1", "B=2"], "User": "77:78"}
    ).put(store)
    run = RunSettings(env={"B": "3"}, **settings)  # type: ignore[arg-type]  # passed on as given
    inputs = {name: input_folder(tmp_path, "cam", name, one) for name, one in run.inputs.items()}
    return InstanceSpec(Key("cam", "abc"), image, run, tmp_path / "run", inputs)


def test_a_container_is_locked_down_and_says_what_it_runs(tmp_path: Path) -> None:
    body = container(spec(tmp_path, inputs={"frames": FolderInput("in")}), Grants())
    host = body["HostConfig"]
    assert body["Entrypoint"] == ["/a"]
    assert body["Env"] == ["A=1", "B=3", "SKERRY_RUN_DIR=/run/skerry"]
    assert body["User"] == "77:78"
    assert host["ReadonlyRootfs"] is True
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert host["NetworkMode"] == "none"
    assert "Privileged" not in host
    assert [(one["Source"], one["Target"]) for one in host["Mounts"]] == [
        (str(tmp_path / "run"), "/run/skerry"),
        (str(tmp_path / "in"), "/inputs/frames"),
    ]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), {"PidsLimit": 256}),
        (Resources(pids=9), {"PidsLimit": 9}),
        (Resources(cpu_percent=150), {"PidsLimit": 256, "NanoCpus": 1_500_000_000}),
        (
            Resources(memory_mb=16),
            {"PidsLimit": 256, "Memory": 16 * 2**20, "MemorySwap": 16 * 2**20},
        ),
    ],
)
def test_limits_are_said_in_the_units_of_the_engine(
    resources: Resources, expected: dict[str, int]
) -> None:
    assert limits(resources) == expected


FINE = Pressure(0, None, 64 * 2**20, 0, 9)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"Status": "running", "Running": True}, Running(1.5)),
        ({"Status": "exited", "ExitCode": 3}, Exited(1.5, 3, FINE)),
        (
            {"Status": "exited", "ExitCode": 137, "OOMKilled": True},
            Exited(1.5, 137, Pressure(1, None, 64 * 2**20, 0, 9)),
        ),
        ({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}, Exited(0.0, None, FINE)),
    ],
)
def test_a_containers_state_is_read(state: dict[str, object], expected: Running | Exited) -> None:
    usual = {
        "Running": False,
        "StartedAt": "1970-01-01T00:00:01.500000000Z",
        "ExitCode": 0,
        "OOMKilled": False,
    }
    limits = {"Memory": 64 * 2**20, "PidsLimit": 9}
    assert status_of({"State": {**usual, **state}, "HostConfig": limits}) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"\1\0\0\0\0\0\0\3one\2\0\0\0\0\0\0\4\ntwo", b"one\ntwo"),
        (b"\1\0\0\0\0\0\0\3one\1\0\0\0\0\0\1\0cut", b"onecut"),
        (b"\1\0\0", b""),
    ],
)
def test_a_log_loses_its_frames_and_nothing_else(data: bytes, expected: bytes) -> None:
    assert without_frames(data) == expected


def test_two_homes_are_two_owners() -> None:
    one, other = Owner("home", "porch", Path("/a")), Owner("home", "porch", Path("/b"))
    assert one.labels() != other.labels()
    assert one.mark == Owner("home", "porch", Path("/x/../a")).mark
