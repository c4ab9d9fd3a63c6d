"""Bring a module image onto the device: by digest, from where the last attempt ended.

The manifest's digest and size were signed. They vouch for the config and the layers, so nothing
here trusts the network: not how long a blob is, not where a range begins, not when it ends.

A pull is a sequence of small steps, each of which leaves the disk in a state that the next attempt
goes on from, be it after a lost connection, a kill, a power cut, or in a newer agent:

====================  ====================================  ====================================
state of a blob       what is on the disk                   what happens next
====================  ====================================  ====================================
missing               nothing                               room and budget are looked at for all
                                                            missing blobs, then it is asked for
partial               ``partial/<hex>`` and its journal     the last chunk that is surely there is
                                                            found, and the rest asked for
whole, not verified   the same, with all bytes              hashed: right, it becomes a blob by a
                                                            rename; wrong, it is missing again
here                  ``sha256/<hex>``                      nothing, until room is needed
====================  ====================================  ====================================

==========================  ====================================================================
event on a connection       answer
==========================  ====================================================================
lost, with new bytes        go on from there after a short pause, as often as it takes
lost, nothing new           after some tries of growing pauses: the next source; then for later
416, or another range       begin with the first byte, once
200 for a range             begin with the first byte, which is what comes
429, 503 with Retry-After   wait if it is short, else leave the source alone for so long
other status, drip          the next source; then for later
wrong or too many bytes     all thrown away; the next source
deadline, cancel, no room,  end; what came is kept
budget used up
==========================  ====================================================================
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from skerry_agent.core.backoff import delay_s
from skerry_agent.core.pace import Bucket, Floor, Pace
from skerry_agent.data_meter import DataMeter
from skerry_agent.pulling import images
from skerry_agent.pulling.images import Blob, Image
from skerry_agent.pulling.layers import bases, here, named, present
from skerry_agent.pulling.offers import WAIT_S, Offer, apply, ask
from skerry_agent.pulling.partial import PIECE_BYTES, Partial
from skerry_agent.pulling.registry import OCTETS, Body, RangeRefusedError, Registry
from skerry_agent.pulling.store import BlobStore
from skerry_agent.pulling.wire import Limits
from skerry_contract.errors import (
    DigestError,
    NetworkError,
    NoSpaceError,
    NotFoundError,
    RegistryError,
    SkerryError,
    UnauthorizedError,
)
from skerry_contract.messages import Progress
from skerry_contract.names import Digest, parse_reference

STALLS = 5
"""Lost connections without progress, one after the other, after which a source is given up."""
PROGRESS_BYTES = 16 * 1024
"""Less than this is no progress worth another connection at once."""
ADVANCE_BYTES = 256 * 1024
"""A pull that brought so much before it failed is gone on with soon."""
PATIENCE_S = 30.0
"""Longest ``Retry-After`` that is waited for while a pull goes on."""
_MOST_PAUSE_S = 8.0
_MOST_APPLY_S = 24 * 3600.0

log = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]
"""Called after every piece; it should be quick."""


class Puller:
    """Fetches images into one store, one at a time.

    Args:
        sources: Registries that may have them, best first; one that failed is asked last.
        store: Where blobs go.
        platform: What this device runs, such as ``linux/amd64``.
        pace: How fast and how slowly blobs may come.
        meter: Counts what crosses the network, and says when it is too much.
        cloud: Is asked for differences to what is here; None for whole layers only.
    """

    def __init__(
        self,
        sources: Sequence[Registry],
        store: BlobStore,
        *,
        platform: str,
        pace: Pace | None = None,
        meter: DataMeter | None = None,
        cloud: Registry | None = None,
    ) -> None:
        self._sources = list(sources)
        self._store = store
        self._platform = platform
        self._pace = pace or Pace()
        self._bucket = Bucket(self._pace.limit_bytes_s)
        self._meter = meter
        self._cloud = cloud

    def pull(
        self,
        reference: str,
        digest: Digest,
        size: int,
        *,
        on_progress: OnProgress = lambda _: None,
        cancel: threading.Event | None = None,
        keep: Collection[Digest] = (),
    ) -> Image:
        """Fetch whatever of an image is missing.

        What was fetched stays, whatever happens, save for bytes that turned out to be wrong.

        Args:
            reference: ``name:version`` of the image.
            digest: Digest of its manifest.
            size: Length of the manifest in bytes.
            on_progress: Told of every piece.
            cancel: Ends the pull soon after it is set.
            keep: Images whose blobs must not go to make room, whatever of them is here: those that
                run, or ran last. Differences are asked for to their layers.

        Raises:
            NetworkError: The network failed or was too slow; worth another try later.
            RegistryError: No source has it, or not now; worth another try later.
            UnauthorizedError: No source takes what this device has to show.
            DigestError: Every source sent other bytes; they were thrown away.
            NoSpaceError: It does not fit.
            DataBudgetError: It would use more than may be used this month.
            ContractError: It is no image that can run here.
            PullCancelledError: ``cancel`` was set.
        """
        trip = _Trip(self._sources, self._store, self._pace, self._bucket)
        trip.name = parse_reference(reference).name
        trip.cancel = cancel or trip.cancel
        trip.on_progress = on_progress
        trip.meter = self._meter
        trip.keep = {digest}.union(*(named(self._store, one) for one in keep))
        trip.bases = bases(self._store, keep)
        try:
            return self._pull(trip, reference, Blob(digest, size))
        except NetworkError as error:
            error.advanced = trip.progress.pulled >= ADVANCE_BYTES
            raise

    def _pull(self, trip: "_Trip", reference: str, blob: Blob) -> Image:
        digest = blob.digest
        trip.expect(reference, [blob])
        trip.fetch(blob, f"manifests/{digest}", images.MANIFEST_TYPE)
        manifest = self._store.read(digest, max_bytes=images.MAX_MANIFEST_BYTES)
        parts = images.read_manifest(reference, manifest)
        trip.expect(reference, [parts.config])
        trip.fetch(parts.config)
        # Before the large layers come, it is known whether the image can run here at all.
        config = self._store.read(parts.config.digest, max_bytes=images.MAX_CONFIG_BYTES)
        image = images.read_image(reference, digest, parts, config, platform=self._platform)
        self._fetch_layers(trip, reference, image)
        whole = present(self._store, image)
        if whole is None:
            raise NotFoundError(f"a layer of {reference} was removed while others were fetched")
        self._store.touch([digest, parts.config.digest])
        self._store.touch(layer.digest for layer in whole.parts.layers)
        return whole

    def _fetch_layers(self, trip: "_Trip", reference: str, image: Image) -> None:
        pairs = list(zip(image.parts.layers, map(Digest, image.diff_ids), strict=True))
        trip.keep |= {digest for layer, diff_id in pairs for digest in (layer.digest, diff_id)}
        missing = dict(pair for pair in pairs if here(self._store, *pair) is None)
        offers = {layer: self._ask(trip, layer) for layer in missing}
        offered = {layer: offer for layer, offer in offers.items() if offer is not None}
        trip.count_present(
            sum({one.digest: one.size for one, _ in pairs if one not in missing}.values())
        )
        try:
            trip.expect_layers(reference, missing, offered)
        except NoSpaceError:
            if not offered:
                raise
            # A layer that is made here takes more room than one that comes.
            offered = {}
            trip.expect_layers(reference, missing, offered)
        for layer, diff_id in missing.items():
            offer = offered.get(layer)
            if offer is None or not self._fetch_delta(trip, offer, layer, diff_id):
                trip.fetch(layer)

    def _ask(self, trip: "_Trip", layer: Blob) -> Offer | None:
        if self._cloud is None or self._store.partial_bytes(layer.digest) * 2 > layer.size:
            return None
        limits = Limits(time.monotonic() + self._pace.seconds_for(0) + WAIT_S, trip.cancel)
        return ask(self._cloud, trip.name, layer, trip.bases, limits)

    def _fetch_delta(self, trip: "_Trip", offer: Offer, layer: Blob, diff_id: Digest) -> bool:
        """Make a layer from a delta; return whether that went well."""
        limits = Limits(time.monotonic() + _MOST_APPLY_S, trip.cancel)
        try:
            trip.fetch_delta(offer, self._cloud)
            failed = apply(self._store, offer, trip.bases[Digest(offer.base)], diff_id, limits)
        except (NetworkError, UnauthorizedError, DigestError) as error:
            failed = error
        if failed is None:
            return True
        log.warning("%s comes whole: %s", layer.digest, failed)
        trip.count_present(offer.size - layer.size)
        self._store.make_room(layer.size, trip.keep, layer.digest)
        return False


@dataclass
class _Trip:
    """One pull: where it goes and how far it is."""

    sources: list[Registry]
    store: BlobStore
    pace: Pace
    bucket: Bucket
    name: str = ""
    meter: DataMeter | None = None
    keep: set[Digest] = field(default_factory=set)
    bases: Mapping[Digest, Blob] = field(default_factory=dict)
    cancel: threading.Event = field(default_factory=threading.Event)
    on_progress: OnProgress = lambda _: None
    progress: Progress = field(default_factory=Progress)

    def count_present(self, size: int) -> None:
        """Count bytes that need not be fetched; fewer than none if they must be after all."""
        self._count(total=max(0, size), present=size)

    def expect_layers(
        self, reference: str, missing: Iterable[Blob], offers: Mapping[Blob, Offer]
    ) -> None:
        """Count layers that will be fetched or made, and make sure that they fit."""
        whole = [layer for layer in missing if layer not in offers]
        room = max((one.room for one in offers.values()), default=0)
        room += sum(one.plain_size for one in offers.values())
        self.keep |= {one.blob.digest for one in offers.values()}
        needed = sum(max(0, one.size - self.store.partial_bytes(one.digest)) for one in whole)
        coming = sum(one.size for one in offers.values() if not self.store.has(one.blob.digest))
        if needed + room:
            self.store.make_room(needed + room, self.keep, reference)
            self._check_budget(needed + coming, reference)
        total = sum(layer.size for layer in (*whole, *offers))
        self._count(total=total, present=total - needed - coming)

    def fetch_delta(self, offer: Offer, cloud: Registry | None) -> None:
        """Bring a delta into the store."""
        if cloud is not None:
            self._fetch(offer.blob, OCTETS, [(cloud, f"v1/deltas/{offer.digest}")])

    def expect(self, reference: str, blobs: Iterable[Blob]) -> None:
        """Count blobs that will be fetched, and make sure that they fit."""
        sizes = {blob.digest: blob.size for blob in blobs}
        self.keep |= sizes.keys()
        missing = self.store.missing(sizes)
        needed = sum(max(0, sizes[d] - self.store.partial_bytes(d)) for d in missing)
        total = sum(sizes.values())
        self._count(total=total, present=total - needed)
        if needed:
            self.store.make_room(needed, self.keep, reference)
            self._check_budget(needed, reference)

    def fetch(self, blob: Blob, rest: str = "", accept: str = OCTETS) -> None:
        """Make a blob whole; it is no work if it is here already."""
        rest = rest or f"blobs/{blob.digest}"
        self._fetch(blob, accept, [(one, one.path(self.name, rest)) for one in self.sources])

    def _fetch(self, blob: Blob, accept: str, places: list[tuple[Registry, str]]) -> None:
        if self.store.has(blob.digest):
            return
        limits = Limits(time.monotonic() + self.pace.seconds_for(blob.size), self.cancel)
        complaints: list[SkerryError] = []
        with self.store.begin(blob.digest, blob.size) as partial:
            for source, path in places:
                wanted = _Wanted(blob, path, accept, source, limits)
                try:
                    self._fetch_from(wanted, partial)
                    partial.commit()
                except (NetworkError, UnauthorizedError, DigestError) as error:
                    complaints.append(error)
                    if source in self.sources:
                        self.sources.remove(source)
                        self.sources.append(source)
                else:
                    return
        raise _worst(complaints)

    def _fetch_from(self, wanted: "_Wanted", partial: Partial) -> None:
        """Fetch from one source, over as many connections as it takes."""
        stalls = restarts = 0
        first = partial.offset
        while partial.offset < wanted.blob.size:
            before = partial.offset
            pause_s = 0.0
            try:
                self._go_on(wanted, partial)
            except RangeRefusedError as error:
                partial.restart()
                restarts += 1
                if restarts > 1:
                    raise RegistryError(str(error)) from error
            except NetworkError as error:
                came = partial.offset - before
                stalls = 0 if came >= PROGRESS_BYTES else stalls + 1
                if not self._is_worth_another(error, stalls, new=partial.offset > first):
                    raise
                pause_s = error.retry_after_s or delay_s(
                    max(1, stalls), base_s=self.pace.pause_s, cap_s=_MOST_PAUSE_S
                )
            wanted.limits.rest(pause_s, wanted.subject)

    def _is_worth_another(self, error: NetworkError, stalls: int, *, new: bool) -> bool:
        if isinstance(error, RegistryError):
            return stalls <= 1 and 0 < error.retry_after_s <= PATIENCE_S
        # Where nothing came at all, the next moment will not be better than this one.
        return new and stalls < STALLS

    def _go_on(self, wanted: "_Wanted", partial: Partial) -> None:
        """Fetch from where ``partial`` ends to the end of the blob, on one connection."""
        size, subject = wanted.blob.size, wanted.subject
        self._check_budget(1, subject)
        with wanted.source.get(
            wanted.path,
            limits=wanted.limits,
            offset=partial.offset,
            size=size,
            accept=wanted.accept,
        ) as body:
            if body.offset != partial.offset:
                partial.restart()
            due = size - partial.offset
            if body.length not in (None, due):
                raise RegistryError(f"{subject}: {due} bytes are due, {body.length} are offered")
            self._take(body, partial)
        if partial.offset < size:
            wanted.limits.check(subject)
            raise NetworkError(f"{subject} ended after {partial.offset} of {size} bytes")

    def _take(self, body: Body, partial: Partial) -> None:
        floor = Floor(self.pace, time.monotonic())
        for piece in body.chunks(PIECE_BYTES):
            partial.write(piece)
            self._count(pulled=len(piece))
            floor.took(len(piece))
            body.wire.settle()
            self._check_budget(1, body.subject)
            rest_s = self.bucket.take(len(piece), time.monotonic())
            body.limits.rest(rest_s, body.subject)
            floor.rested(rest_s)
            if floor.is_too_slow(time.monotonic()):
                raise _drip(body.subject, self.pace)

    def _check_budget(self, needed: int, subject: str) -> None:
        if self.meter is not None:
            self.meter.check("updates", needed, subject)

    def _count(self, *, total: int = 0, present: int = 0, pulled: int = 0) -> None:
        then = self.progress
        self.progress = Progress(then.total + total, then.present + present, then.pulled + pulled)
        self.on_progress(self.progress)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A blob, and the source that is to send it."""

    blob: Blob
    path: str
    accept: str
    source: Registry
    limits: Limits

    @property
    def subject(self) -> str:
        """What it is, for an error's text."""
        return f"{self.path} from {self.source.host}"


def _worst(complaints: Sequence[SkerryError]) -> SkerryError:
    """Return the error to tell: that of the first source, with what the others said."""
    error, *others = complaints
    error.detail = "\n".join(str(one) for one in others)
    return error


def _drip(subject: str, pace: Pace) -> RegistryError:
    """Return the error of a source that is not worth its connection: the next one is asked."""
    return RegistryError(
        f"{subject} was too slow: less than {pace.floor_bytes_s:g} bytes a second came",
        remedy="What came is kept, and the next attempt goes on from there.",
    )
