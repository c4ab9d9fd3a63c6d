"""Push a module's images to a registry: what it lacks, each blob verified before it is sent.

Source: OCI distribution-spec 1.1, "push", "pushing a blob in chunks", "mounting a blob from another
repository", "pushing manifests with subject" and the referrers tag schema for older registries.
"""

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.images.documents import INDEX_TYPE, MANIFEST_TYPE, Descriptor, Document, ModuleImages
from skerry.images.layout import Count, blobs_of, described, fetch
from skerry.images.source import Blobs
from skerry.registry.address import Address
from skerry.registry.connection import Answer, Call, Connection
from skerry_contract.errors import NetworkError, RegistryError

CHUNK_BYTES = 16 * 1024 * 1024
"""Largest piece that is sent, and sent again if the connection breaks."""
_RESUMES = 5
_UPLOADS = 4
"""Tries of one blob, each with so many resumptions."""


@dataclass(slots=True)
class Pushed:
    """What a push came to.

    Attributes:
        sent: Bytes that were sent.
        present: Bytes that the registry had, in this repository or another.
        artifacts: Artifacts about the images that the registry took.
        refused: Why it took the others not; empty if there are none.
    """

    sent: int = 0
    present: int = 0
    artifacts: int = 0
    refused: str = ""


class Push:
    """One push.

    Args:
        connection: The registry.
        address: Where in it.
        blobs: Where the blobs come from.
        mount: Other repositories of the registry that may hold the blobs.
        chunk_bytes: Largest piece that is sent at once.
    """

    def __init__(
        self,
        connection: Connection,
        address: Address,
        blobs: Blobs,
        mount: Sequence[str] = (),
        *,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._chunk = chunk_bytes
        self._connection = connection
        self._address = address
        self._base = f"/v2/{address.repository}"
        self._blobs = blobs
        self._mount = mount

    def __call__(self, found: ModuleImages, on_bytes: Count) -> Pushed:
        """Send all that is missing; the tag comes last, so it never stands for half an image.

        Raises:
            UnauthorizedError: The registry does not let us.
            RegistryError: It does not take an image.
            NetworkError: The way there broke for good.
            DigestError: A blob is not what it should be.
        """
        self._connection.call(Call("GET", "/v2/"), 200)
        pushed = Pushed()
        for blob in blobs_of(found):
            self._push_blob(blob, pushed)
            on_bytes(blob.size)
        for image in found.images:
            self._put(image.document, image.document.digest)
        try:
            for image in found.images:
                self._push_artifacts(image.document, [one.document for one in image.artifacts])
                pushed.artifacts += len(image.artifacts)
        except RegistryError as error:
            # Older registries know images only, and the image is what was asked for.
            pushed.refused = error.text
        self._put(found.top, self._address.tag)
        return pushed

    # --- blobs ---------------------------------------------------------------------------------

    def _push_blob(self, blob: Descriptor, pushed: Pushed) -> None:
        upload = None if self._has(blob) else self._begin(blob)
        if upload is None:
            pushed.present += blob.size
            return
        with tempfile.TemporaryDirectory(prefix="skerry-push-") as folder:
            path = Path(folder, "blob")
            fetch(self._blobs, blob, path, lambda _count: None)
            self._upload_somehow(blob, path, upload)
        pushed.sent += blob.size

    def _has(self, blob: Descriptor) -> bool:
        there = self._connection.call(Call("HEAD", f"{self._base}/blobs/{blob.digest}"), 200, 404)
        return there.status == 200

    def _begin(self, blob: Descriptor) -> Answer | None:
        """Begin an upload; None if the blob could be mounted from another repository."""
        where = f"{self._base}/blobs/uploads/"
        begun = None
        for other in self._mount:
            query = {"mount": blob.digest, "from": other}
            begun = self._connection.call(Call("POST", where, query=query), 201, 202)
            if begun.status == 201:
                return None
            # The registry began an upload instead, which serves as well as another.
        return begun or self._connection.call(Call("POST", where), 202)

    def _upload_somehow(self, blob: Descriptor, path: Path, upload: Answer) -> None:
        """Upload a blob, from the start if the registry has lost what it had of it."""
        for attempt in range(1, _UPLOADS + 1):
            try:
                return self._upload(blob, path, upload)
            except NetworkError:
                if attempt == _UPLOADS:
                    raise
            self._connection.rest(attempt)
            if self._has(blob):
                return None  # Only its answer was lost.
            upload = self._connection.call(Call("POST", f"{self._base}/blobs/uploads/"), 202)
        raise AssertionError("the last upload returns or raises")

    def _upload(self, blob: Descriptor, path: Path, upload: Answer) -> None:
        where, sent, resumes = self._location(upload), 0, 0
        with path.open("rb") as file:
            while blob.size - sent > self._chunk:
                file.seek(sent)
                try:
                    sent, where = self._send(where, file.read(self._chunk), sent)
                except NetworkError:
                    resumes += 1
                    if resumes > _RESUMES:
                        raise
                    self._connection.rest(resumes)
                    sent, where = self._resumed(where)
            file.seek(sent)
            self._finish(blob, where, file.read())

    def _send(self, where: str, piece: bytes, at: int) -> tuple[int, str]:
        """Send one piece; return how much the registry has then, and where to go on."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{at}-{at + len(piece) - 1}",
        }
        answer = self._connection.call(Call("PATCH", where, headers, piece, repeat=False), 202)
        return at + len(piece), self._location(answer)

    def _resumed(self, where: str) -> tuple[int, str]:
        """Ask how much of an upload arrived, for only the registry knows."""
        answer = self._connection.call(Call("GET", where), 204)
        found = re.fullmatch(r"(?:bytes=)?0-(\d{1,15})", answer.headers.get("Range", ""))
        have = int(found[1]) + 1 if found and int(found[1]) else 0
        return have, self._location(answer, where)

    def _finish(self, blob: Descriptor, where: str, rest: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        query = {"digest": blob.digest}
        self._connection.call(Call("PUT", where, headers, rest, query, repeat=False), 201)

    def _location(self, answer: Answer, fallback: str = "") -> str:
        where = answer.headers.get("Location", fallback)
        if not where:
            raise RegistryError(f"{self._connection.url} does not say where to send a blob")
        return self._connection.absolute(where)

    # --- documents -----------------------------------------------------------------------------

    def _put(self, document: Document, reference: str) -> Answer:
        headers = {"Content-Type": document.media_type or MANIFEST_TYPE}
        where = f"{self._base}/manifests/{reference}"
        return self._connection.call(Call("PUT", where, headers, document.data), 201)

    def _push_artifacts(self, image: Document, artifacts: Sequence[Document]) -> None:
        known = [self._put(one, one.digest).headers.get("OCI-Subject") for one in artifacts]
        if artifacts and not all(known):
            self._list_by_tag(image, artifacts)

    def _list_by_tag(self, image: Document, artifacts: Sequence[Document]) -> None:
        """List artifacts under a tag made of the image's digest, keeping those of others."""
        where = f"{self._base}/manifests/{image.digest.replace(':', '-')}"
        there = self._connection.call(Call("GET", where, {"Accept": INDEX_TYPE}), 200, 404)
        listed = _manifests(there.body) if there.status == 200 else []
        ours = {one.digest for one in artifacts}
        kept = [one for one in listed if one.get("digest") not in ours]
        for one in artifacts:
            about = json.loads(one.data)
            more = {name: about[name] for name in ("artifactType", "annotations") if name in about}
            kept.append({**described(one), **more})
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": kept}
        self._put(Document(json.dumps(index).encode(), INDEX_TYPE), where.rpartition("/")[2])


def _manifests(data: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(data)["manifests"]
    except (ValueError, KeyError, TypeError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
