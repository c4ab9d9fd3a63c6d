"""Deltas between layers: made once, when a device first asks, and kept as long as there is room.

One is made at a time, in a process of its own and with low priority. Whoever asks meanwhile is told
to come back, and takes the whole layer if that takes too long. Nothing here is of value: the folder
may be deleted at any time, and a server that is killed makes it anew.
"""

import hashlib
import json
import logging
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from skerry_cloud.blobs import BlobStore
from skerry_cloud.durable import write_durably
from skerry_cloud.registry.modules import Layer
from skerry_contract import shape
from skerry_contract.errors import ContractError, NotFoundError, SkerryError

log = logging.getLogger(__name__)

LEAST_LAYER_BYTES = 16 * 1024
"""A smaller layer comes whole."""
MOST_PLAIN_BYTES = 1024 * 1024 * 1024
"""Largest layer, uncompressed, that a delta is made for or from."""
WORTH = 0.8
"""A delta has at most this share of the layer's own bytes, or it is not kept."""
AGAIN_S = 2
"""Seconds after which who asked may ask again."""
_MOST_WAITING = 64
_MAKE_S = 900.0
_PIECE_BYTES = 256 * 1024
_MAX_NOTE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Offer:
    """A delta.

    Attributes:
        base: Digest of the layer that it starts from.
        digest: Its own content address.
        size: Its length in bytes.
        base_size: Bytes of the layer that it starts from, uncompressed.
        plain_size: Bytes of the layer that it makes, uncompressed.
    """

    base: str
    digest: str
    size: int
    base_size: int
    plain_size: int


@dataclass(frozen=True, slots=True)
class Making:
    """A delta that is being made, or waits for that."""


@dataclass(frozen=True, slots=True)
class _Note:
    """What is remembered of a pair of layers; no offer if it was not worth it."""

    offer: Offer | None = None


class Deltas:
    """All deltas of a server.

    Args:
        folder: Where they are kept.
        blobs: Where the layers are.
        cap_bytes: Bytes that deltas may take together.
    """

    def __init__(self, folder: Path, blobs: BlobStore, *, cap_bytes: int) -> None:
        self.kept = BlobStore(folder / "kept")
        self._notes = folder / "notes"
        self._work = folder / "work"
        shutil.rmtree(self._work, ignore_errors=True)
        for one in (self._notes, self._work):
            one.mkdir(parents=True, exist_ok=True)
        self._blobs = blobs
        self._cap_bytes = cap_bytes
        self._waiting: queue.Queue[tuple[Layer, Layer] | None] = queue.Queue(_MOST_WAITING)
        self._pending: set[Path] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="skerry-deltas", daemon=True)

    def start(self) -> None:
        """Begin to make what is asked for."""
        self._thread.start()

    def stop(self, *, within_s: float) -> None:
        """End; what is being made is given up."""
        self._stopping.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def find(self, want: Layer, base: Layer) -> Offer | Making | None:
        """Return the delta that makes ``want`` from ``base``; None if it must come whole."""
        if want.size < LEAST_LAYER_BYTES:
            return None
        note = self._note(want, base)
        try:
            data = note.read_bytes()
            offer = shape.parse(_Note, data, max_bytes=_MAX_NOTE_BYTES, subject=note.name).offer
            if offer is None or self.kept.has(offer.digest):
                return offer
        except (FileNotFoundError, ContractError):
            pass
        with self._lock:
            if note not in self._pending:
                try:
                    self._waiting.put_nowait((want, base))
                except queue.Full:
                    return None
                self._pending.add(note)
        return Making()

    def _note(self, want: Layer, base: Layer) -> Path:
        pair = f"{base.digest} {want.digest}".encode()
        return self._notes / f"{hashlib.sha256(pair).hexdigest()}.json"

    def _run(self) -> None:
        while not self._stopping.is_set():
            pair = self._waiting.get()
            if pair is None:
                return
            note = self._note(*pair)
            try:
                self._make(note, *pair)
            except (SkerryError, OSError, zlib.error) as error:
                log.warning("no delta of %s: %s", pair[0].digest, error)
            except Exception:  # a bug must not end the making of all others
                log.exception("delta of %s", pair[0].digest)
            finally:
                with self._lock:
                    self._pending.discard(note)

    def _make(self, note: Path, want: Layer, base: Layer) -> None:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            old, new, out = (Path(folder) / name for name in ("old.tar", "new.tar", "delta"))
            offer = None
            if self._unpack(base, old) and self._unpack(want, new) and self._call(old, new, out):
                size = out.stat().st_size
                if size <= want.size * WORTH:
                    with out.open("rb") as file:
                        blob = self.kept.put(file)
                    sizes = old.stat().st_size, new.stat().st_size
                    offer = Offer(base.digest, blob.digest, blob.size, *sizes)
        if self._stopping.is_set():
            return
        write_durably(note, json.dumps(shape.write(_Note(offer))).encode())
        told = f"{offer.size} of {want.size} bytes" if offer else "is not worth it"
        took_s = time.monotonic() - began
        log.info("delta from %s to %s: %s, %.1f s", base.digest, want.digest, told, took_s)
        self._evict(offer)

    def _unpack(self, layer: Layer, target: Path) -> bool:
        """Write a layer as a plain tar; return False if it is too large or of another kind."""
        left = MOST_PLAIN_BYTES
        with self._blobs.open(layer.digest) as source, target.open("wb") as file:
            for piece in _plain(source):
                left -= len(piece)
                if left < 0 or self._stopping.is_set():
                    return False
                file.write(piece)
        return True

    def _call(self, old: Path, new: Path, out: Path) -> bool:
        command = ["nice", "-n", "10", sys.executable, "-m", "skerry_cloud.deltas.make"]
        child = subprocess.Popen([*command, old, new, out], stderr=subprocess.DEVNULL)
        ends = time.monotonic() + _MAKE_S
        try:
            while child.poll() is None:
                if self._stopping.wait(0.05) or time.monotonic() > ends:
                    return False
        finally:
            child.kill()
            child.wait()
        return child.returncode == 0

    def _evict(self, newest: Offer | None) -> None:
        """Remove the deltas that were not asked for longest, until the rest fits."""
        found = sorted(self.kept.stored(), key=lambda one: one.used)
        sizes = {}
        for one in found:
            with suppress(NotFoundError):
                sizes[one.digest] = self.kept.size(one.digest)
        over = sum(sizes.values()) - self._cap_bytes
        for one in found:
            if over <= 0:
                return
            if newest is None or one.digest != newest.digest:
                over -= self.kept.delete_unused(one.digest, time.time() + 1)


def _plain(source: BinaryIO) -> Iterator[bytes]:
    """Yield a layer without its compression, gzip or none."""
    data = source.read(_PIECE_BYTES)
    if data[:2] != b"\x1f\x8b":
        while data:
            yield data
            data = source.read(_PIECE_BYTES)
        return
    inflater = zlib.decompressobj(31)
    while data:
        while data:
            yield inflater.decompress(data, 4 * _PIECE_BYTES)
            data = inflater.unconsumed_tail
            if inflater.eof:
                data, inflater = inflater.unused_data, zlib.decompressobj(31)
        data = source.read(_PIECE_BYTES)
