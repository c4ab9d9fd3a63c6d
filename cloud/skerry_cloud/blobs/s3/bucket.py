"""One bucket: objects in and out, each try bounded, each piece with its digest."""

import base64
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from skerry_cloud.blobs.s3 import failures
from skerry_cloud.blobs.s3.address import BucketAddress
from skerry_cloud.blobs.s3.client import BRIEF, USUAL, connect
from skerry_cloud.blobs.s3.patience import PATIENCE, Patience, Trying
from skerry_contract.errors import ObjectStoreError

PART_BYTES = 8 * 1024 * 1024
"""Bytes of a multipart upload's parts; S3 takes 10,000 of at least 5 MiB, so 78 GiB fit."""
PARTS_AT_ONCE = 4
"""Parts on their way at a time, of all uploads together; each is held in memory."""
_WINDOW = 64 * 1024 * 1024
_PIECE = 256 * 1024
_PROBE = "writable"


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a list.

    Attributes:
        key: Its name below the prefix.
        size: Length in bytes.
        modified: When it was stored, in seconds since 1970, by the object store's clock.
    """

    key: str
    size: int
    modified: float


class Bucket:
    """Objects below one prefix of one bucket; its methods may be called from any thread.

    Args:
        address: Where it is.
        patience: How long to try.
    """

    def __init__(self, address: BucketAddress, patience: Patience = PATIENCE) -> None:
        self.address = address
        self._patience = patience
        self._client, self._impatient = connect(address, USUAL, BRIEF)
        self._senders = ThreadPoolExecutor(PARTS_AT_ONCE, "s3-parts")

    def prepare(self, patience: Patience) -> None:
        """Make sure that objects can be listed and written.

        Args:
            patience: How long to try.

        Raises:
            ObjectStoreError: They cannot; the remedy says what is missing.
        """
        where = f"the object store {self.address} cannot be used"
        patience.attempt(where, lambda: self._list_one(self._client))
        patience.attempt(where, lambda: self._client.put_object(**self._named(_PROBE), Body=b""))

    def answers(self) -> bool:
        """Tell whether it answers at this moment."""
        try:
            self._list_one(self._impatient)
        except failures.FAILURES:
            return False
        return True

    def size(self, key: str) -> int | None:
        """Return the length of an object in bytes, or None if there is none.

        Raises:
            ObjectStoreError: It cannot be told.
        """

        def head() -> int | None:
            try:
                return int(self._client.head_object(**self._named(key))["ContentLength"])
            except failures.FAILURES as error:
                if failures.says_missing(error):
                    return None
                raise

        return self._patience.attempt(f"{self._url(key)} cannot be looked for", head)

    def put_file(self, key: str, path: Path, size: int, sha256: str) -> None:
        """Store a file as an object, which is there as a whole or not at all.

        Each request carries the SHA-256 of its bytes, which the object store verifies.

        Args:
            key: Name below the prefix.
            path: The file.
            size: Its length in bytes.
            sha256: Its digest, in hexadecimal.

        Raises:
            ObjectStoreError: It cannot be stored.
        """
        what = f"{self._url(key)} cannot be stored"
        with path.open("rb", buffering=0) as file:
            if size <= PART_BYTES:
                body = file.read(size + 1)
                checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
                request = {**self._named(key), "ChecksumSHA256": checksum}
                self._patience.attempt(
                    what, lambda: self._client.put_object(**request, Body=io.BytesIO(body))
                )
            else:
                self._put_parts(what, key, file.fileno(), size)
                # Each part was verified as it came, but not what was made of them.
                if (found := self.size(key)) != size:
                    raise ObjectStoreError(f"{what}: it has {found} bytes there, not {size}")

    def pieces(self, key: str, first: int, size: int) -> Iterator[bytes]:
        """Yield ``size`` bytes of an object from byte ``first`` on, across broken connections.

        The object store has answered when this returns.

        Raises:
            KeyError: There is no such object; raised at once.
            ObjectStoreError: It does not answer; may come at any step.
        """
        if size == 0:
            return iter(())
        what = f"{self._url(key)} cannot be read"
        stream = _Stream(self._window(key), Trying(self._patience, what), first, first + size)
        stream.open()
        return stream.pieces()

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects whose names below our prefix begin with ``prefix``.

        Raises:
            ObjectStoreError: They cannot be listed.
        """
        start = self.address.prefix + prefix
        request = {"Bucket": self.address.bucket, "Prefix": start}
        what = f"{self._url(prefix)} cannot be listed"
        while True:
            page = self._patience.attempt(what, lambda: self._client.list_objects_v2(**request))
            for one in page.get("Contents", ()):
                name = one["Key"].removeprefix(self.address.prefix)
                yield Listed(name, one["Size"], one["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Remove an object, in one brief try; removing what is not there is harmless.

        Raises:
            ObjectStoreError: It cannot be removed.
        """
        try:
            self._impatient.delete_object(**self._named(key))
        except failures.FAILURES as error:
            raise failures.told(f"{self._url(key)} cannot be removed", error) from error

    def abort_uploads(self, prefix: str, before: float) -> int:
        """Forget multipart uploads that were begun before ``before`` and never ended.

        Returns:
            How many those were.

        Raises:
            ObjectStoreError: They cannot be listed or forgotten.
        """
        what = f"{self._url(prefix)}: unfinished uploads cannot be forgotten"
        request = {"Bucket": self.address.bucket, "Prefix": self.address.prefix + prefix}
        old = []
        while True:
            page = self._patience.attempt(
                what, lambda: self._client.list_multipart_uploads(**request)
            )
            old += [
                {"Key": one["Key"], "UploadId": one["UploadId"]}
                for one in page.get("Uploads", ())
                if one["Initiated"].timestamp() < before
            ]
            if not page.get("IsTruncated"):
                break
            request["KeyMarker"] = page["NextKeyMarker"]
            request["UploadIdMarker"] = page["NextUploadIdMarker"]
        for upload in old:
            self._patience.attempt(what, partial(self._abort, upload))
        return len(old)

    def close(self) -> None:
        """Let go of connections and threads."""
        self._senders.shutdown(wait=False, cancel_futures=True)
        for client in (self._client, self._impatient):
            client.close()

    def _put_parts(self, what: str, key: str, handle: int, size: int) -> None:
        begun = self._patience.attempt(
            what,
            lambda: self._client.create_multipart_upload(
                **self._named(key), ChecksumAlgorithm="SHA256"
            ),
        )
        upload = {"Key": self.address.prefix + key, "UploadId": begun["UploadId"]}

        def send(number: int) -> dict[str, Any]:
            data = os.pread(handle, PART_BYTES, (number - 1) * PART_BYTES)
            checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
            part = {"PartNumber": number, "ChecksumSHA256": checksum}
            request = {"Bucket": self.address.bucket, **upload, **part}
            answer = self._patience.attempt(
                what, lambda: self._client.upload_part(**request, Body=io.BytesIO(data))
            )
            return {**part, "ETag": answer["ETag"]}

        numbers = range(1, -(-size // PART_BYTES) + 1)
        tasks = [self._senders.submit(send, number) for number in numbers]
        try:
            parts = [task.result() for task in tasks]
            self._complete(what, key, upload, parts)
        except BaseException:
            for task in tasks:
                task.cancel()
            # Those under way still read the file, and would outlive what is forgotten now.
            wait(tasks)
            with suppress(*failures.FAILURES):
                self._abort(upload)
            raise

    def _complete(
        self, what: str, key: str, upload: dict[str, str], parts: list[dict[str, Any]]
    ) -> None:
        def complete() -> None:
            try:
                self._client.complete_multipart_upload(
                    Bucket=self.address.bucket, **upload, MultipartUpload={"Parts": parts}
                )
            except failures.FAILURES as error:
                # A try whose answer was lost has done it, and the caller looks at what is there.
                if failures.code_of(error) != "NoSuchUpload" or self.size(key) is None:
                    raise

        self._patience.attempt(what, complete)

    def _abort(self, upload: dict[str, str]) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self.address.bucket, **upload)
        except failures.FAILURES as error:
            if failures.code_of(error) != "NoSuchUpload":
                raise

    def _window(self, key: str) -> Callable[[int, int], Any]:
        def get(first: int, end: int) -> Any:
            try:
                asked = f"bytes={first}-{end - 1}"
                return self._client.get_object(**self._named(key), Range=asked)["Body"]
            except failures.FAILURES as error:
                if failures.says_missing(error):
                    raise KeyError(key) from error
                raise

        return get

    def _list_one(self, client: Any) -> None:
        client.list_objects_v2(Bucket=self.address.bucket, Prefix=self.address.prefix, MaxKeys=1)

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.address.bucket, "Key": self.address.prefix + key}

    def _url(self, key: str) -> str:
        return f"s3://{self.address.bucket}/{self.address.prefix}{key}"


class _Stream:
    """Bytes of one object, asked for in windows, so that a broken connection costs little."""

    def __init__(
        self, get: Callable[[int, int], Any], trying: Trying, first: int, end: int
    ) -> None:
        self._get = get
        self._trying = trying
        self._position = first
        self._end = end
        self._body: Any = None

    def open(self) -> None:
        """Ask for the next window.

        Raises:
            KeyError: There is no such object.
            ObjectStoreError: The object store does not answer.
        """
        while True:
            try:
                self._body = self._get(self._position, min(self._end, self._position + _WINDOW))
            except failures.FAILURES as error:
                self._trying.failed(error)
            else:
                return

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes."""
        try:
            while self._position < self._end:
                try:
                    piece = self._body.read(_PIECE)
                except failures.FAILURES as error:
                    self._body.close()
                    self._trying.failed(error)
                    self.open()
                    continue
                if piece:
                    self._position += len(piece)
                    self._trying.advanced()
                    yield piece
                else:
                    self.open()
        finally:
            self._body.close()
