"""An image from a registry to a store, as tests want it."""

from pathlib import Path

from skerry_agent.core.pace import Pace
from skerry_agent.pulling.pull import Puller
from skerry_agent.pulling.registry import DeviceToken, Registry, Transport
from skerry_agent.pulling.store import BlobStore
from support.blob_server import TOKEN
from support.images import PLATFORM, OciImage

QUICK = Pace(pause_s=0.02)
"""Pauses that a test can wait for."""


def cloud(url: str, token: str = TOKEN, transport: Transport | None = None) -> Registry:
    """Return the fleet's cloud as a source."""
    return Registry(url, DeviceToken(token), transport or Transport())


def new_store(folder: Path, *, floor: int = 0) -> BlobStore:
    """Return a store in ``folder`` with much room."""
    return BlobStore(folder / "blobs", cap_bytes=10**9, floor_free_bytes=floor)


def pull(made: OciImage, store: BlobStore, *sources: Registry, pace: Pace | None = None) -> int:
    """Pull an image, look that all of it is there, and return the bytes that came."""
    pulled = 0

    def count(progress: object) -> None:
        nonlocal pulled
        pulled = getattr(progress, "pulled", 0)

    puller = Puller(sources, store, platform=PLATFORM, pace=pace or QUICK)
    image = puller.pull(made.reference, made.digest, made.size, on_progress=count)
    assert store.missing(image.blobs) == ()
    return pulled
