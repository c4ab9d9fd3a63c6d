"""Bring a module image onto the device: by digest, from where the last attempt ended.

The manifest's digest and size were signed. They vouch for the config and the layers, so nothing
here trusts the network: not how long a blob is, not where a range begins, not when it ends.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from skerry_agent.pulling import images
from skerry_agent.pulling.images import Blob, Image
from skerry_agent.pulling.registry import Limits, RangeRefusedError, Registry
from skerry_agent.pulling.store import CHUNK_BYTES, BlobStore, Partial
from skerry_contract.errors import DigestError, NetworkError, NotFoundError, RegistryError
from skerry_contract.messages import Progress
from skerry_contract.names import Digest, parse_reference

RESUMES = 5
"""Lost connections after which a blob is left to the next attempt."""

OnProgress = Callable[[Progress], None]
"""Called after every piece; it should be quick."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How slowly a blob may come before it is given up for now.

    Attributes:
        bytes_per_s: Bytes a second that it must have on average, above 0.
        least_s: Seconds that even the smallest blob has.
    """

    bytes_per_s: float = 4 * 1024
    least_s: float = 30.0

    def seconds_for(self, size: int) -> float:
        """Return the seconds that a blob of ``size`` bytes has."""
        return max(self.least_s, size / self.bytes_per_s)


def stored(store: BlobStore, reference: str, digest: Digest, *, platform: str) -> Image | None:
    """Return an image that is wholly in the store, or None if a blob of it is missing.

    Raises:
        ContractError: The manifest or config is not what it should be.
        NameInvalidError: ``reference`` is spelled wrongly.
    """
    try:
        data = store.read(digest, max_bytes=images.MAX_MANIFEST_BYTES)
        parts = images.read_manifest(reference, data)
        config = store.read(parts.config.digest, max_bytes=images.MAX_CONFIG_BYTES)
    except (NotFoundError, DigestError):
        return None
    image = images.read_image(reference, digest, parts, config, platform=platform)
    return None if store.missing(image.blobs) else image


class Puller:
    """Fetches images from one cloud into one store, one at a time.

    Args:
        url: Where the cloud's API is, ``http://`` or ``https://``.
        token: The device's secret.
        ca: Certificates to believe, in PEM; None for those of the system.
        store: Where blobs go.
        platform: What this device runs, such as ``linux/amd64``.
        pace: How slowly blobs may come.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca: Path | None,
        store: BlobStore,
        *,
        platform: str,
        pace: Pace | None = None,
    ) -> None:
        self._registry = Registry(url, token, ca)
        self._store = store
        self._platform = platform
        self._pace = pace or Pace()

    def pull(
        self,
        reference: str,
        digest: Digest,
        size: int,
        *,
        on_progress: OnProgress = lambda _: None,
        cancel: threading.Event | None = None,
    ) -> Image:
        """Fetch whatever of an image is missing.

        What was fetched stays, whatever happens, save for bytes that turned out to be wrong.

        Args:
            reference: ``name:version`` of the image.
            digest: Digest of its manifest.
            size: Length of the manifest in bytes.
            on_progress: Told of every piece.
            cancel: Ends the pull soon after it is set.

        Raises:
            NetworkError: The network failed or was too slow; worth another try later.
            RegistryError: The cloud does not have it, or not now; worth another try later.
            UnauthorizedError: The cloud does not take this device's token.
            DigestError: The cloud sent other bytes; they were thrown away.
            NoSpaceError: It does not fit.
            ContractError: It is no image that can run here.
            PullCancelledError: ``cancel`` was set.
        """
        repository = parse_reference(reference).name
        trip = _Trip(self._registry, self._store, repository, self._pace)
        trip.cancel = cancel or trip.cancel
        trip.on_progress = on_progress
        trip.expect(reference, [Blob(digest, size)])
        trip.fetch(Blob(digest, size), f"manifests/{digest}", images.MANIFEST_TYPE)
        manifest = self._store.read(digest, max_bytes=images.MAX_MANIFEST_BYTES)
        parts = images.read_manifest(reference, manifest)
        trip.expect(reference, [parts.config, *parts.layers])
        # Before the large layers come, it is known whether the image can run here at all.
        trip.fetch(parts.config)
        config = self._store.read(parts.config.digest, max_bytes=images.MAX_CONFIG_BYTES)
        image = images.read_image(reference, digest, parts, config, platform=self._platform)
        for layer in parts.layers:
            trip.fetch(layer)
        return image


@dataclass
class _Trip:
    """One pull: where it goes and how far it is."""

    registry: Registry
    store: BlobStore
    repository: str
    pace: Pace
    cancel: threading.Event = field(default_factory=threading.Event)
    on_progress: OnProgress = lambda _: None
    progress: Progress = field(default_factory=Progress)

    def expect(self, reference: str, blobs: Iterable[Blob]) -> None:
        """Count blobs that will be fetched, and make sure that they fit."""
        sizes = {blob.digest: blob.size for blob in blobs}
        missing = self.store.missing(sizes)
        needed = sum(max(0, sizes[d] - self.store.partial_bytes(d)) for d in missing)
        total = sum(sizes.values())
        self._count(total=total, present=total - needed)
        if needed:
            self.store.check_room(needed, reference)

    def fetch(self, blob: Blob, path: str = "", accept: str = "application/octet-stream") -> None:
        """Make a blob whole; it is no work if it is here already."""
        if self.store.has(blob.digest):
            return
        path = f"{self.repository}/{path or f'blobs/{blob.digest}'}"
        limits = Limits(time.monotonic() + self.pace.seconds_for(blob.size), self.cancel)
        with self.store.begin(blob.digest, blob.size) as partial:
            for left in reversed(range(RESUMES + 1)):
                before = partial.offset
                try:
                    self._go_on(path, accept, blob, partial, limits)
                    break
                except RangeRefusedError as error:
                    partial.restart()
                    if not left:
                        raise RegistryError(str(error)) from error
                except RegistryError:
                    raise
                except NetworkError:
                    # Where nothing came, the next moment will not be better than this one.
                    if partial.offset == before or not left:
                        raise
            partial.commit()

    def _go_on(self, path: str, accept: str, blob: Blob, partial: Partial, limits: Limits) -> None:
        """Fetch from where ``partial`` ends to the end of the blob, on one connection."""
        if partial.offset == blob.size:
            return
        subject = f"{path} from {self.registry.host}"
        with self.registry.get(path, offset=partial.offset, accept=accept, limits=limits) as body:
            if body.offset != partial.offset:
                partial.restart()
            wanted = blob.size - partial.offset
            if body.length not in (None, wanted):
                raise RegistryError(f"{subject}: {wanted} bytes are due, {body.length} are offered")
            for piece in body.chunks(CHUNK_BYTES):
                partial.write(piece)
                self._count(pulled=len(piece))
        if partial.offset < blob.size:
            limits.check(subject)
            raise NetworkError(f"{subject} ended after {partial.offset} of {blob.size} bytes")

    def _count(self, *, total: int = 0, present: int = 0, pulled: int = 0) -> None:
        then = self.progress
        self.progress = Progress(then.total + total, then.present + present, then.pulled + pulled)
        self.on_progress(self.progress)
