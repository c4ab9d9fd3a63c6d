"""Manifests as people write them, and where the wrong field is said to be."""

import json

import pytest

from skerry_cloud.deployments.manifest_file import MAX_BYTES, read
from skerry_contract.errors import ManifestError
from skerry_contract.manifest import FolderInput

GOOD = """\
name: faces
target:
  devices: [porch-camera, hall-camera]
modules:
  detector:
    image: face-detector:3
    env:
      LEVEL: "5"
    inputs:
      frames: {folder: frames, pattern: "*.png"}
"""


def test_yaml_and_json_mean_the_same() -> None:
    manifest = read(GOOD.encode())
    assert manifest.modules["detector"].inputs["frames"] == FolderInput("frames", "*.png")
    as_json = {
        "name": "faces",
        "target": {"devices": ["porch-camera", "hall-camera"]},
        "modules": {
            "detector": {
                "image": "face-detector:3",
                "env": {"LEVEL": "5"},
                "inputs": {"frames": {"folder": "frames", "pattern": "*.png"}},
            }
        },
    }
    assert read(json.dumps(as_json, indent=2).encode()) == manifest


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("name: faces", "name: Faces!", "line 1, column 1: name: expected a name",
                     id="a wrong value"),
        pytest.param("    env:", "    evn:", "line 7, column 5: modules.detector.evn: unknown "
                     "field; did you mean 'env'", id="a typing error"),
        pytest.param('"5"', "5", "line 8, column 7: modules.detector.env.LEVEL: expected text, "
                     "got 5", id="a number that should be text"),
        pytest.param("hall-camera", "h", r"line 3, column 27: target.devices\[1\]: "
                     "expected an id", id="an item of a list"),
        pytest.param("    image: face-detector:3\n", "", "line 5, column 3: modules.detector."
                     "image: is missing", id="a missing field, at what should hold it"),
        pytest.param("target:", "name: again\ntarget:", "line 2, column 1: name: stands twice",
                     id="a key twice"),
        pytest.param("  detector:", "  event:",
                     "line 5, column 3: modules.event: expected a name .*event",
                     id="a reserved name"),
        pytest.param("{folder", "{folder: [", r"line \d+, column \d+: not YAML", id="not YAML"),
        pytest.param("name: faces", "name: &a faces", "line 1, column 7: anchors", id="an anchor"),
        pytest.param("name: faces", "name: !!python/name:os.system x", "line 1, column 7: name: a "
                     "tag", id="a tag"),
        pytest.param("[porch", "[" * 40 + "porch", "nested deeper", id="too deep"),
    ],
)  # fmt: skip
def test_a_wrong_manifest_is_refused_with_line_and_column(old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ManifestError, match=says):
        read(GOOD.replace(old, new, 1).encode())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "is empty", id="nothing"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="bytes"),
        pytest.param(b"x" * (MAX_BYTES + 1), "at most", id="too large"),
        pytest.param(b"- a\n- b\n", "expected an object", id="a list"),
        pytest.param(b"[a]: 2\n", "expected a name", id="a key that is no text"),
        pytest.param(b"[" * 100_000, "nested deeper", id="a hundred thousand brackets"),
    ],
)
def test_what_is_no_manifest_at_all_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        read(data)
