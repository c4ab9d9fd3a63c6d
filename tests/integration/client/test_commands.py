"""Every command as people type it, against a cloud over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.fake_cloud import FakeCloud
from support.skerry_command import Skerry

pytestmark = pytest.mark.integration

FAILURE = {
    "code": "INIT_FAILED",
    "text": "face-detector:3 cannot start",
    "remedy": "Mend score.py.",
    "detail": 'File "score.py", line 7, in init\nFileNotFoundError: labels.txt\x1b[31m',
}


def reported(phase: str, **more: Any) -> dict[str, Any]:
    return {
        "boot": "b1",
        "ts": "2026-01-02T03:04:05Z",
        "version": 3,
        "deployment": "faces:3",
        "phase": phase,
        "committed": 2,
        "progress": {"total": 4000, "present": 3000, "pulled": 1000},
        **more,
    }


# --- models -----------------------------------------------------------------------------------


def test_a_folder_is_registered_under_its_own_name_and_sent_once(
    skerry: Skerry, cloud: FakeCloud, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.h5").write_bytes(b"weights")
    (folder / "deep" / "copy.h5").write_bytes(b"weights")
    (folder / "empty").write_bytes(b"")
    command = ("model", "register", "-p", folder, "-n", "sentiment", "--tag", "task=text")

    first = skerry.ok(*command)
    assert first.startswith("sentiment:1\n")
    assert sum(line.startswith("PUT ") for line in cloud.requests) == 2
    cloud.requests.clear()
    second = json.loads(skerry.ok(*command, "--output", "json"))

    assert second["version"] == 2
    assert second["tags"] == {"task": "text"}
    assert [file["path"] for file in second["files"]] == [
        "models/deep/copy.h5",
        "models/empty",
        "models/model.h5",
    ]
    assert not any(line.startswith("PUT ") for line in cloud.requests)


def test_a_single_file_is_registered_at_the_top(skerry: Skerry, tmp_path: Path) -> None:
    (tmp_path / "face.tflite").write_bytes(b"x" * 3_000_000)
    made = json.loads(
        skerry.ok("model", "register", "-p", "face.tflite", "-n", "face", "--output", "json")
    )
    assert [(file["path"], file["size"]) for file in made["files"]] == [("face.tflite", 3_000_000)]


def test_what_cannot_be_a_model_is_refused_before_anything_is_sent(
    skerry: Skerry, cloud: FakeCloud, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "good").write_bytes(b"good")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "models" / "link").symlink_to("../secret")

    done = skerry("model", "register", "-p", "models", "-n", "m")

    assert done.returncode == 1
    assert "models/link is a link that leads out of the folder [MODEL]" in done.stderr
    assert cloud.requests == []


def test_a_model_comes_back_verified_and_never_over_something_else(
    skerry: Skerry, cloud: FakeCloud, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a b.txt").write_bytes(b"hello")
    skerry.ok("model", "register", "-p", "m", "-n", "greeting")

    skerry.ok("model", "download", "greeting:1", "--to", "back/here")
    assert (tmp_path / "back/here/m/a b.txt").read_bytes() == b"hello"

    refused = skerry("model", "download", "greeting:1", "--to", "back/here")
    assert refused.returncode == 1
    assert "[CONFLICT]" in refused.stderr

    (tmp_path / "back/here/m/a b.txt").write_bytes(b"changed")
    skerry.ok("model", "download", "greeting:1", "--to", "back/here", "--force")
    assert (tmp_path / "back/here/m/a b.txt").read_bytes() == b"hello"

    digest = cloud.models["greeting"][0]["files"][0]["digest"]
    cloud.blobs[digest] = b"hullo"
    spoiled = skerry("model", "download", "greeting:1", "--to", "back/here", "--force")
    assert spoiled.returncode == 1
    assert "[DIGEST]" in spoiled.stderr
    assert (tmp_path / "back/here/m/a b.txt").read_bytes() == b"hello"
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["here"]


@pytest.fixture
def greeting(skerry: Skerry, tmp_path: Path) -> str:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.txt").write_bytes(b"hello")
    skerry.ok("model", "register", "-p", "m", "-n", "greeting")
    return "greeting:1"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", ["porch", "m", "m/a.txt", "link", "."])
def test_force_replaces_nothing_that_no_download_made(
    skerry: Skerry, greeting: str, tmp_path: Path, target: str
) -> None:
    skerry.ok("device", "add", "porch")
    skerry.ok("device", "flash", "porch", "--output", "porch")
    (tmp_path / "link").symlink_to("m")
    before = content(tmp_path)

    done = skerry("model", "download", greeting, "--to", target, "--force")

    assert done.returncode == 1
    assert "was not made by a download" in done.stderr
    assert "[CONFLICT]" in done.stderr
    assert content(tmp_path) == before


@pytest.mark.parametrize("target", ["/proc/x", "file/y"])
def test_a_download_to_where_nothing_can_be_written_says_so(
    skerry: Skerry, greeting: str, tmp_path: Path, target: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = skerry("model", "download", greeting, "--to", target)
    assert done.returncode == 1
    said, remedy = done.stderr.splitlines()
    assert said.startswith("skerry: ")
    assert target.split("/")[1 if target[0] == "/" else 0] in said
    assert remedy.startswith("  ")


def test_a_download_replaces_even_the_folder_that_it_is_run_in(
    skerry: Skerry, greeting: str, tmp_path: Path
) -> None:
    skerry.ok("model", "download", greeting, "--to", "back")
    inside = Skerry(skerry.login_file, tmp_path / "back")
    inside.ok("model", "download", greeting, "--to", ".", "--force")
    assert (tmp_path / "back" / "m" / "a.txt").read_bytes() == b"hello"
    assert not [path for path in tmp_path.rglob("*") if ".old." in path.name]


@pytest.mark.parametrize("added", ["mine.txt", "m/mine.txt", "empty/"])
def test_force_replaces_no_download_that_something_was_added_to(
    skerry: Skerry, greeting: str, tmp_path: Path, added: str
) -> None:
    skerry.ok("model", "download", greeting, "--to", "back")
    path = tmp_path / "back" / added
    path.mkdir() if added.endswith("/") else path.write_bytes(b"mine")

    done = skerry("model", "download", greeting, "--to", "back", "--force")

    assert done.returncode == 1
    assert f"such as {added.rstrip('/')} [CONFLICT]" in done.stderr
    assert path.exists()


def test_another_version_replaces_a_download_and_its_marker_is_no_part_of_a_model(
    skerry: Skerry, cloud: FakeCloud, greeting: str, tmp_path: Path
) -> None:
    skerry.ok("model", "download", greeting, "--to", "back")
    skerry.ok("model", "register", "-p", "back/m", "-n", "greeting")
    skerry.ok("model", "register", "-p", "back", "-n", "copy")
    assert [file["path"] for file in cloud.models["copy"][0]["files"]] == ["back/m/a.txt"]
    (tmp_path / "m" / "a.txt").rename(tmp_path / "m" / "b.txt")
    skerry.ok("model", "register", "-p", "m", "-n", "greeting")

    skerry.ok("model", "download", "greeting:3", "--to", "back", "--force")

    assert [path.name for path in (tmp_path / "back" / "m").iterdir()] == ["b.txt"]


def test_a_model_whose_names_lead_out_of_the_folder_is_not_downloaded(
    skerry: Skerry, cloud: FakeCloud, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    skerry.ok("model", "register", "-p", "f", "-n", "evil")
    cloud.models["evil"][0]["files"][0]["path"] = "../../escaped"

    done = skerry("model", "download", "evil:1")

    assert done.returncode == 1
    assert "is no relative path [MODEL]" in done.stderr
    assert not (tmp_path / "evil-1").exists()


def test_a_model_that_a_module_uses_stays(skerry: Skerry, cloud: FakeCloud, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    skerry.ok("model", "register", "-p", "f", "-n", "used")
    cloud.modules["scorer"] = [{"name": "scorer", "version": 1, "models": ["used:1"]}]

    done = skerry("model", "delete", "used:1", "--output", "json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "CONFLICT"
    assert "model used:1 is part of scorer:1 [CONFLICT]" in done.stderr
    del cloud.modules["scorer"]
    skerry.ok("model", "delete", "used:1")


# --- modules ----------------------------------------------------------------------------------


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    folder = tmp_path / "scorer"
    folder.mkdir()
    (folder / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    (folder / "environment.txt").write_text("")
    (folder / "notes").mkdir()
    (folder / "notes" / "long.md").write_text("not for devices")
    (folder / "module.toml").write_text(
        'name = "scorer"\nmodels = ["face:1"]\nleave_out = ["notes"]\n'
    )
    return folder


def test_a_module_is_built_from_its_recipe_with_the_log_on_stderr(
    skerry: Skerry, cloud: FakeCloud, scorer: Path
) -> None:
    done = skerry("module", "build", scorer, "--platform", "linux/arm64", "--no-check")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("scorer:1\n\nlinux/arm64  sha256:2222")
    assert "reused" in done.stdout
    assert done.stderr.splitlines()[-2:] == ["building scorer", "resolving"]
    order = cloud.builds["b1"]["order"]
    assert [file["path"] for file in order["files"]] == ["environment.txt", "score.py"]
    assert order["models"] == ["face:1"]
    assert order["environment"] == "environment.txt"
    assert order["check"] is False


def test_a_build_that_fails_shows_the_traceback_of_the_scorer(
    skerry: Skerry, cloud: FakeCloud, scorer: Path
) -> None:
    cloud.build_error = FAILURE

    done = skerry("module", "build", scorer, "-n", "other", "--output", "json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "INIT_FAILED"
    assert "  | FileNotFoundError: labels.txt" in done.stderr


def test_a_folder_that_is_not_there_is_what_a_build_complains_about(
    skerry: Skerry, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder, text in (
        ("bad/nosuch", "there is no folder bad/nosuch"),
        ("file", "file is no folder"),
    ):
        done = skerry("module", "build", folder, "-n", "m")
        assert done.returncode == 1
        assert f"skerry: {text} [SCORER]" in done.stderr


def test_an_entry_script_that_is_not_there_is_named_with_what_is(
    skerry: Skerry, scorer: Path
) -> None:
    done = skerry("module", "build", scorer, "--entry-script", "main.py")
    assert done.returncode == 1
    assert "has no main.py [SCORER]" in done.stderr
    assert "score.py" in done.stderr


# --- devices and deployments --------------------------------------------------------------------


def test_a_device_is_added_shown_and_removed(skerry: Skerry, cloud: FakeCloud) -> None:
    skerry.ok("device", "add", "porch", "--tag", "site=porto")
    assert "reported  nothing yet" in skerry.ok("device", "show", "porch")
    again = skerry("device", "add", "porch")
    assert (again.returncode, "[CONFLICT]" in again.stderr) == (1, True)
    assert skerry.ok("device", "list").splitlines()[1].split() == [
        *("porch", "unknown", "-", "-", "site=porto")
    ]
    skerry.ok("device", "remove", "porch")
    assert cloud.devices == {}


def test_a_device_shows_why_it_refused_with_the_traceback(skerry: Skerry, cloud: FakeCloud) -> None:
    skerry.ok("device", "add", "porch")
    module = {
        "image": "face-detector:2",
        "digest": "sha256:" + "3" * 64,
        "revision": "r2",
        "state": "serving",
    }
    bad: dict[str, Any] = {
        "module": "cam",
        "image": "face-detector:3",
        "digest": "d",
        "revision": "r3",
    }
    bad |= {"failure": FAILURE, "ts": "2026-01-02T03:04:05Z"}
    cloud.devices["porch"] |= {
        "presence": "online",
        "reported": reported("refused", modules={"cam": module}, bad=[bad], failure=FAILURE),
    }

    shown = skerry.ok("device", "show", "porch")

    assert "version 3 (faces:3), refused; last good version 2; pulled 1000 B of 3.9 KiB" in shown
    assert "cam     face-detector:2  serving" in shown
    assert "module cam (face-detector:3): face-detector:3 cannot start [INIT_FAILED]" in shown
    assert shown.count("FileNotFoundError: labels.txt") == 1
    assert "\x1b" not in shown

    cloud.devices["porch"]["failures"] = {"cam": {"count": 3, "text": "frames/a.png: no picture"}}
    said = "module cam failed to score 3 times in the last hour, last: frames/a.png: no picture"
    assert said in skerry.ok("device", "show", "porch")


def test_a_manifest_that_the_server_refuses_says_where_it_is_wrong(
    skerry: Skerry, tmp_path: Path
) -> None:
    (tmp_path / "m.yaml").write_text("name: faces\n")
    done = skerry("deployment", "push", "m.yaml")
    assert done.returncode == 1
    assert "line 3, column 5" in done.stderr
    assert "[MANIFEST]" in done.stderr


def test_one_device_and_one_file_are_not_called_many(skerry: Skerry, greeting: str) -> None:
    manifest = {"name": "m", "target": {"devices": ["porch"]}, "modules": {}}
    pushed = skerry.ok("deployment", "push", "-", stdin=json.dumps(manifest))
    assert "m:1 is on its way to 1 device\n" in pushed
    assert "(1 file, verified)" in skerry.ok("model", "download", greeting)


def push(skerry: Skerry, *devices: str) -> None:
    manifest = {"name": "faces", "target": {"devices": devices}, "modules": {}}
    out = skerry.ok("deployment", "push", "-", stdin=json.dumps(manifest))
    assert "skerry deployment show faces:1 --watch" in out


@pytest.mark.parametrize(
    ("phases", "status"), [(("committed",) * 2, 0), (("committed", "refused"), 1)]
)
def test_watching_ends_when_every_device_has_settled(
    skerry: Skerry, cloud: FakeCloud, phases: tuple[str, str], status: int
) -> None:
    push(skerry, "porch", "attic")
    for device, phase in zip(cloud.deployments["faces"][0]["devices"], phases, strict=True):
        device["phase"] = phase
    done = skerry("deployment", "show", "faces", "--watch")
    assert done.returncode == status


def test_watching_gives_up_in_time_and_names_who_is_missing(
    skerry: Skerry,
) -> None:
    push(skerry, "porch")
    done = skerry("deployment", "show", "faces:1", "--watch", "--timeout", "0.1")
    assert done.returncode == 1
    assert "porch (idle, online)" in done.stderr
    assert "[DEADLINE]" in done.stderr


def stored(device: str, seq: int) -> dict[str, Any]:
    item = {"device": device, "module": "cam", "stream": "scores", "boot": "b1"}
    return {**item, "seq": seq, "ts": f"T{seq}", "data": {}}


@pytest.mark.parametrize("count", [500, 501, 2000, 10_000])
@pytest.mark.parametrize("device", ["porch", "attic"])
def test_more_telemetry_than_fits_one_answer_comes_whole_and_in_order(
    skerry: Skerry, cloud: FakeCloud, device: str, count: int
) -> None:
    # The porch spoke long ago, the attic now and then, and the cellar most of the time.
    cloud.devices |= {
        name: {"id": name, "presence": "online"} for name in ("porch", "attic", "cellar")
    }
    cloud.telemetry += [stored("porch", seq) for seq in range(1, 4001)]
    for seq in range(1, 4001):
        cloud.telemetry += [stored("cellar", 3 * seq + more) for more in range(3)]
        cloud.telemetry.append(stored("attic", seq))

    shown = skerry.ok(
        *("telemetry", "tail", "--no-follow", "-n", count, "--device", device, "--output", "json")
    )

    wanted = list(range(1, 4001))[-count:]
    assert [json.loads(row)["seq"] for row in shown.splitlines()] == wanted


def test_telemetry_is_one_line_an_item_and_one_json_a_line(
    skerry: Skerry, cloud: FakeCloud
) -> None:
    skerry.ok("device", "add", "porch")
    for number in range(1, 4):
        item = {"device": "porch", "module": "cam", "stream": "scores", "boot": "b1"}
        cloud.telemetry.append({**item, "seq": number, "ts": f"T{number}", "data": {"n": number}})

    shown = skerry.ok("telemetry", "tail", "--no-follow", "-n", "2", "--device", "porch")
    assert shown.splitlines() == [
        'T2 porch cam/scores {"n": 2}',
        'T3 porch cam/scores {"n": 3}',
    ]
    rows = skerry.ok("telemetry", "tail", "--no-follow", "--output", "json").splitlines()
    assert [json.loads(row)["seq"] for row in rows] == [1, 2, 3]


def test_telemetry_of_a_quiet_device_is_empty_and_of_an_unknown_one_is_not_found(
    skerry: Skerry,
) -> None:
    skerry.ok("device", "add", "attic")
    assert skerry.ok("telemetry", "tail", "--no-follow", "--device", "attic") == ""
    done = skerry("telemetry", "tail", "--device", "nosuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no device nosuch [NOT_FOUND]" in done.stderr
