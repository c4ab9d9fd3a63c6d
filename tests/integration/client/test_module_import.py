"""Images that were made elsewhere become modules: from layouts, archives and registries."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skerry.images.documents import digest_of
from support.dockerd import Dockerd
from support.doubler import Doubler
from support.images import Entry, oci_image, tar_of
from support.modules import HERE
from support.registry import PASSWORD, USER, basic_auth, own_registry

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def bring(doubler: Doubler, source: object, *options: object, stdin: str = "") -> Any:
    command = ("module", "import", source, "-n", "foreign", *options, "--output", "json")
    return json.loads(doubler.skerry.ok(*command, stdin=stdin))


def layout(folder: Path, change: Callable[[dict[str, bytes]], None] = lambda _blobs: None) -> Path:
    """Write a layout of a small image of two layers, with ``change`` to its blobs."""
    image = oci_image([tar_of([Entry("a", b"1")]), tar_of([Entry("b", b"2" * 5_000_000)])])
    blobs = {str(digest): data for digest, data in image.blobs.items()}
    change(blobs)
    (folder / "blobs/sha256").mkdir(parents=True)
    for digest, data in blobs.items():
        (folder / "blobs" / digest.replace(":", "/")).write_bytes(data)
    size = len(image.blobs[image.digest])
    media_type = "application/vnd.oci.image.manifest.v1+json"
    entry = {"mediaType": media_type, "digest": image.digest, "size": size}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder


def test_a_module_of_another_server_keeps_its_digest_and_what_it_says(
    doubler: Doubler, tmp_path: Path
) -> None:
    for version in (1, 2):
        target = f"oci:{tmp_path}/{version}"
        doubler.skerry.ok("module", "export", f"doubler:{version}", "--output", target)
        made = bring(doubler, f"{target}:{version}")
        shown = doubler.server.get(f"/v1/modules/doubler/{version}")
        theirs = {name: image["digest"] for name, image in made["images"].items()}
        assert theirs == {name: image["digest"] for name, image in shown["images"].items()}
    only = bring(doubler, f"oci:{tmp_path}/2", "--platform", HERE)
    assert list(only["images"]) == [HERE]
    assert only["images"][HERE]["checked"] == "imported"
    said = doubler.skerry.ok("module", "show", f"foreign:{only['version']}", "--sbom")
    assert json.loads(said)["bomFormat"] == "CycloneDX"


def test_an_archive_of_another_engine_becomes_a_module_that_it_can_pull_again(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path
) -> None:
    archive = tmp_path / "saved.tar"
    root = tmp_path / "root.tar"
    root.write_bytes(tar_of([Entry("bin/program", b"#!/bin/sh\n")]))
    dockerd.docker("import", "--change", 'CMD ["/bin/program"]', str(root), "saved:1")
    dockerd.docker("save", "--output", str(archive), "saved:1")
    made = bring(doubler, f"docker-archive:{archive}")
    [image] = made["images"].values()
    own = (f"--src-creds=x:{doubler.server.token}", "--src-tls-verify=false")
    name = f"docker://{doubler.host}/foreign@{image['digest']}"
    # Copying reads every byte and checks each digest and diff id against it.
    doubler.skopeo("copy", *own, name, f"dir:{tmp_path}/copied")
    form = ("export", f"foreign:{made['version']}", "--output", f"docker-archive:{tmp_path}/out")
    doubler.skerry.ok("module", *form)
    assert f"foreign:{made['version']}" in dockerd.docker("load", "--input", f"{tmp_path}/out")


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_an_image_of_a_registry_becomes_a_module(
    doubler: Doubler, tmp_path: Path, form: str
) -> None:
    source = layout(tmp_path / "layout")
    who = ("--username", USER, "--password-stdin")
    with own_registry(tmp_path, **basic_auth(tmp_path)) as host:
        creds = (f"--dest-creds={USER}:{PASSWORD}", "--dest-tls-verify=false")
        doubler.skopeo(
            "copy", f"--format={form}", *creds, f"oci:{source}", f"docker://{host}/a/b:1"
        )
        made = bring(doubler, f"{host}/a/b:1", *who, stdin=PASSWORD)
        [image] = made["images"].values()
        assert [layer["kind"] for layer in image["layers"]] == ["layer", "layer"]
        kept = json.loads((source / "index.json").read_bytes())["manifests"][0]["digest"]
        if form == "oci":
            assert image["digest"] == kept
            again = bring(doubler, f"{host}/a/b@{kept}", *who, stdin=PASSWORD)
            assert next(iter(again["images"].values()))["digest"] == kept
        missing = ("module", "import", f"{host}/a/b:2", "-n", "foreign", *who)
        told = doubler.skerry(*missing, stdin=PASSWORD)
        assert told.returncode == 1
        assert "a/b has no image 2" in told.stderr


def _changed_layer(blobs: dict[str, bytes]) -> None:
    digest = max(
        blobs, key=lambda one: len(gzip.decompress(blobs[one])) if blobs[one][:1] == b"\x1f" else 0
    )
    blobs[digest] = blobs[digest][:-1] + b"!"


def _missing_layer(blobs: dict[str, bytes]) -> None:
    del blobs[next(one for one, data in blobs.items() if data[:1] == b"\x1f")]


@pytest.mark.parametrize(
    ("change", "code"), [(_changed_layer, "DIGEST"), (_missing_layer, "NOT_FOUND")]
)
def test_a_layout_that_is_not_whole_is_refused(
    doubler: Doubler, tmp_path: Path, change: Callable[[dict[str, bytes]], None], code: str
) -> None:
    source = layout(tmp_path / "layout", change)
    refused = doubler.skerry("module", "import", f"oci:{source}", "-n", "never")
    assert refused.returncode == 1
    assert f"[{code}]" in refused.stderr
    assert doubler.server.ask("GET", "/v1/modules/never").status_code == 404


@pytest.mark.parametrize(
    "source",
    [
        "oci:/nowhere",
        "docker-archive:/nowhere",
        "docker-archive:/etc/passwd",
        "noregistry/x",
        "registry.example.org/x@sha256:abcd",
    ],
)
def test_a_source_that_is_none_is_told(doubler: Doubler, source: str) -> None:
    assert doubler.skerry("module", "import", source, "-n", "never").returncode in (1, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"}, "mediaType"),
        ({"size": 1}, "bytes, not 1"),
        ({"digest": "sha256:" + "0" * 64}, "no blob"),
    ],
    ids=["zstd", "another size", "not uploaded"],
)
def test_the_server_takes_no_image_that_a_device_could_not_run(
    doubler: Doubler, change: dict[str, Any], said: str
) -> None:
    image = oci_image([tar_of([Entry("a", b"1")])])
    server = doubler.server
    for data in image.blobs.values():
        server.upload(data, "x")
    manifest = json.loads(image.blobs[image.digest])
    manifest["layers"][0].update(change)
    data = json.dumps(manifest).encode()
    server.upload(data, "x")
    got = server.ask("POST", "/v1/modules/import", {"name": "never", "images": [digest_of(data)]})
    assert got.status_code in (400, 404)
    assert said in got.json()["error"]["text"]
    twice = {"name": "never", "images": [image.digest, image.digest]}
    assert server.ask("POST", "/v1/modules/import", twice).status_code == 400
