"""Small OCI images made of bytes in memory, for tests of what pulls, unpacks and runs them."""

import gzip
import hashlib
import io
import json
import platform
import random
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from skerry_agent.pulling import images
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_contract.names import Digest
from support.programs import need

PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
PYTHON = "/usr/bin/python3.11"
PROGRAM = Path(__file__).with_name("module_program.py")
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_UNUSED = ("test", "idlelib", "lib2to3", "pydoc_data", "tkinter", "config-3.11", "__pycache__")


@dataclass(frozen=True)
class Entry:
    """One entry of a layer; a file unless ``kind`` says otherwise."""

    name: str
    data: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o755


@dataclass
class OciImage:
    """An image and all its blobs."""

    reference: str
    digest: Digest
    blobs: dict[Digest, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.blobs[self.digest])

    @property
    def layers(self) -> list[Digest]:
        return [Digest(one["digest"]) for one in json.loads(self.blobs[self.digest])["layers"]]

    def put(self, store: BlobStore) -> Image:
        """Put every blob into a store and read the image from it."""
        for digest, data in self.blobs.items():
            with store.begin(digest, len(data)) as partial:
                if not store.has(digest):
                    partial.write(data)
                    partial.commit()
        parts = images.read_manifest(self.reference, self.blobs[self.digest])
        config = self.blobs[parts.config.digest]
        return images.read_image(self.reference, self.digest, parts, config, platform=PLATFORM)


def digest_of(data: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def noise(size: int, *, seed: int) -> bytes:
    """Return bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - repeatable, and no secret


def tar_of(entries: Sequence[Entry]) -> bytes:
    """Return an uncompressed layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode = entry.kind, entry.link, entry.mode
            info.size = len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def oci_image(
    layers: Sequence[bytes],
    *,
    command: Sequence[str] = (PYTHON,),
    reference: str = "cam:1",
    config: Mapping[str, Any] | None = None,
) -> OciImage:
    """Return an image of uncompressed ``layers``, lowest first."""
    os_name, architecture = PLATFORM.split("/")
    blobs = [gzip.compress(layer, 1, mtime=0) for layer in layers]
    about = {
        "architecture": architecture,
        "os": os_name,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "config": {"Entrypoint": list(command), "User": "65532:65532", **(config or {})},
    }
    described = json.dumps(about).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": images.MANIFEST_TYPE,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", described),
            "layers": [_descriptor(_LAYER, blob) for blob in blobs],
        }
    ).encode()
    every = {digest_of(data): data for data in (manifest, described, *blobs)}
    return OciImage(reference, digest_of(manifest), every)


def python_image(version: int = 1, *, variables: Sequence[str] = ()) -> OciImage:
    """Return an image that runs ``module_program.py`` with this machine's Python 3.11."""
    program = tar_of(
        [Entry("app/program.py", PROGRAM.read_bytes()), Entry("app/version", b"%d" % version)]
    )
    return oci_image(
        [_python_root(), program],
        command=(PYTHON, "-m", "program"),
        reference=f"cam:{version}",
        config={
            "WorkingDir": "/app",
            "Env": ["PATH=/usr/bin", "PYTHONPATH=/app", "PYTHONUNBUFFERED=1", *variables],
        },
    )


@cache
def _python_root() -> bytes:
    """Return a layer with Python, its library and what it is linked to."""
    python = Path(need("python3.11", "python3.11")) if not Path(PYTHON).exists() else Path(PYTHON)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for link in ("lib", "lib64"):
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, f"usr/{link}"
            tar.addfile(info)
        tar.add(python.resolve(), PYTHON[1:])
        extension = next(Path("/usr/lib/python3.11/lib-dynload").glob("_ctypes.*.so"))
        for path in dict.fromkeys((*_linked(python), *_linked(extension))):
            tar.add(path.resolve(), f"usr{path}" if not str(path).startswith("/usr") else path)
        tar.add("/usr/lib/python3.11", "usr/lib/python3.11", filter=_used)
    return out.getvalue()


def _linked(program: Path) -> list[Path]:
    listed = subprocess.run(
        [need("ldd", "libc-bin"), program], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    words = [word for line in listed.splitlines() for word in line.split()]
    return [Path(word) for word in words if word.startswith("/")]


def _used(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    unused = any(part.startswith(_UNUSED) for part in info.name.split("/"))
    return None if unused or info.issym() else info


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
