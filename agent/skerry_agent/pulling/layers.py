"""Which layers of an image are on the device, and in which of their two forms.

A layer that came whole lies there compressed, under the digest that the manifest names; one that
was made from an older layer lies there as a plain tar, under the ``diff_id`` that the config names.
The config is vouched for by the manifest, so both digests are as good.

Source: OCI image specification 1.1, ``config.md``, ``rootfs.diff_ids``.
"""

from collections.abc import Iterable, Mapping

from skerry_agent.pulling import images
from skerry_agent.pulling.images import Blob, Image
from skerry_agent.pulling.store import BlobStore
from skerry_contract.errors import ContractError, DigestError, NotFoundError
from skerry_contract.names import Digest

_ANY = "an image"


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
    return present(store, image)


def present(store: BlobStore, image: Image) -> Image | None:
    """Return an image with each layer in the form in which it is here, or None if one is not."""
    pairs = zip(image.parts.layers, image.diff_ids, strict=True)
    found = [here(store, layer, Digest(diff_id)) for layer, diff_id in pairs]
    layers = tuple(layer for layer in found if layer is not None)
    return images.with_layers(image, layers) if len(layers) == len(found) else None


def here(store: BlobStore, layer: Blob, diff_id: Digest) -> Blob | None:
    """Return a layer in the form in which it is here, or None."""
    if store.has(layer.digest):
        return layer
    try:
        return Blob(diff_id, store.size_of(diff_id), gzip=False)
    except NotFoundError:
        return None


def named(store: BlobStore, digest: Digest) -> frozenset[Digest]:
    """Return the blobs that an image in the store is made of, in either form of its layers."""
    found = {digest}
    for layer, diff_id in _pairs(store, digest, found):
        found |= {layer.digest, diff_id}
    return frozenset(found)


def bases(store: BlobStore, digests: Iterable[Digest]) -> Mapping[Digest, Blob]:
    """Return the layers of these images that are here, by the digest that a manifest names."""
    found = {}
    for digest in digests:
        for layer, diff_id in _pairs(store, digest, set()):
            form = here(store, layer, diff_id)
            if form is not None:
                found[layer.digest] = form
    return found


def _pairs(store: BlobStore, digest: Digest, seen: set[Digest]) -> list[tuple[Blob, Digest]]:
    """Return each layer with its ``diff_id``; what was read of the image goes to ``seen``."""
    try:
        data = store.read(digest, max_bytes=images.MAX_MANIFEST_BYTES)
        parts = images.read_manifest(_ANY, data)
        seen |= {parts.config.digest, *(layer.digest for layer in parts.layers)}
        config = store.read(parts.config.digest, max_bytes=images.MAX_CONFIG_BYTES)
        return list(zip(parts.layers, images.read_diff_ids(_ANY, config), strict=False))
    except (NotFoundError, DigestError, ContractError):
        return []
