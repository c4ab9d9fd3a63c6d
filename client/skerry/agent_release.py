"""A release of the agent as images: the code that flashing copies, one layer, for each platform.

The layer is the same for all of them, for the agent is Python alone. Source: OCI image-spec 1.1.
"""

import gzip
import json
from pathlib import Path

from skerry.files import LocalFile
from skerry.flash import archive, parts
from skerry.images.documents import GZIP_TYPE, MANIFEST_TYPE, digest_of
from skerry.images.incoming import Incoming
from skerry_contract import __version__
from skerry_contract.desired import AGENT_LABEL

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def make(scratch: Path) -> list[Incoming]:
    """Return the images of the agent that is installed here; their files are left in ``scratch``.

    Raises:
        NotFoundError: A package of the agent is not installed here.
        SkerryError: One of them holds compiled code.
    """
    parts.copy_packages(scratch / "lib")
    tar = archive.packed(scratch / "lib")
    layer = _file(scratch / "layer.tar.gz", gzip.compress(tar, mtime=0))
    diff_id = digest_of(tar)
    return [_image(scratch, platform, layer, diff_id) for platform in PLATFORMS]


def _image(scratch: Path, platform: str, layer: LocalFile, diff_id: str) -> Incoming:
    parted = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    start = {
        "Entrypoint": ["python3", "-m", "skerry_agent"],
        "Labels": {AGENT_LABEL: __version__},
    }
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    written = _json({**parted, "config": start, "rootfs": rootfs})
    config = _file(scratch / f"{platform.replace('/', '-')}.json", written)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(_CONFIG_TYPE, config),
        "layers": [_descriptor(GZIP_TYPE, layer)],
    }
    return Incoming(_json(manifest), (config, layer), platform)


def _descriptor(media_type: str, file: LocalFile) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": file.digest, "size": file.size}


def _file(path: Path, data: bytes) -> LocalFile:
    path.write_bytes(data)
    return LocalFile(path.name, path, len(data), digest_of(data))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
