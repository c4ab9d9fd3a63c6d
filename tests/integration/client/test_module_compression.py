"""Modules with zstandard layers, on their way out and in; skopeo reads and makes them."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.dockerd import Dockerd
from support.doubler import Doubler
from support.registry import own_registry

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
_INTOTO = "application/vnd.in-toto+json"


def export(doubler: Doubler, which: str, target: Path) -> Any:
    """Export with zstandard layers."""
    outputs = ("--output", f"oci:{target}", "--output", "json")
    return json.loads(
        doubler.skerry.ok("module", "export", which, "--compression", "zstd", *outputs)
    )


def bring(doubler: Doubler, source: object) -> Any:
    done = doubler.skerry("module", "import", source, "-n", "packed", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "zstandard layer" in done.stderr
    return json.loads(done.stdout)


def document(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_bytes())


def test_a_layout_has_smaller_layers_that_skopeo_reads_and_comes_back_as_it_was(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path
) -> None:
    told = export(doubler, "doubler:1", tmp_path / "packed")
    doubler.skerry.ok("module", "export", "doubler:1", "--output", f"oci:{tmp_path}/plain")
    seen = json.loads(doubler.skopeo("inspect", f"oci:{tmp_path}/packed:1"))
    assert seen["Digest"] == told["digest"] != doubler.digest
    # Copying reads every byte and checks each digest and diff id against it.
    doubler.skopeo("copy", f"oci:{tmp_path}/packed:1", f"dir:{tmp_path}/copied")
    packed = document(tmp_path / "packed", told["digest"])
    plain = document(tmp_path / "plain", doubler.digest)
    assert {layer["mediaType"] for layer in packed["layers"]} == {_ZSTD}
    assert packed["config"] == plain["config"]
    sizes = [sum(layer["size"] for layer in one["layers"]) for one in (packed, plain)]
    assert sizes[0] < 0.9 * sizes[1]
    assert export(doubler, "doubler:1", tmp_path / "again")["digest"] == told["digest"]
    made = bring(doubler, f"oci:{tmp_path}/packed:1")
    [image] = made["images"].values()
    assert image["digest"] == doubler.digest
    which = f"packed:{made['version']}"
    doubler.skerry.ok("module", "export", which, "--output", f"docker-archive:{tmp_path}/out")
    assert which in dockerd.docker("load", "--input", f"{tmp_path}/out")


def test_what_an_image_says_of_itself_is_about_the_new_one_too(
    doubler: Doubler, tmp_path: Path
) -> None:
    told = export(doubler, "doubler:2", tmp_path / "layout")
    layout = tmp_path / "layout"
    index = json.loads(doubler.skopeo("inspect", "--raw", f"oci:{layout}:2"))
    assert {one["digest"] for one in index["manifests"]} == set(told["images"].values())
    listed = json.loads((layout / "index.json").read_bytes())["manifests"]
    about = [document(layout, one["digest"]) for one in listed if "artifactType" in one]
    assert {one["subject"]["digest"] for one in about} == set(told["images"].values())
    stored = doubler.server.get("/v1/modules/doubler/2")["images"]
    wanted = {
        frozenset({new, stored[platform]["digest"]}) for platform, new in told["images"].items()
    }
    said = [
        document(layout, one["layers"][0]["digest"])
        for one in about
        if one["artifactType"] == _INTOTO
    ]
    subjects = {
        frozenset(f"sha256:{one['digest']['sha256']}" for one in statement["subject"])
        for statement in said
    }
    assert subjects == wanted


def test_it_is_pushed_and_a_base_that_others_packed_is_built_on(
    doubler: Doubler, tmp_path: Path
) -> None:
    scorer = tmp_path / "scorer"
    scorer.mkdir()
    (scorer / "score.py").write_text("def init(): pass\ndef run(data): return 1\n")
    with own_registry(tmp_path) as host:
        push = ("module", "push", "doubler:1", f"{host}/a/b", "--compression", "zstd")
        pushed = json.loads(doubler.skerry.ok(*push, "--output", "json"))
        assert pushed["artifacts"] == 3
        there = f"docker://{host}/a/b:1"
        raw = json.loads(doubler.skopeo("inspect", "--raw", "--tls-verify=false", there))
        assert {layer["mediaType"] for layer in raw["layers"]} == {_ZSTD}
        doubler.skerry.ok("module", "export", "doubler:1", "--output", f"oci:{tmp_path}/plain")
        packing = ("--dest-compress", "--dest-compress-format=zstd", "--dest-compress-level=1")
        doubler.skopeo("copy", *packing, f"oci:{tmp_path}/plain:1", f"dir:{tmp_path}/d")
        plain = "--dest-tls-verify=false"
        doubler.skopeo("copy", plain, f"dir:{tmp_path}/d", f"docker://{host}/a/c:1")
        build = ("module", "build", scorer, "-n", "on-packed", "--base")
        for place in (f"a/b@{pushed['digest']}", "a/c:1"):
            done = doubler.skerry(*build, f"{host}/{place}")
            assert done.returncode == 0, done.stderr
            assert "zstandard layers of the image" in done.stderr
            assert "trying init()" in done.stderr


def test_forms_for_engines_that_read_no_zstandard_are_refused(
    doubler: Doubler, tmp_path: Path
) -> None:
    command = ("module", "export", "doubler:1", "--compression", "zstd", "--output")
    for form in ("docker-archive", "dockerfile"):
        refused = doubler.skerry(*command, f"{form}:{tmp_path}/out")
        assert refused.returncode == 1
        assert "Docker before 23" in refused.stderr
    nowhere = doubler.skerry("module", "build", tmp_path, "-n", "never", "--compression", "zstd")
    assert nowhere.returncode == 2
    assert "--output oci:DIR" in nowhere.stderr
    assert not list(tmp_path.iterdir())
