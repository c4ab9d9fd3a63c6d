"""A module's images with their layers compressed otherwise, on their way out of the cloud.

What an image says of itself goes along: bill of materials and lock as they are, the statement of
its provenance with the new digest as a further subject.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skerry.images.compression import TYPES, Compression, recompress
from skerry.images.documents import (
    MAX_MANIFEST_BYTES,
    Artifact,
    Descriptor,
    Document,
    ModuleImages,
    PlatformImage,
    check_bytes,
    digest_of,
    read_manifest,
)
from skerry.images.layout import Count, blob_path, fetch
from skerry.images.reports import PROVENANCE
from skerry.images.source import MAX_REPORT_BYTES, Blobs, Sink
from skerry_contract import shape
from skerry_contract.errors import ContractError

_PIECE = 1024 * 1024


class ConvertedBlobs:
    """Blobs that were made here, and those of another source.

    Args:
        source: Where the others are.
        folder: Where those that were made here lie, as in a layout.
    """

    def __init__(self, source: Blobs, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def copy(self, blob: Descriptor, sink: Sink) -> None:
        """Hand the bytes of a blob to ``sink``."""
        path = blob_path(self._folder, blob.digest)
        if not path.is_file():
            self._source.copy(blob, sink)
            return
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                sink(piece)

    def add(self, path: Path, digest: str) -> None:
        """Take the file ``path`` as the blob ``digest``."""
        target = blob_path(self._folder, digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


@contextmanager
def converted(
    found: ModuleImages, blobs: Blobs, wanted: Compression, on_bytes: Count
) -> Iterator[tuple[ModuleImages, Blobs]]:
    """Yield images with other layers, and where their blobs are as long as the block lasts.

    Args:
        found: The images.
        blobs: Where their blobs come from.
        wanted: How layers are to be compressed.
        on_bytes: Called with the size of each piece of a layer that has come.

    Raises:
        DigestError: A blob is not what its digest promised.
        OSError: The disk said no.
    """
    with tempfile.TemporaryDirectory(prefix="skerry-convert-") as scratch:
        made = ConvertedBlobs(blobs, Path(scratch, "blobs"))
        yield _Converter(made, Path(scratch), wanted, on_bytes).convert(found), made


def layer_bytes(found: ModuleImages) -> int:
    """Return how many bytes the layers of images have, each counted once."""
    sizes = {one.digest: one.size for image in found.images for one in image.manifest.layers}
    return sum(sizes.values())


@dataclass(frozen=True, slots=True)
class _Converter:
    """Converts the images of one module."""

    blobs: ConvertedBlobs
    scratch: Path
    wanted: Compression
    on_bytes: Count

    def convert(self, found: ModuleImages) -> ModuleImages:
        made: dict[str, Descriptor] = {}
        images = tuple(self._image(image, made) for image in found.images)
        pairs = zip(found.images, images, strict=True)
        renamed: dict[str, Document] = {old.document.digest: new.document for old, new in pairs}
        index = _renamed(found.index, renamed) if found.index else None
        return replace(found, images=images, index=index)

    def _image(self, image: PlatformImage, made: dict[str, Descriptor]) -> PlatformImage:
        document: Any = json.loads(image.document.data)
        parts = zip(image.manifest.layers, image.config.rootfs.diff_ids, strict=True)
        for entry, (layer, diff_id) in zip(document["layers"], parts, strict=True):
            if layer.mediaType == TYPES[self.wanted]:
                continue
            if layer.digest not in made:
                made[layer.digest] = self._layer(layer, diff_id)
            new = made[layer.digest]
            entry.update(mediaType=new.mediaType, digest=new.digest, size=new.size)
        written = Document(_written(document), image.document.media_type)
        artifacts = tuple(self._artifact(one, image, written) for one in image.artifacts)
        manifest = read_manifest(written.data, image.platform)
        return replace(image, document=written, manifest=manifest, artifacts=artifacts)

    def _layer(self, layer: Descriptor, diff_id: str) -> Descriptor:
        theirs, ours = self.scratch / "layer", self.scratch / "made"
        try:
            fetch(self.blobs, layer, theirs, self.on_bytes)
            made = recompress(theirs, layer, diff_id, self.wanted, ours)
            self.blobs.add(ours, made.digest)
        finally:
            theirs.unlink(missing_ok=True)
            ours.unlink(missing_ok=True)
        return made

    def _artifact(self, one: Artifact, old: PlatformImage, new: Document) -> Artifact:
        """Return an artifact whose subject is the new image."""
        document: Any = json.loads(one.document.data)
        document["subject"].update(digest=new.digest, size=len(new.data))
        content = one.content
        if one.kind == PROVENANCE:
            content = self._statement(content, old.document.digest, new.digest)
            document["layers"][0].update(digest=content.digest, size=content.size)
        written = Document(_written(document), one.document.media_type)
        return replace(one, document=written, content=content)

    def _statement(self, content: Descriptor, old: str, new: str) -> Descriptor:
        if content.size > MAX_REPORT_BYTES:
            raise ContractError(f"{content.digest} has more than {MAX_REPORT_BYTES} bytes")
        data = bytearray()
        self.blobs.copy(content, data.extend)
        read = check_bytes(bytes(data), content.digest, old)
        statement = shape.load(read, max_bytes=MAX_REPORT_BYTES, subject=content.digest)
        written = _written(_with_subject(statement, new))
        path = self.scratch / "statement"
        path.write_bytes(written)
        self.blobs.add(path, digest_of(written))
        return replace(content, digest=digest_of(written), size=len(written))


def _with_subject(statement: Any, digest: str) -> Any:
    """Return an in-toto statement that is about one more image, called as the first is."""
    try:
        [first, *_] = subjects = statement["subject"]
        more = {**first, "digest": {"sha256": digest.removeprefix("sha256:")}}
    except (TypeError, KeyError, ValueError) as error:
        raise ContractError("the statement of an image's provenance has another form") from error
    return {**statement, "subject": [*subjects, more]}


def _renamed(index: Document, renamed: Mapping[str, Document]) -> Document:
    document: Any = shape.load(index.data, max_bytes=MAX_MANIFEST_BYTES, subject="index")
    for entry in document["manifests"]:
        if entry["digest"] in renamed:
            new = renamed[entry["digest"]]
            entry.update(digest=new.digest, size=len(new.data))
    return Document(_written(document), index.media_type)


def _written(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
