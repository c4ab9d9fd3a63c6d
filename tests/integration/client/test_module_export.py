"""Exported images, read by other tools: skopeo, Docker's engine, and a build from the context."""

import hashlib
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from support.dockerd import Dockerd
from support.doubler import Doubler
from support.modules import ELSEWHERE, HERE

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

_SCORE = """
import sys, time, urllib.request
for _ in range(300):
    try:
        request = urllib.request.Request(sys.argv[1], b"four", {"Content-Type": "text/plain"})
        print(urllib.request.urlopen(request, timeout=5).read().decode(), end="")
        break
    except OSError:
        time.sleep(0.1)
"""


def export(doubler: Doubler, *arguments: object) -> Any:
    return json.loads(doubler.skerry.ok("module", "export", *arguments, "--output", "json"))


def files_of(daemon: Dockerd, image: str, folder: Path) -> dict[str, tuple[int, str, str]]:
    """Return mode, link and digest of each file of an image, as the engine sees it."""
    container = daemon.docker("create", image).strip()
    daemon.docker("export", "--output", str(folder / "root.tar"), container)
    daemon.docker("rm", container)
    found = {}
    with tarfile.open(folder / "root.tar") as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() else None
            digest = hashlib.sha256(content.read() if content else b"").hexdigest()
            found[entry.name] = (entry.mode, entry.linkname, digest)
    return found


def test_a_layout_is_read_by_skopeo_and_holds_what_the_image_says(
    doubler: Doubler, tmp_path: Path
) -> None:
    target = tmp_path / "layout"
    told = export(doubler, "doubler:1", "--output", f"oci:{target}")
    assert told["digest"] == doubler.digest
    seen = json.loads(doubler.skopeo("inspect", f"oci:{target}:1"))
    assert seen["Digest"] == doubler.digest
    # Copying reads every byte and checks each digest and diff id against it.
    doubler.skopeo("copy", f"oci:{target}:1", f"dir:{tmp_path}/copied")
    listed = json.loads((target / "index.json").read_bytes())["manifests"]
    kinds = {one.get("artifactType", "image") for one in listed}
    assert "application/vnd.cyclonedx+json" in kinds
    for one in listed:
        data = (target / "blobs" / one["digest"].replace(":", "/")).read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == one["digest"]
        for part in json.loads(data)["layers"]:
            assert (target / "blobs" / part["digest"].replace(":", "/")).is_file()


def test_several_platforms_become_an_index(doubler: Doubler, tmp_path: Path) -> None:
    target = tmp_path / "layout"
    told = export(doubler, "doubler:2", "--output", f"oci:{target}")
    index = json.loads(doubler.skopeo("inspect", "--raw", f"oci:{target}:2"))
    assert {one["digest"] for one in index["manifests"]} == set(told["images"].values())
    doubler.skopeo("copy", "--all", f"oci:{target}:2", f"dir:{tmp_path}/copied")
    refused = doubler.skerry(
        "module", "export", "doubler:2", "--output", f"docker-archive:{tmp_path}/a"
    )
    assert refused.returncode == 1
    assert "--platform" in refused.stderr
    assert not (tmp_path / "a").exists()
    only = export(doubler, "doubler:2", "--platform", ELSEWHERE, "--output", f"oci:{tmp_path}/one")
    assert only["images"] == {ELSEWHERE: told["images"][ELSEWHERE]}


def test_an_archive_is_loaded_and_serves_http_without_any_skerry(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path
) -> None:
    archive = tmp_path / "doubler.tar"
    export(doubler, "doubler:1", "--output", f"docker-archive:{archive}")
    assert "skerry/doubler:1" in dockerd.docker("load", "--input", str(archive))
    held = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=64m"]
    options = ["--detach", "--name=doubler", "--publish=5001:5001", *held]
    dockerd.docker("run", *options, "skerry/doubler:1")
    try:
        url = "http://127.0.0.1:5001/score"
        answer = dockerd.inside(sys.executable, "-c", _SCORE, url, timeout_s=90)
        assert json.loads(answer) == {"length": 8}, dockerd.docker("logs", "doubler")
        user = dockerd.docker("exec", "doubler", "python3", "-c", "import os; print(os.getuid())")
        assert user == "65532\n"
    finally:
        dockerd.docker("rm", "--force", "doubler")


def test_a_context_builds_without_network_to_the_same_files(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")  # what Debian's Docker does by itself
    context, archive = tmp_path / "context", tmp_path / "doubler.tar"
    outputs = ("--output", f"dockerfile:{context}", "--output", f"docker-archive:{archive}")
    export(doubler, "doubler:1", *outputs)
    assert (context / "azureml-app/score.py").is_file()
    assert (context / "azureml-models/weights/1/weights.txt").read_text() == "2"
    assert (context / "environment.lock").read_text().startswith("six==1.17.0")
    dockerd.docker("load", "--input", str(archive))
    build = ("build", "--network", "none", "--tag", "built:1", str(context))
    dockerd.docker(*build, timeout_s=200)
    ours = files_of(dockerd, "skerry/doubler:1", tmp_path)
    theirs = files_of(dockerd, "built:1", tmp_path)
    assert len(ours) > 500
    assert theirs == ours
    first, second = json.loads(dockerd.docker("inspect", "skerry/doubler:1", "built:1"))
    for name in ("User", "WorkingDir", "Entrypoint", "Labels", "ExposedPorts"):
        assert first["Config"][name] == second["Config"][name]
    assert sorted(first["Config"]["Env"]) == sorted(second["Config"]["Env"])


def test_a_build_writes_its_image_at_once(doubler: Doubler, tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def init(): pass\ndef run(data): return 1\n")
    target = tmp_path / "out"
    command = ("module", "build", tmp_path, "-n", "built", "--platform", HERE, "--no-check")
    made = json.loads(doubler.skerry.ok(*command, "--output", "json", "--output", f"oci:{target}"))
    seen = json.loads(doubler.skopeo("inspect", f"oci:{target}:1"))
    assert seen["Digest"] == made["images"][HERE]["digest"]


@pytest.mark.parametrize("form", ["oci", "dockerfile"])
def test_what_others_made_is_never_replaced(doubler: Doubler, tmp_path: Path, form: str) -> None:
    target = tmp_path / "place"
    command = ("module", "export", "doubler:2", "--platform", HERE, "--output", f"{form}:{target}")
    doubler.skerry.ok(*command)
    refused = doubler.skerry(*command)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    doubler.skerry.ok(*command, "--force")
    (target / "mine.txt").write_text("mine")
    refused = doubler.skerry(*command, "--force")
    assert refused.returncode == 1
    assert (target / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_blob_that_is_damaged_in_the_cloud_leaves_nothing_behind(
    doubler: Doubler, tmp_path: Path
) -> None:
    digest = export(doubler, "doubler:2", "--output", f"oci:{tmp_path}/whole")["images"][HERE]
    manifest = json.loads((tmp_path / "whole/blobs" / digest.replace(":", "/")).read_bytes())
    last = manifest["layers"][-1]["digest"].removeprefix("sha256:")
    stored = doubler.folder / "data/blobs/sha256" / last[:2] / last
    good = stored.read_bytes()
    stored.chmod(0o600)
    stored.write_bytes(bytes([*good[:-1], good[-1] ^ 1]))
    try:
        for form in ("oci", "docker-archive", "dockerfile"):
            target = f"{form}:{tmp_path}/damaged"
            refused = doubler.skerry(
                "module", "export", "doubler:2", "--platform", HERE, "--output", target
            )
            assert refused.returncode == 1
            assert "[DIGEST]" in refused.stderr
            assert [path.name for path in tmp_path.iterdir()] == ["whole"]
    finally:
        stored.write_bytes(good)


def test_places_that_make_no_sense_are_wrong_usage(doubler: Doubler) -> None:
    for arguments in (("--output", "tar:x"), ("--output", "oci:"), ()):
        assert doubler.skerry("module", "export", "doubler:1", *arguments).returncode == 2
