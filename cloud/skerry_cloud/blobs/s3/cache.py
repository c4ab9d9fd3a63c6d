"""Blobs that lie elsewhere, kept on this disk as long as there is room: the last used longest.

What is in it was verified when it came. It is synced only when the cache is closed, for syncing
each copy would cost more than writing it; so after a power cut all copies are forgotten, and after
a kill none. Losing them costs only time; what the cache cannot do is logged and harms nobody.
"""

import logging
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from skerry_cloud import space
from skerry_cloud.blobs.backend import Blob
from skerry_cloud.blobs.folder import FolderBackend
from skerry_cloud.blobs.store import BlobStore
from skerry_cloud.durable import write_durably
from skerry_contract.errors import SkerryError
from skerry_contract.names import Digest

log = logging.getLogger(__name__)

RESERVE_BYTES = 256 * 1024 * 1024
"""What it leaves free on the disk."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYNCED = "synced"


class Cache:
    """Copies of blobs below one folder; its methods may be called from any thread.

    Args:
        folder: Made if it is not there; nothing else may write to it.
        cap_bytes: How much it may hold.
        free: Tells how many bytes the disk has left.
        boot: Changes whenever this machine starts, as what was not synced may be torn then.

    Attributes:
        scratch: A folder on the same disk, emptied whenever a cache is opened.
    """

    def __init__(
        self,
        folder: Path,
        cap_bytes: int,
        free: Callable[[Path], int] = space.free_bytes,
        boot: str = "",
    ) -> None:
        self._folder = folder
        self._cap = cap_bytes
        self._free = free
        self._boot = folder / "boot"
        folder.mkdir(parents=True, exist_ok=True)
        _forget_torn(folder, self._boot, boot or _BOOT_ID.read_text("ascii"))
        self._files = FolderBackend(folder, durable=False)
        self._store = BlobStore(folder, self._files)
        self.scratch = folder / "scratch"
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        self._lock = threading.Lock()
        self._promised: dict[Digest, int] = {}
        self._sizes: OrderedDict[Digest, int] = OrderedDict()
        for one in sorted(self._files.stored(), key=lambda one: one.used):
            self._sizes[one.digest] = self._files.find(one.digest) or 0
        self._total = sum(self._sizes.values())

    @property
    def size_bytes(self) -> int:
        """How much it holds."""
        return self._total

    def link(self, digest: Digest, path: Path) -> bool:
        """Make ``path`` another name of a blob's copy; False if there is none."""
        with self._lock:
            if digest not in self._sizes:
                return False
            self._sizes.move_to_end(digest)
        try:
            os.link(self._files.path(digest), path)
        except FileNotFoundError:
            self.drop(digest)
            return False
        self._files.use(digest)
        return True

    def fill(self, blob: Blob) -> "Fill | None":
        """Return what takes a blob's bytes; None if there is no room, or somebody fills it in."""
        if not self._promise(blob, needed=blob.size):
            return None
        try:
            return Fill(self, self._store, blob)
        except (OSError, SkerryError) as error:
            self._release(blob)
            _tell(blob, error)
            return None

    def adopt(self, path: Path, blob: Blob) -> None:
        """Keep a verified file of this disk, if there is room; ``path`` may be gone then."""
        if not self._promise(blob, needed=0):
            return
        try:
            self._files.take(path, blob)
            self.keep(blob)
        except OSError as error:
            _tell(blob, error)
        finally:
            self._release(blob)

    def keep(self, blob: Blob) -> None:
        """Count a copy that is there now."""
        with self._lock:
            self._sizes[blob.digest] = blob.size
            self._total += blob.size

    def finish(self, blob: Blob) -> None:
        """End what ``fill`` began."""
        self._release(blob)

    def close(self) -> None:
        """Sync the copies, so that they are there after the next start of this machine, too."""
        try:
            for one in self._files.stored():
                with self._files.open(one.digest) as file:
                    os.fsync(file.fileno())
            write_durably(self._boot, _SYNCED.encode())
        except (OSError, SkerryError) as error:
            log.warning("the copies of blobs are forgotten when this machine restarts: %s", error)

    def drop(self, digest: Digest) -> None:
        """Forget a copy; forgetting what is not here is harmless."""
        with self._lock:
            self._drop(digest)

    def _promise(self, blob: Blob, *, needed: int) -> bool:
        """Make room for a blob, ``needed`` bytes of which are to come; False if there is none."""
        with self._lock:
            if blob.digest in self._promised or blob.digest in self._sizes:
                return False
            room = self._cap - sum(self._promised.values())
            if blob.size > room:
                return False
            while self._sizes and (
                self._total + blob.size > room or self._free(self._folder) < RESERVE_BYTES + needed
            ):
                self._drop(next(iter(self._sizes)))
            if self._free(self._folder) < RESERVE_BYTES + needed:
                return False
            self._promised[blob.digest] = blob.size
            return True

    def _release(self, blob: Blob) -> None:
        with self._lock:
            del self._promised[blob.digest]

    def _drop(self, digest: Digest) -> None:
        size = self._sizes.pop(digest, None)
        if size is not None:
            self._total -= size
            self._files.delete(digest)


def _forget_torn(folder: Path, path: Path, boot: str) -> None:
    """Remove all copies if this machine was started since they were written and not synced."""
    written = path.read_text("ascii") if path.exists() else ""
    if written not in (boot, _SYNCED):
        shutil.rmtree(folder / "sha256", ignore_errors=True)
    write_durably(path, boot.encode())


class Fill:
    """Takes the bytes of one copy, which is kept if all of them come; ``Cache.fill`` makes it."""

    def __init__(self, cache: Cache, store: BlobStore, blob: Blob) -> None:
        self._cache = cache
        self._blob = blob
        self._undo = ExitStack()
        self._writer = self._undo.enter_context(store.writer(blob.digest, limit=blob.size))
        self._broken: Exception | None = None

    def write(self, data: bytes) -> None:
        """Add ``data``; what the disk does not take is passed over."""
        if self._broken is None:
            try:
                self._writer.write(data)
            except (OSError, SkerryError) as error:
                self._broken = error

    def close(self) -> None:
        """Keep the copy if it is whole, else forget it."""
        whole = self._broken is None and self._writer.blob.size == self._blob.size
        try:
            # What is not whole is refused by the writer, for its digest is another.
            self._undo.close()
            self._cache.keep(self._blob)
        except (OSError, SkerryError) as error:
            if whole or self._broken is not None:
                _tell(self._blob, self._broken or error)
        finally:
            self._cache.finish(self._blob)


def _tell(blob: Blob, error: Exception) -> None:
    log.warning("no copy of %s is kept: %s", blob.digest, error)
