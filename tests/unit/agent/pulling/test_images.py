"""Reading images: right ones, and each way to be wrong."""

import json
from typing import Any

import pytest

from skerry_agent.pulling import images
from skerry_agent.pulling.images import Image, Parts
from skerry_contract.errors import ContractError
from skerry_contract.names import Digest, Reference
from support.images import PLATFORM, OciImage, oci_image

MADE = oci_image(
    [b"one" * 100, b"two" * 100],
    command=("/bin/serve", "-v"),
    config={
        "Cmd": ["now"],
        "Env": ["A=1", "B=x=y", "EMPTY="],
        "WorkingDir": "/app",
        "Labels": {"io.skerry.module": "cam:1"},
    },
)


def changed(data: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(data), **fields}).encode()


def parts_of(made: OciImage) -> Parts:
    return images.read_manifest("cam:1", made.blobs[made.digest])


def read(made: OciImage, config: bytes | None = None, platform: str = PLATFORM) -> Image:
    parts = parts_of(made)
    data = made.blobs[parts.config.digest] if config is None else config
    return images.read_image("cam:1", made.digest, parts, data, platform=platform)


def test_an_image_says_what_it_is_made_of_and_what_it_runs() -> None:
    image = read(MADE)
    assert image.reference == Reference("cam", 1)
    assert image.command == ("/bin/serve", "-v", "now")
    assert image.env == {"A": "1", "B": "x=y", "EMPTY": ""}
    assert (image.cwd, image.user) == ("/app", "65532:65532")
    assert image.labels == {"io.skerry.module": "cam:1"}
    assert image.blobs == frozenset(MADE.blobs)
    assert [layer.digest for layer in image.parts.layers] == MADE.layers
    assert all(layer.gzip for layer in image.parts.layers)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("1000:2000", "1000:2000"),
        ("1000", "1000:1000"),
        ("", images.NOBODY),
        ("0", images.NOBODY),
        ("0:0", images.NOBODY),
        ("1000:0", images.NOBODY),
        ("root", images.NOBODY),
        ("-5", images.NOBODY),
        ("99999999999", images.NOBODY),
    ],
)
def test_nobody_runs_as_root(user: str, expected: str) -> None:
    assert read(oci_image([b"x"], config={"User": user})).user == expected


def test_another_platform_is_refused_by_name() -> None:
    with pytest.raises(ContractError, match=r"linux/riscv64.*linux/|linux/.*linux/riscv64"):
        read(MADE, platform="linux/riscv64")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"schemaVersion": 1}, "schemaVersion", id="old manifest"),
        pytest.param({"layers": []}, "layers", id="no layers"),
        pytest.param({"config": None}, "config", id="no config"),
        pytest.param(
            {"layers": [{"mediaType": "application/x", "digest": MADE.digest, "size": 1}]},
            r"layers\[0\].mediaType",
            id="unknown layer",
        ),
        pytest.param(
            {"layers": [{"mediaType": "x", "digest": "sha256:../../x", "size": 1}]},
            r"layers\[0\].digest",
            id="no digest",
        ),
        pytest.param(
            {"layers": [{"mediaType": "x", "digest": MADE.digest, "size": -1}]},
            r"layers\[0\].size",
            id="negative size",
        ),
    ],
)
def test_a_wrong_manifest_is_refused_and_the_field_is_named(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        images.read_manifest("cam:1", changed(MADE.blobs[MADE.digest], **fields))


def test_a_manifest_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(ContractError, match="at most"):
        images.read_manifest("cam:1", b" " * (images.MAX_MANIFEST_BYTES + 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"rootfs": {"diff_ids": [MADE.digest]}}, "diff_ids", id="too few layers"),
        pytest.param({"config": {}}, "nothing to run", id="nothing to run"),
        pytest.param({"architecture": 5}, "architecture", id="wrong type"),
    ],
)
def test_a_wrong_config_is_refused(fields: dict[str, Any], message: str) -> None:
    data = MADE.blobs[Digest(parts_of(MADE).config.digest)]
    with pytest.raises(ContractError, match=message):
        read(MADE, changed(data, **fields))
