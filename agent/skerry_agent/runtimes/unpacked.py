"""Unpacked images on the disk: one folder per digest, there as a whole or not at all."""

import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from skerry_agent import durable
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_contract.errors import (
    ContractError,
    DigestError,
    NoSpaceError,
    NotFoundError,
    RuntimeFailedError,
    SkerryError,
)
from skerry_contract.names import Digest

MAX_GROWTH = 30
"""An image may be so many times larger unpacked than compressed; text compresses about 10 times."""
_MIN_LIMIT_BYTES = 256 * 1024 * 1024
_MIN_RATE_BYTES_S = 512 * 1024
_MIN_DEADLINE_S = 120.0
_UNFINISHED = ".new-"
_RUBBISH = ".old-"
_KINDS = (ContractError, DigestError, NoSpaceError)


class UnpackedImages:
    """Folders ``<hex of the digest>`` below ``root``, each the root of one image.

    Args:
        root: Folder of the images; made if it is missing.
        folders: Folders that each image is given, if it does not have them.
        files: Empty files that each image is given, if it does not have them.
    """

    def __init__(self, root: Path, *, folders: tuple[str, ...], files: tuple[str, ...]) -> None:
        self._root = root
        self._given = {"folders": folders, "files": files}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in root.iterdir():
            if folder.name.startswith((_UNFINISHED, _RUBBISH)):
                shutil.rmtree(folder)

    def digests(self) -> frozenset[Digest]:
        """Return the digests of all images that are here."""
        names = (folder.name for folder in self._root.iterdir())
        return frozenset(Digest(f"sha256:{name}") for name in names if not name.startswith("."))

    def rootfs(self, image: Image) -> Path:
        """Return the root of an image.

        Raises:
            RuntimeFailedError: It is not here.
        """
        folder = self._folder(image.digest)
        if not folder.is_dir():
            raise RuntimeFailedError(f"{image.reference} ({image.digest}) is not unpacked here")
        return folder

    def add(self, image: Image, store: BlobStore) -> None:
        """Unpack an image from verified blobs.

        Raises:
            SkerryError: See ``Runtime.prepare``; nothing is left behind.
        """
        final = self._folder(image.digest)
        if final.is_dir():
            for name in self._given["folders"]:  # an earlier agent may have given it fewer
                (final / name).mkdir(exist_ok=True)
            _open_scratch(final)
            return
        new = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._root))
        try:
            new.chmod(0o755)
            _unpack(image, store, new, self._given)
            _open_scratch(new)
            durable.move(new, final)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def discard(self, digest: Digest) -> None:
        """Remove an image; one that is not here is no error."""
        folder = self._folder(digest)
        if folder.is_dir():
            old = folder.with_name(_RUBBISH + folder.name)
            durable.move(folder, old)
            shutil.rmtree(old)

    def _folder(self, digest: Digest) -> Path:
        return self._root / digest.removeprefix("sha256:")


def _open_scratch(rootfs: Path) -> None:
    """Let everybody write to what is mounted on ``/tmp``: runc gives it the mode of the folder."""
    scratch = rootfs / "tmp"
    if scratch.is_dir() and not scratch.is_symlink():
        scratch.chmod(0o1777)


def _unpack(
    image: Image, store: BlobStore, target: Path, given: Mapping[str, tuple[str, ...]]
) -> None:
    layers = [
        {"path": str(store.path(layer.digest)), "digest": layer.digest, "gzip": layer.gzip}
        for layer in image.parts.layers
    ]
    compressed = sum(layer.size for layer in image.parts.layers)
    job = {
        "target": str(target),
        "layers": layers,
        "max_bytes": max(_MIN_LIMIT_BYTES, MAX_GROWTH * compressed),
        **given,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "skerry_agent.unpack"],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=False,
            timeout=max(_MIN_DEADLINE_S, compressed / _MIN_RATE_BYTES_S),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeFailedError(f"{image.reference} could not be unpacked: {error}") from error
    if done.returncode:
        raise _failure(image, store, done)


def _forget_rotten(image: Image, store: BlobStore) -> None:
    """Read every layer once more: the store forgets those that are not right."""
    for layer in image.parts.layers:
        with suppress(DigestError, NotFoundError):
            collections.deque(store.chunks(layer.digest), maxlen=0)


def _failure(
    image: Image, store: BlobStore, done: "subprocess.CompletedProcess[bytes]"
) -> SkerryError:
    """Return the error that the unpacking process told, and forget blobs that have rotted."""
    try:
        told = json.loads(done.stdout)
        code, text = str(told["code"]), str(told["text"])
    except (ValueError, KeyError, TypeError):
        return RuntimeFailedError(
            f"{image.reference} could not be unpacked: status {done.returncode}",
            detail=done.stderr.decode(errors="replace")[-4000:],
        )
    if code == DigestError.code:
        _forget_rotten(image, store)
    kind = next((kind for kind in _KINDS if kind.code == code), RuntimeFailedError)
    return kind(f"{image.reference} cannot be unpacked: {text}")
