"""Bill of materials and provenance, judged by the official schema."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import BuildRequest, FileEntry, Layer, ModelFiles
from skerry_cloud.compiler.inventory import Inventory, Package
from skerry_cloud.compiler.provenance import predicate_of, statement_of
from skerry_cloud.compiler.request import files_digest
from skerry_cloud.compiler.sbom import purl, sbom_of
from skerry_cloud.registry.referrers import referrers_of
from skerry_contract.names import Digest

DIGEST = Digest("sha256:" + "a" * 64)
FILE = FileEntry("score.py", DIGEST, 7)
MODEL = ModelFiles("face", 2, (FILE,), "tflite", "2.14")
REQUEST = BuildRequest(
    name="detector",
    version=3,
    platform="linux/arm64",
    models=(MODEL,),
    files=(FILE,),
    entry_script="score.py",
)
LAYERS = (Layer("base", "Debian", DIGEST, 10, DIGEST, reused=False),)
FOUND = Inventory(
    (
        Package("deb", "libstdc++6", "12.2.0-14+deb12u1", "arm64", depends=("zlib1g", "gone")),
        Package("deb", "zlib1g", "1:1.2.13", "arm64", ("Zlib", "A & B")),
        Package("pypi", "six", "1.17.0", licences=("MIT",), spdx=True, hashes=("b" * 64, "c" * 64)),
    ),
    "six==1.17.0\n",
    "debian-12",
)


def component(bom: Any, name: str) -> Any:
    [found] = [one for one in bom["components"] if one["name"] == name]
    return found


def test_the_bill_of_materials_is_one_by_the_official_schema() -> None:
    written = json.dumps(sbom_of(REQUEST, LAYERS, FOUND))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    broken = written.replace('"machine-learning-model"', '"model"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_it_names_models_packages_hashes_and_what_needs_what() -> None:
    bom = sbom_of(REQUEST, LAYERS, FOUND)
    model = component(bom, "face")
    assert (model["type"], model["version"]) == ("machine-learning-model", "2")
    assert {"name": "skerry:framework", "value": "tflite 2.14"} in model["properties"]
    assert model["hashes"][0]["content"] == files_digest(MODEL.files).removeprefix("sha256:")
    assert component(bom, "six")["licenses"] == [{"expression": "MIT"}]
    assert [one["content"] for one in component(bom, "six")["hashes"]] == ["b" * 64, "c" * 64]
    needs = {one["ref"]: one["dependsOn"] for one in bom["dependencies"]}
    assert needs["deb:libstdc++6@12.2.0-14+deb12u1"] == ["deb:zlib1g@1:1.2.13"]
    assert "pypi:six@1.17.0" in needs["module:detector:3"]


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        (FOUND.packages[0], "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=arm64"),
        (FOUND.packages[1], "pkg:deb/debian/zlib1g@1%3A1.2.13?arch=arm64"),
        (FOUND.packages[2], "pkg:pypi/six@1.17.0"),
    ],
)
def test_package_urls(package: Package, expected: str) -> None:
    distro = "&distro=debian-12" if package.kind == "deb" else ""
    assert purl(package, "debian-12") == expected + distro


def test_the_same_image_has_the_same_bill_and_another_one_another_number() -> None:
    bom = sbom_of(REQUEST, LAYERS, FOUND)
    assert bom == sbom_of(REQUEST, LAYERS, FOUND)
    assert "timestamp" not in bom["metadata"]
    other = sbom_of(REQUEST, LAYERS, Inventory(FOUND.packages[:2]))
    assert bom["serialNumber"] != other["serialNumber"]


def test_provenance_names_what_went_in_and_of_which_image_it_speaks() -> None:
    predicate = predicate_of(REQUEST, LAYERS, "sha256:" + "d" * 64)
    said = statement_of("sha256:" + "e" * 64, "detector:3", predicate)
    assert said["subject"] == [{"name": "detector:3", "digest": {"sha256": "e" * 64}}]
    materials = {
        one["name"]: one["digest"] for one in predicate["buildDefinition"]["resolvedDependencies"]
    }
    assert materials.keys() == {"model:face:2", "scorer folder", "environment.lock", "Debian"}
    assert materials["environment.lock"] == {"sha256": "d" * 64}
    assert predicate["runDetails"]["builder"]["version"]["skerry"]


def test_a_digest_of_files_does_not_depend_on_their_order() -> None:
    other = FileEntry("a.txt", DIGEST, 1)
    assert files_digest((FILE, other)) == files_digest((other, FILE))
    assert files_digest((FILE,)) != files_digest((other,))


def test_an_image_from_elsewhere_has_the_reports_that_came_with_it(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    lock = blobs.put(b"six==1.17.0\n")
    named = {"io.skerry.lock": lock.digest, "io.skerry.sbom": "sha256:" + "0" * 64}
    image = blobs.put(json.dumps({"annotations": named}).encode())
    [only] = referrers_of(image.digest, blobs)
    assert only.artifact_type == "application/vnd.skerry.lock.v1+txt"
    bare = blobs.put(b"{}")
    assert list(referrers_of(bare.digest, blobs)) == []
