"""The device folder and the installer, made by the command and used as a device would."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skerry.flash import installer as installers
from support.fake_cloud import FakeCloud
from support.skerry_command import Skerry

pytestmark = pytest.mark.integration

NAMES = ["device.json", "inputs", "lib", "run.sh", "token", "trust.json"]


@pytest.fixture
def porch(skerry: Skerry, tmp_path: Path) -> Path:
    skerry.ok("device", "add", "porch")
    skerry.ok("device", "flash", "porch", "--output", "porch")
    return tmp_path / "porch"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(*command: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        env={"PATH": os.environ["PATH"], "SKERRY_PYTHON": sys.executable, **env},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_a_folder_holds_identity_and_code_and_its_secret_is_private(porch: Path) -> None:
    assert names(porch) == NAMES
    assert (porch / "token").read_text() == "secret-1\n"
    assert (porch / "token").stat().st_mode & 0o777 == 0o600
    about = json.loads((porch / "device.json").read_text())
    assert (about["device"], about["fleet"], about["runtime"]) == ("porch", "home", "auto")
    assert names(porch / "lib") == ["paho", "skerry_agent", "skerry_contract"]
    assert not list(porch.rglob("__pycache__"))
    assert any("licen" in path.name.lower() for path in (porch / "lib/paho").iterdir())


def test_the_code_in_the_folder_needs_nothing_of_this_machine(porch: Path) -> None:
    code = "import skerry_agent, skerry_contract.topics, paho.mqtt.client as c; print(c.__file__)"
    # -I would ignore PYTHONPATH; -S leaves out site-packages, which is what counts here.
    done = run(sys.executable, "-S", "-c", code, PYTHONPATH=str(porch / "lib"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(porch / "lib"))


def test_run_sh_starts_the_agent_of_its_own_folder_from_anywhere(porch: Path) -> None:
    agent = porch / "lib/skerry_agent/__main__.py"
    agent.write_text("import sys, os; print(sys.argv[1:], os.environ['PYTHONPATH'])")
    moved = porch.with_name("moved here")
    porch.rename(moved)

    done = run(moved / "run.sh", "--verbose")

    assert done.returncode == 0, done.stderr
    home = str(moved)
    assert done.stdout.strip() == f"{['run', '--home', home, '--verbose']} {home}/lib"


@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        ([], ["run", "--home", "HOME"]),
        (["run"], ["run", "--home", "HOME"]),
        (["run", "--log-level", "debug"], ["run", "--home", "HOME", "--log-level", "debug"]),
        (["status"], ["status", "--home", "HOME"]),
        (["check", "--output", "json"], ["check", "--home", "HOME", "--output", "json"]),
        (["clear-bad"], ["clear-bad", "--home", "HOME"]),
    ],
)
def test_run_sh_passes_commands_on(porch: Path, typed: list[str], passed: list[str]) -> None:
    agent = porch / "lib/skerry_agent/__main__.py"
    agent.write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    done = run(porch / "run.sh", *typed)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [str(porch) if word == "HOME" else word for word in passed]


def test_the_agent_of_a_flashed_folder_answers(porch: Path) -> None:
    status = run(porch / "run.sh", "status")
    assert (status.returncode, status.stderr) == (3, "")
    assert "not running" in status.stdout
    assert json.loads(run(porch / "run.sh", "clear-bad", "--output", "json").stdout)["asked"]
    wrong = run(porch / "run.sh", "stauts")
    assert wrong.returncode == 2
    assert "clear-bad" in wrong.stderr


def test_run_sh_says_what_is_missing_where_there_is_no_python(porch: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("dirname", "sh"):
        (tools / tool).symlink_to(f"/bin/{tool}" if tool == "sh" else "/usr/bin/dirname")
    done = run("/bin/sh", porch / "run.sh", PATH=str(tools), SKERRY_PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert "Python 3.11 or later" in done.stderr


def test_flashing_again_renews_identity_and_code_and_keeps_the_rest(
    skerry: Skerry, porch: Path, cloud: FakeCloud
) -> None:
    (porch / "state").mkdir()
    (porch / "state" / "outbox.db").write_bytes(b"precious")
    (porch / "inputs" / "a.png").write_bytes(b"picture")
    (porch / "lib" / "skerry_agent" / "gone.py").write_text("old")
    (porch / "ca.pem").write_text("old")

    skerry.ok("device", "flash", "porch", "--output", "porch", "--runtime", "process")

    assert names(porch) == sorted([*NAMES, "state"])
    assert (porch / "token").read_text() == "secret-2\n"
    assert (porch / "token").stat().st_mode & 0o777 == 0o600
    assert json.loads((porch / "device.json").read_text())["runtime"] == "process"
    assert not (porch / "lib/skerry_agent/gone.py").exists()
    assert (porch / "state/outbox.db").read_bytes() == b"precious"
    assert (porch / "inputs/a.png").read_bytes() == b"picture"
    assert not [path for path in porch.parent.iterdir() if path.name.startswith(".porch")]
    assert cloud.identities == 2


@pytest.mark.parametrize("word", ["json", "table"])
@pytest.mark.parametrize("option", ["--output", "-o"])
def test_a_form_of_results_is_not_taken_for_a_folder(
    skerry: Skerry, cloud: FakeCloud, tmp_path: Path, word: str, option: str
) -> None:
    skerry.ok("device", "add", "porch")
    done = skerry("device", "flash", "porch", option, word)
    assert done.returncode == 2
    assert f"--format {word}" in done.stderr
    assert f"--output ./{word}" in done.stderr
    assert cloud.identities == 0
    assert not (tmp_path / word).exists()

    skerry.ok("device", "flash", "porch", option, f"./{word}")
    assert names(tmp_path / word) == NAMES


def test_a_folder_of_another_device_or_of_something_else_is_left_alone(
    skerry: Skerry, porch: Path, cloud: FakeCloud, tmp_path: Path
) -> None:
    before = (porch / "token").read_bytes()
    skerry.ok("device", "add", "attic")
    other = skerry("device", "flash", "attic", "--output", "porch")
    assert other.returncode == 1
    assert "is the folder of device porch [CONFLICT]" in other.stderr

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    foreign = skerry("device", "flash", "attic", "--output", "photos")
    assert foreign.returncode == 1
    assert "no device folder [CONFLICT]" in foreign.stderr
    assert (porch / "token").read_bytes() == before
    # Asking for an identity ends the one before, so neither may have asked.
    assert cloud.identities == 1


def test_a_folder_of_another_fleet_is_left_alone(
    skerry: Skerry, porch: Path, cloud: FakeCloud
) -> None:
    cloud.fleet = "factory"
    done = skerry("device", "flash", "porch", "--output", "porch")
    assert done.returncode == 1
    assert "belongs to fleet home" in done.stderr
    assert (porch / "token").read_text() == "secret-1\n"


@pytest.mark.parametrize("option", ["--output", "--installer"])
@pytest.mark.parametrize("place", ["file/x", "file/y/z", "/proc/x", "/proc/y/z"])
def test_where_nothing_can_be_written_is_told_before_an_identity_ends(
    skerry: Skerry, cloud: FakeCloud, tmp_path: Path, option: str, place: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    skerry.ok("device", "add", "porch")

    done = skerry("device", "flash", "porch", option, place, "--format", "json")

    assert done.returncode == 1
    said, remedy = done.stderr.splitlines()
    assert said.startswith("skerry: ")
    assert ("/proc" if "/proc" in place else "file") in said
    assert remedy.startswith("  ")
    assert json.loads(done.stdout)["error"]["remedy"] == remedy.strip()
    assert cloud.identities == 0


def test_an_unknown_device_leaves_nothing_behind(skerry: Skerry, tmp_path: Path) -> None:
    done = skerry("device", "flash", "nobody", "--output", "nobody")
    assert done.returncode == 1
    assert "there is no device nobody [NOT_FOUND]" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["login.json"]


# --- the installer ------------------------------------------------------------------------------


@pytest.fixture
def installer(skerry: Skerry, cloud: FakeCloud, tmp_path: Path) -> Path:
    cloud.ca = "-----BEGIN CERTIFICATE-----\n"
    skerry.ok("device", "add", "porch")
    skerry.ok("device", "flash", "porch", "--installer", "porch.sh")
    return tmp_path / "porch.sh"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The root of a system that is not this one."""
    (tmp_path / "image" / "etc").mkdir(parents=True)
    (tmp_path / "image" / "etc" / "group").write_text("root:x:0:\ndocker:x:999:\n")
    return tmp_path / "image"


def test_an_installer_is_private_and_explains_itself(installer: Path, tmp_path: Path) -> None:
    assert installer.stat().st_mode & 0o777 == 0o700
    done = run("/bin/sh", installer, "--help")
    assert done.returncode == 0
    assert "device 'porch' of fleet 'home'" in done.stdout
    assert run("/bin/sh", installer, "--nonsense").returncode == 2
    head, _, _ = installer.read_bytes().partition(b"# What follows is the payload")
    (tmp_path / "head.sh").write_bytes(head)
    assert run("/bin/sh", "-n", tmp_path / "head.sh").returncode == 0


def test_an_installer_unpacks_to_a_device_folder(installer: Path, tmp_path: Path) -> None:
    done = run("/bin/sh", installer, "--extract-only", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "out") == sorted([*NAMES, "ca.pem"])
    assert (tmp_path / "out/token").stat().st_mode & 0o777 == 0o600
    again = run("/bin/sh", installer, "--extract-only", tmp_path / "out")
    assert again.returncode == 1


@pytest.mark.parametrize("there", ["thesis.pdf", ".hidden"])
def test_an_installer_does_not_unpack_among_something_else(
    installer: Path, tmp_path: Path, there: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / there).write_bytes(b"five years")
    done = run("/bin/sh", installer, "--extract-only", tmp_path / "mine")
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert names(tmp_path / "mine") == [there]
    onto = run("/bin/sh", installer, "--extract-only", tmp_path / "mine" / there)
    assert (onto.returncode, "is no folder" in onto.stderr) == (1, True)
    (tmp_path / "empty").mkdir()
    assert run("/bin/sh", installer, "--extract-only", tmp_path / "empty").returncode == 0


def test_a_damaged_installer_installs_nothing(installer: Path, tmp_path: Path) -> None:
    data = bytearray(installer.read_bytes())
    data[-100] ^= 1
    installer.write_bytes(data)
    done = run("/bin/sh", installer, "--extract-only", tmp_path / "out")
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_installing_into_an_image_and_again_keeps_the_state(
    installer: Path, image: Path, skerry: Skerry
) -> None:
    done = run("/bin/sh", installer, "--root", image)
    assert done.returncode == 0, done.stderr
    home = image / "var/lib/skerry"
    (home / "state").mkdir()
    (home / "state" / "outbox.db").write_bytes(b"precious")
    first_code = str((image / "opt/skerry/current").readlink())
    unit = (image / "etc/systemd/system/skerry-agent.service").read_text()
    assert "ExecStart=/usr/bin/python3 /opt/skerry/current/lib/skerry_agent/launcher.py run" in unit
    assert "SupplementaryGroups=docker" in unit
    assert "@" not in unit
    wanted = image / "etc/systemd/system/multi-user.target.wants/skerry-agent.service"
    assert wanted.resolve() == (image / "etc/systemd/system/skerry-agent.service").resolve()
    assert str((home / "lib").readlink()) == "/opt/skerry/current/lib"
    assert (image / "opt/skerry/current/lib/skerry_agent/__init__.py").is_file()

    skerry.ok("device", "flash", "porch", "--installer", "porch.sh")
    again = run("/bin/sh", installer, "--root", image)

    assert again.returncode == 0, again.stderr
    assert (home / "token").read_text() == "secret-2\n"
    assert (home / "token").stat().st_mode & 0o777 == 0o600
    assert (home / "state/outbox.db").read_bytes() == b"precious"
    assert str((image / "opt/skerry/current").readlink()) == first_code
    assert names(image / "opt/skerry") == sorted([first_code, "current"])


def test_an_installer_leaves_another_devices_machine_alone(
    installer: Path, image: Path, skerry: Skerry
) -> None:
    run("/bin/sh", installer, "--root", image)
    skerry.ok("device", "add", "attic")
    skerry.ok("device", "flash", "attic", "--installer", "attic.sh")
    done = run("/bin/sh", installer.with_name("attic.sh"), "--root", image)
    assert done.returncode == 1
    assert "belongs to another device" in done.stderr
    assert (image / "var/lib/skerry/token").read_text() == "secret-1\n"


def test_an_installer_is_not_written_over_something_else(
    skerry: Skerry, cloud: FakeCloud, tmp_path: Path
) -> None:
    skerry.ok("device", "add", "porch")
    (tmp_path / "thesis.pdf").write_bytes(b"five years")
    done = skerry("device", "flash", "porch", "--installer", "thesis.pdf")
    assert done.returncode == 1
    assert (tmp_path / "thesis.pdf").read_bytes() == b"five years"
    assert cloud.identities == 0


def test_the_same_folder_makes_the_same_payload(installer: Path, tmp_path: Path) -> None:
    run("/bin/sh", installer, "--extract-only", tmp_path / "out")
    first = hashlib.sha256(installers.pack(tmp_path / "out")).hexdigest()
    os.utime(tmp_path / "out" / "token", (1, 1))
    assert hashlib.sha256(installers.pack(tmp_path / "out")).hexdigest() == first
