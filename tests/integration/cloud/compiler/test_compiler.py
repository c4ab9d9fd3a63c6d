"""The compiler with the real Debian archive, package index and scorer host."""

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import Image, ModelFiles, compile_module
from skerry_cloud.compiler.oci_layout import export_image, export_layout
from skerry_cloud.compiler.platforms import find_platform
from skerry_cloud.compiler.trees import unpack
from skerry_cloud.compiler.trial import How, try_module
from skerry_cloud.registry.referrers import store_referrers
from skerry_contract.errors import (
    ConflictError,
    ContractError,
    EnvironmentFileError,
    GoldenError,
    InitFailedError,
    NotFoundError,
    ScorerError,
)
from support.modules import (
    ELSEWHERE,
    HERE,
    SCORER,
    WEIGHTS,
    WITH_PACKAGE,
    Build,
    doubling,
    stored,
)

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PYTHON = Path(sys.executable)
LOOKS_AROUND = """
import ctypes, distutils.spawn, importlib, json, os, ssl, sys
import PIL.Image, six
def init():
    [extensions] = [path for path in sys.path if path.endswith("lib-dynload")]
    for name in os.listdir(extensions):
        importlib.import_module(name.split(".")[0])
    ctypes.CDLL("libstdc++.so.6")
    ctypes.CDLL("libgomp.so.1")
    assert len(ssl.create_default_context().get_ca_certs()) > 100
    for module in (json, PIL.Image, sys.modules["skerry_scorer"]):
        assert os.path.exists(module.__cached__), module
def run(data):
    return {"python": sys.version_info[:2]}
"""
ARMV7 = "linux/arm/v7"
SOLVES = {
    "score.py": """
import numpy, tflite_runtime.interpreter
def init():
    assert numpy.__version__ == "1.24.2"
def run(data):
    return {"x": numpy.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])}
""",
    "golden/any.txt": "",
    "golden.json": '[{"input": "golden/any.txt", "expect": {"x": [0.5, 0.25]}}]',
}
ON_ANOTHER_SERVER = """
import sys
from pathlib import Path
from support.modules import WITH_PACKAGE, doubling, stored
from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import compile_module
root, blobs = Path(sys.argv[1]), BlobStore(Path(sys.argv[1]) / "blobs")
request = doubling(blobs, files=stored(blobs, WITH_PACKAGE), environment="environment.txt")
print(compile_module(request, blobs, root / "caches", lambda line: None).digest)
"""
OFFLINE = """
import sys, time
from pathlib import Path
from support.modules import HERE
from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.base import base_layer
from skerry_cloud.compiler.layers import LayerShelf
from skerry_cloud.compiler.platforms import find_platform
from skerry_contract.errors import NetworkError
root, later = Path(sys.argv[1]), time.time() + 30 * 24 * 3600
shelf = LayerShelf(root / "caches/layers", BlobStore(root / "blobs"))
for folder in (root / "caches/base", root / "new"):
    try:
        print(base_layer(find_platform(HERE), shelf, folder, print, now=later).digest)
    except NetworkError as error:
        print(error.text)
"""


def document(blobs: BlobStore, digest: str) -> Any:
    return json.loads(blobs.read(digest, limit=100_000))


def unpacked(image: Image, blobs: BlobStore, target: Path) -> Path:
    for layer in image.layers:
        with blobs.open(layer.digest) as archive:
            unpack(archive, target, lambda name: name, mode="r|gz")
    return target


def in_another_process(script: str, folder: Path, *python: str, **variables: str) -> list[str]:
    """Return the lines that a script writes that is given ``folder``."""
    done = subprocess.run(
        [*python, "-c", script, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_module_is_compiled_tried_and_described_as_promised(
    build: Build, blobs: BlobStore, log: list[str]
) -> None:
    image = build()

    assert [layer.kind for layer in image.layers] == [
        "base",
        "scorer host",
        "models",
        "scorer code",
    ]
    assert "checking the golden set" in log
    manifest, config = document(blobs, image.digest), document(blobs, image.config)
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["digest"] == image.config
    assert [(part["digest"], part["size"]) for part in manifest["layers"]] == [
        (layer.digest, blobs.size(layer.digest)) for layer in image.layers
    ]
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in image.layers]
    assert config["config"]["Entrypoint"] == ["/usr/bin/python3.11", "-m", "skerry_scorer"]
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Labels"]["io.skerry.module"] == "doubler:1"
    assert "AZUREML_MODEL_DIR=/var/azureml-app/azureml-models/weights/3" in config["config"]["Env"]


def test_everything_lies_where_the_documents_say(
    build: Build, blobs: BlobStore, tmp_path: Path
) -> None:
    tree = unpacked(build(check_init=False), blobs, tmp_path)
    app = tree / "var/azureml-app"
    assert (app / "score.py").read_text() == SCORER["score.py"]
    assert (app / "golden/four.txt").is_file()
    assert (app / "azureml-models/weights/3/weights.txt").read_text() == WEIGHTS["weights.txt"]
    assert (tree / "opt/skerry/host/skerry_scorer/__main__.py").is_file()
    assert "skerry:x:65532:65532" in (tree / "etc/passwd").read_text()
    assert (tree / "lib").readlink() == Path("usr/lib")
    assert not [path for path in tree.rglob("*") if path.is_symlink() and not path.exists()]
    programs = sorted(path.name for path in (tree / "usr/bin").iterdir())
    assert programs == ["python", "python3", "python3.11"]


def test_two_servers_make_the_same_digest(build: Build, blobs: BlobStore, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(PYTHON.resolve())
    path = f"{PYTHON.parent}:{os.environ['PATH']}"
    [digest] = in_another_process(
        ON_ANOTHER_SERVER, tmp_path, str(python), PYTHONHASHSEED="1", PATH=path
    )
    files = stored(blobs, WITH_PACKAGE)
    assert digest == build(files=files, environment="environment.txt").digest


def test_a_changed_script_is_one_small_new_layer(build: Build, blobs: BlobStore) -> None:
    first = build(check_init=False)
    files = stored(blobs, {**SCORER, "score.py": SCORER["score.py"] + "# changed\n"})
    second = build(version=2, files=files, check_init=False)
    assert [layer.reused for layer in second.layers] == [True, True, True, False]
    assert second.layers[:-1] == tuple(replace(old, reused=True) for old in first.layers[:-1])
    assert second.layers[-1].size < 1000


def test_another_platform_is_compiled_without_running_anything_of_it(
    build: Build, blobs: BlobStore, tmp_path: Path
) -> None:
    platform, machine = ELSEWHERE, {"linux/arm64": 183, "linux/amd64": 62}[ELSEWHERE]
    files = stored(blobs, {**SCORER, "environment.txt": "pillow==11.0.0"})
    image = build(platform=platform, files=files, environment="environment.txt", check_init=False)
    assert document(blobs, image.config)["architecture"] == find_platform(platform).architecture
    tree = unpacked(image, blobs, tmp_path)
    binaries = [
        tree / "usr/bin/python3.11",
        tree / find_platform(platform).loader,
        *(tree / "opt/skerry/env/PIL").glob("*.so"),
    ]
    assert len(binaries) > 3
    for binary in binaries:
        header = binary.read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == machine, binary


def test_armv7_takes_its_wheels_from_the_index_and_numpy_from_debian(
    build: Build, blobs: BlobStore, log: list[str]
) -> None:
    files = {**SOLVES, "environment.txt": "tflite-runtime==2.14.0\nnumpy>=1.23\n"}
    image = build(platform=ARMV7, files=stored(blobs, files), environment="environment.txt")
    assert "trying init() under qemu-arm-static" in log
    assert "checking the golden set" in log
    assert not [line for line in log if line.startswith("not checked")]
    assert image.checked == "yes"
    config = document(blobs, image.config)
    assert (config["architecture"], config["variant"]) == ("arm", "v7")
    assert [layer.kind for layer in image.layers][:2] == ["base", "environment"]


def test_what_goes_wrong_under_an_emulator_is_told_as_elsewhere(
    build: Build, blobs: BlobStore
) -> None:
    golden = '[{"input": "golden/four.txt", "expect": {"length": 9}}]'
    with pytest.raises(GoldenError, match=r"golden/four\.txt"):
        build(platform=ELSEWHERE, files=stored(blobs, {**SCORER, "golden.json": golden}))
    files = stored(blobs, {"score.py": "def init():\n    open('none')\ndef run(d): 1\n"})
    with pytest.raises(InitFailedError, match="none") as caught:
        build(platform=ELSEWHERE, files=files)
    assert "line 2, in init" in caught.value.detail


def test_a_crash_under_an_emulator_may_be_its_own_and_refuses_nothing(
    build: Build, blobs: BlobStore, log: list[str]
) -> None:
    script = "import os\ndef init():\n    os.abort()\ndef run(d): 1\n"
    image = build(platform=ELSEWHERE, files=stored(blobs, {"score.py": script}))
    assert image.checked == "emulator-failed"
    [told] = [line for line in log if line.startswith("not checked: ")]
    assert "ended with status" in told
    assert find_platform(ELSEWHERE).emulator in told


def test_what_this_machine_cannot_run_is_told_and_kept(
    build: Build, log: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build(platform=ELSEWHERE, check_init=False)  # what the next one reuses needs no programs
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build(platform=ELSEWHERE).checked == "no-emulator"
    assert [line for line in log if line.startswith("init() was not tried: ")]


@pytest.mark.parametrize("sandboxed", [True, False], ids=["bubblewrap", "plain child"])
def test_the_image_has_a_whole_python_with_its_environment(
    build: Build, root: Path, blobs: BlobStore, *, sandboxed: bool
) -> None:
    scorer = {
        "score.py": LOOKS_AROUND,
        "golden/any.txt": "",
        "golden.json": '[{"input": "golden/any.txt", "expect": {"python": [3, 11]}}]',
        "environment.yml": "dependencies:\n- python=3.11\n- pip: [pillow==11.0.0, six==1.17.0]\n",
    }
    files = stored(blobs, scorer)
    image = build(files=files, environment="environment.yml", check_init=False)
    request = doubling(blobs, files=files, environment="environment.yml")
    try_module(request, image, blobs, root / "caches/trees", lambda _: None, how=How(sandboxed))


@pytest.mark.parametrize("sandboxed", [True, False], ids=["bubblewrap", "plain child"])
def test_an_init_that_raises_shows_its_own_traceback(
    build: Build, root: Path, blobs: BlobStore, *, sandboxed: bool
) -> None:
    files = stored(
        blobs, {"score.py": "def init():\n    open('labels.txt')\ndef run(data):\n    pass\n"}
    )
    image = build(files=files, check_init=False)
    request = doubling(blobs, files=files)
    with pytest.raises(InitFailedError, match=r"doubler:1: .*labels\.txt") as caught:
        try_module(request, image, blobs, root / "caches/trees", print, how=How(sandboxed))
    assert 'File "/var/azureml-app/score.py", line 2, in init' in caught.value.detail
    assert str(root) not in caught.value.detail


def test_another_golden_answer_is_refused_with_its_case(build: Build, blobs: BlobStore) -> None:
    golden = '[{"input": "golden/four.txt", "expect": {"length": 9}}]'
    with pytest.raises(GoldenError, match=r"golden/four\.txt.*9") as caught:
        build(files=stored(blobs, {**SCORER, "golden.json": golden}))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "platform", "said"),
    [
        ("no-such-package-of-skerry==1\n", HERE, "has no package no-such-package-of-skerry"),
        ("tflite-runtime==1.0\n", "linux/arm64", r"in these versions: 2\.14\.0;"),
        ("ai-edge-litert\n", ARMV7, r"no wheel for Python 3\.11 on linux/arm/v7.*aarch64"),
        ("numpy==1.26.4\n", ARMV7, r"the base brings numpy 1\.24\.2"),
        ("six==1.17.0\nsix==1.16.0\n", HERE, "six"),
    ],
)
def test_an_environment_that_cannot_be_had_is_named_with_its_platform(
    build: Build, blobs: BlobStore, text: str, platform: str, said: str
) -> None:
    files = stored(blobs, {**SCORER, "environment.txt": text})
    with pytest.raises(EnvironmentFileError, match=said) as caught:
        build(files=files, platform=platform, environment="environment.txt")
    assert platform in caught.value.text
    assert "error:" not in caught.value.text


def test_hashes_of_the_file_hold_whatever_the_index_says(build: Build, blobs: BlobStore) -> None:
    wrong = f"six==1.17.0 --hash=sha256:{64 * '0'}\n"
    files = stored(blobs, {**SCORER, "environment.txt": wrong})
    with pytest.raises(EnvironmentFileError, match="Hash mismatch") as caught:
        build(files=files, environment="environment.txt")
    assert "do not take it" in caught.value.remedy


def test_a_lock_given_back_makes_the_same_layer(
    build: Build, blobs: BlobStore, tmp_path: Path
) -> None:
    image = build(files=stored(blobs, WITH_PACKAGE), environment="environment.txt")
    lock = (unpacked(image, blobs, tmp_path) / "opt/skerry/env/environment.lock").read_text()
    again = build(
        files=stored(blobs, {**SCORER, "environment.txt": lock}), environment="environment.txt"
    )
    assert again.layers[1] == replace(image.layers[1], reused=True)


def test_what_cannot_be_compiled_is_refused_before_anything_is_made(
    build: Build, blobs: BlobStore, root: Path
) -> None:
    missing = stored(BlobStore(root / "elsewhere"), {"a.bin": "never uploaded"})
    short = tuple(type(f)(f.path, f.digest, f.size + 1) for f in stored(blobs, WEIGHTS))
    cases: list[tuple[type[Exception], dict[str, Any]]] = [
        (ScorerError, {"entry_script": "main.py"}),
        (EnvironmentFileError, {"environment": "environment.txt"}),
        (EnvironmentFileError, {"platform": "linux/riscv64"}),
        (NotFoundError, {"models": (ModelFiles("gone", 1, missing),)}),
        (ContractError, {"models": (ModelFiles("short", 1, short),)}),
    ]
    for error, changes in cases:
        with pytest.raises(error):
            build(**changes)


def test_two_builds_do_not_share_their_caches_at_once(
    build: Build, root: Path, blobs: BlobStore
) -> None:
    refused = []

    def build_another(line: str) -> None:
        if line.startswith("trying"):
            with pytest.raises(ConflictError) as caught:
                build()
            refused.append(caught.value.text)

    compile_module(doubling(blobs), blobs, root / "caches", build_another)
    assert len(refused) == 1


def test_without_network_what_was_made_before_is_made_again_and_the_rest_is_told(
    build: Build, root: Path, blobs: BlobStore
) -> None:
    files = stored(blobs, WITH_PACKAGE)
    image = build(files=files, environment="environment.txt")
    apart = ("unshare", "--user", "--map-root-user", "--net", str(PYTHON))
    assert in_another_process(ON_ANOTHER_SERVER, root, *apart) == [image.digest]
    said = in_another_process(OFFLINE, root, *apart)
    assert said[-1] == f"the lists of the Debian archive for {HERE} could not be fetched"
    assert image.layers[0].digest in said


def test_outside_tools_read_the_image(build: Build, blobs: BlobStore, tmp_path: Path) -> None:
    image = build(check_init=False)
    reference = doubling(blobs).reference
    export_image(image, reference, blobs, tmp_path / "image.tar")
    export_layout(image, reference, blobs, tmp_path / "layout")

    def skopeo(*arguments: str) -> str:
        policy = tmp_path / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        command = ["skopeo", "--policy", str(policy), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    seen = json.loads(skopeo("inspect", f"oci:{tmp_path}/layout:1"))
    assert seen["Digest"] == image.digest
    assert seen["Layers"] == [layer.digest for layer in image.layers]
    assert seen["Labels"]["io.skerry.module"] == "doubler:1"
    # Copying reads every byte and checks each digest and diff id against it.
    skopeo("copy", f"oci-archive:{tmp_path}/image.tar:1", f"dir:{tmp_path}/copied")
    skopeo("copy", f"docker-archive:{tmp_path}/image.tar", f"dir:{tmp_path}/loaded")
    with tarfile.open(tmp_path / "image.tar") as tar:
        assert "manifest.json" in tar.getnames()


def test_an_image_says_what_is_in_it(build: Build, blobs: BlobStore) -> None:
    files = stored(blobs, WITH_PACKAGE)
    first = build(files=files, environment="environment.txt", check_init=False)
    named = document(blobs, first.digest)["annotations"]
    written = blobs.read(named["io.skerry.sbom"], limit=10_000_000).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    packages = {one["name"]: one for one in json.loads(written)["components"]}
    assert packages["libc6"]["purl"].startswith("pkg:deb/debian/libc6@2.36")
    assert packages["zlib1g"]["licenses"] == [{"license": {"name": "Zlib"}}]
    assert packages["tqdm"]["purl"] == "pkg:pypi/tqdm@4.67.1"
    assert len(packages["tqdm"]["hashes"]) > 1
    lock = blobs.read(named["io.skerry.lock"], limit=100_000).decode()
    assert lock.startswith("tqdm==4.67.1")
    labels = document(blobs, first.config)["config"]["Labels"]
    assert labels["io.skerry.models"] == "weights:3"
    reports = {one.artifact_type: one for one in store_referrers(first.digest, blobs)}
    said = document(blobs, reports["application/vnd.in-toto+json"].blob.digest)
    statement = document(blobs, said["layers"][0]["digest"])
    assert statement["subject"][0]["digest"]["sha256"] == first.digest.removeprefix("sha256:")


def test_what_a_killed_build_left_is_cleared_by_the_next(build: Build, root: Path) -> None:
    for folder in ("scratch-1", "base/scratch-2", "environments/scratch-3"):
        (root / "caches" / folder / "half").mkdir(parents=True)
    build()
    assert not list((root / "caches").rglob("scratch-*"))
