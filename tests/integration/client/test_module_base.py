"""Modules on a base that somebody else made: a real module's, and small ones that are refused."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from skerry.images.documents import digest_of
from skerry_cloud.blobs import BlobStore
from skerry_cloud.database import Database
from skerry_cloud.sweep import Sweep
from support.doubler import Doubler
from support.images import Entry, oci_image, tar_of
from support.modules import HERE, SCORE
from support.registry import own_registry

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

LOOKS_BACK = """
import getpass, importlib.util, os, sys
def init():
    assert getpass.getuser() == "skerry"
    assert open("/etc/passwd").read().startswith("root:x:0:0:theirs:/:\\nskerry:x:65532:")
    assert os.environ["OF_THE_BASE"] == "kept"
    assert open("/etc/team").read() == "second"
    assert not os.path.exists("/etc/gone")
    assert importlib.util.find_spec("six") is None
    assert not os.path.exists("/var/azureml-app/golden")
def run(data):
    return {"python": sys.version_info[:2]}
"""


def scorer(folder: Path, score: str = SCORE, **files: str) -> Path:
    folder.mkdir()
    for name, text in {"score.py": score, **files}.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def layout(folder: Path, layers: Sequence[bytes], *, media_type: str = "+gzip") -> Path:
    """Write a layout of an image of ``layers``."""
    image = oci_image(layers)
    blobs = {str(digest): data for digest, data in image.blobs.items()}
    manifest = json.loads(blobs.pop(image.digest))
    for layer in manifest["layers"]:
        layer["mediaType"] = f"application/vnd.oci.image.layer.v1.tar{media_type}"
    return written(folder, manifest, blobs)


def written(folder: Path, manifest: Any, blobs: dict[str, bytes]) -> Path:
    data = json.dumps(manifest).encode()
    digest = digest_of(data)
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    for name, content in {**blobs, digest: data}.items():
        (folder / "blobs" / name.replace(":", "/")).write_bytes(content)
    media_type = "application/vnd.oci.image.manifest.v1+json"
    entry = {"mediaType": media_type, "digest": digest, "size": len(data)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder


def grown(folder: Path) -> Path:
    """Add to the image of a layout two layers, uncompressed, a variable and a label."""
    listed = json.loads((folder / "index.json").read_bytes())["manifests"][0]
    blobs = folder / "blobs"
    manifest = json.loads((blobs / listed["digest"].replace(":", "/")).read_bytes())
    config = json.loads((blobs / manifest["config"]["digest"].replace(":", "/")).read_bytes())
    first = tar_of([Entry("etc/team", b"first"), Entry("etc/gone", b"x")])
    second = tar_of(
        [
            Entry("etc/team", b"second"),
            Entry("etc/.wh.gone", b""),
            Entry("etc/passwd", b"root:x:0:0:theirs:/:"),
        ]
    )
    added: dict[str, bytes] = {}
    for layer in (first, second):
        added[digest_of(layer)] = layer
        media_type = "application/vnd.oci.image.layer.v1.tar"
        about = {"mediaType": media_type, "digest": digest_of(layer), "size": len(layer)}
        manifest["layers"].append(about)
        config["rootfs"]["diff_ids"].append(digest_of(layer))
    config["config"]["Env"] += ["OF_THE_BASE=kept", "AZUREML_ENTRY_SCRIPT=theirs.py"]
    config["config"]["Labels"]["org.example.team"] = "vision"
    data = json.dumps(config).encode()
    manifest["config"].update(digest=digest_of(data), size=len(data))
    manifest["annotations"] = {}
    return written(folder, manifest, {**added, digest_of(data): data})


@pytest.fixture(scope="module")
def base(doubler: Doubler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout: the image of a module of ours, with an environment, and layers of a team."""
    folder = tmp_path_factory.mktemp("base") / "layout"
    doubler.skerry.ok("module", "export", "doubler:1", "--output", f"oci:{folder}")
    return grown(folder)


def parts_of(doubler: Doubler, image: Any) -> tuple[Any, Any]:
    manifest = doubler.server.ask("GET", f"/v2/based/manifests/{image['digest']}").json()
    where = f"/v2/based/blobs/{manifest['config']['digest']}"
    return manifest, doubler.server.ask("GET", where).json()


def test_a_module_stands_on_an_image_that_was_brought_along(
    doubler: Doubler, base: Path, tmp_path: Path
) -> None:
    folder = scorer(tmp_path / "scorer", LOOKS_BACK)
    command = ("module", "build", folder, "-n", "based", "--base", f"oci:{base}")
    done = doubler.skerry(*command, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "trying init()" in done.stderr
    made = json.loads(done.stdout)
    image = made["images"][HERE]
    theirs = json.loads((base / "index.json").read_bytes())["manifests"][0]["digest"]
    below = json.loads((base / "blobs" / theirs.replace(":", "/")).read_bytes())["layers"]
    manifest, config = parts_of(doubler, image)
    assert manifest["layers"][: len(below)] == below
    kinds = [layer["kind"] for layer in image["layers"]]
    assert kinds == ["base"] * (len(below) + 1) + ["scorer host", "scorer code"]
    start = config["config"]
    assert "OF_THE_BASE=kept" in start["Env"]
    assert "AZUREML_ENTRY_SCRIPT=score.py" in start["Env"]
    assert start["User"] == "65532:65532"
    assert start["Labels"]["org.example.team"] == "vision"
    assert start["Labels"]["org.opencontainers.image.base.digest"] == theirs
    assert start["Labels"]["io.skerry.module"] == f"based:{made['version']}"
    which = f"based:{made['version']}"
    bill = json.loads(doubler.skerry.ok("module", "show", which, "--sbom"))
    names = {one["name"] for one in bill["components"]}
    assert "libpython3.11-stdlib" in names
    assert "six" not in names
    said = json.loads(doubler.skerry.ok("module", "show", which, "--provenance"))
    assert theirs.removeprefix("sha256:") in json.dumps(said)
    doubler.skerry.ok("module", "export", which, "--output", f"docker-archive:{tmp_path}/out.tar")


def test_the_same_base_from_a_registry_gives_the_same_layers_and_outlives_a_sweep(
    doubler: Doubler, base: Path, tmp_path: Path
) -> None:
    folder = scorer(tmp_path / "scorer", LOOKS_BACK, module_toml="")
    with own_registry(tmp_path) as host:
        plain = ("--preserve-digests", "--dest-tls-verify=false")
        doubler.skopeo("copy", *plain, f"oci:{base}", f"docker://{host}/a/b:1")
        (folder / "module.toml").write_text(f'base = "{host}/a/b:1"\n')
        command = ("module", "build", folder, "-n", "based", "--no-check")
        done = doubler.skerry(*command, "--format", "json")
    theirs = json.loads((base / "index.json").read_bytes())["manifests"][0]["digest"]
    assert done.returncode == 0, done.stderr
    assert f"base for {HERE}: {theirs}" in done.stderr
    image = json.loads(done.stdout)["images"][HERE]
    settings = doubler.server.settings
    url = settings.options.database
    data = doubler.folder / "data"
    database = Database(url) if url else Database.in_file(data / "skerry.db")
    try:
        Sweep(database, BlobStore(data / "blobs"), grace_s=-1.0, clock=time.time)()
    finally:
        database.close()
    manifest, _ = parts_of(doubler, image)
    for part in manifest["layers"]:
        found = doubler.server.ask("HEAD", f"/v2/based/blobs/{part['digest']}")
        assert found.status_code == 200


LIBC = Entry("lib/libc.so.6", b"GNU C Library stable release version 2.31.")
PROGRAM = Entry("usr/local/bin/python3.11", b"#!", mode=0o755)
FOREIGN = Entry("usr/bin/python3.11", b"\x7fELF" + bytes(14) + (243).to_bytes(2, "little"))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([Entry("etc/hosts", b"")], "has no Python"),
        ([Entry("usr/bin/python3.9", b"#!", mode=0o755)], "no Python 3.11, but 3.9 at /usr/bin"),
        ([PROGRAM], "has no glibc"),
        ([FOREIGN], "and its Python is for others"),
        ([PROGRAM, LIBC], "has glibc 2.31, wheels are taken for 2.36"),
    ],
)
def test_a_base_that_modules_cannot_run_on_is_refused(
    doubler: Doubler, tmp_path: Path, entries: list[Entry], reason: str
) -> None:
    source = layout(tmp_path / "layout", [tar_of([Entry("a", b"1")]), tar_of(entries)])
    folder = scorer(tmp_path / "scorer")
    refused = doubler.skerry("module", "build", folder, "-n", "never", "--base", f"oci:{source}")
    assert refused.returncode == 1
    assert reason in refused.stderr


def test_layers_that_devices_cannot_read_and_platforms_without_a_base_are_refused(
    doubler: Doubler, tmp_path: Path
) -> None:
    source = layout(tmp_path / "layout", [tar_of([PROGRAM])], media_type="+lz4")
    command = ("module", "build", scorer(tmp_path / "scorer"), "-n", "never", "--base")
    refused = doubler.skerry(*command, f"oci:{source}")
    assert refused.returncode == 1
    assert "Make the image with gzip or zstandard layers" in refused.stderr
    plain = layout(tmp_path / "plain", [tar_of([PROGRAM])])
    lacking = doubler.skerry(*command, f"oci:{plain}", "--platform", "linux/arm/v7")
    assert "there is no image for linux/arm/v7" in lacking.stderr
    server = doubler.server
    digest = json.loads((plain / "index.json").read_bytes())["manifests"][0]["digest"]
    files = [server.upload(b"", "score.py")]
    order: dict[str, Any] = {"name": "never", "files": files, "entry_script": "score.py"}
    order |= {"platforms": [HERE], "base": {"linux/s390x": digest}}
    refusal = server.ask("POST", "/v1/modules", json=order)
    assert refusal.status_code == 400
    assert "its base is for linux/s390x" in refusal.text
