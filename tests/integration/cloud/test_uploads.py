"""Uploads that go on after an interruption, over HTTP."""

import base64
import hashlib
import os
import socket
from pathlib import Path

import pytest
import requests

from skerry_cloud import uploads
from skerry_cloud.blobs import Blob, BlobStore, FolderBackend
from skerry_cloud.uploads import Uploads
from skerry_contract.errors import (
    ConflictError,
    DigestError,
    NoSpaceError,
    NotFoundError,
    ObjectStoreError,
)
from support.cloud_server import CloudServer
from support.waiting import eventually

pytestmark = pytest.mark.integration

PIECE = "application/offset+octet-stream"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def begin(server: CloudServer, digest: str, size: int) -> requests.Response:
    metadata = f"name eA==,digest {base64.b64encode(digest.encode()).decode()}"
    headers = {"Upload-Length": str(size), "Upload-Metadata": metadata}
    return server.ask("POST", "/v1/uploads", b"", headers=headers)


def append(server: CloudServer, digest: str, offset: int, data: bytes) -> requests.Response:
    headers = {"Upload-Offset": str(offset), "Content-Type": PIECE}
    return server.ask("PATCH", f"/v1/uploads/{digest}", data, headers=headers)


def offset_of(server: CloudServer, digest: str) -> int:
    answer = server.ask("HEAD", f"/v1/uploads/{digest}")
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


def test_a_blob_comes_in_pieces_and_is_there_once_it_is_whole(server: CloudServer) -> None:
    data = os.urandom(300_000)
    digest = digest_of(data)
    begun = begin(server, digest, len(data))
    assert (begun.status_code, begun.headers["Location"]) == (201, f"/v1/uploads/{digest}")
    assert append(server, digest, 0, data[:100_000]).headers["Upload-Offset"] == "100000"
    assert server.ask("HEAD", f"/v1/blobs/{digest}").status_code == 404
    # Whoever begins the same again goes on with it.
    assert begin(server, digest, len(data)).headers["Upload-Offset"] == "100000"
    assert append(server, digest, 100_000, data[100_000:]).status_code == 204
    assert server.ask("GET", f"/v1/blobs/{digest}").content == data
    assert begin(server, digest, len(data)).headers["Upload-Offset"] == "300000"


def test_what_came_before_a_connection_broke_is_kept(server: CloudServer) -> None:
    data = os.urandom(4_000_000)
    digest = digest_of(data)
    begin(server, digest, len(data))
    host, port = server.ready.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = (
            f"PATCH /v1/uploads/{digest} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Type: {PIECE}\r\n"
            f"Upload-Offset: 0\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        connection.sendall(head.encode() + data[:1_500_000])
        eventually(lambda: offset_of(server, digest) == 1_500_000)
        # While that one is sending, no other may.
        busy = append(server, digest, 1_500_000, data[1_500_000:])
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "CONFLICT")
    eventually(lambda: append(server, digest, 1_500_000, data[1_500_000:]).status_code == 204)
    assert server.ask("GET", f"/v1/blobs/{digest}").content == data


def test_a_piece_from_elsewhere_is_refused_and_harms_nothing(server: CloudServer) -> None:
    data = os.urandom(1000)
    digest = digest_of(data)
    begin(server, digest, len(data))
    append(server, digest, 0, data[:500])
    for wrong in (0, 499, 501, 1000):
        assert append(server, digest, wrong, data[wrong:]).status_code == 409
    assert append(server, digest, 500, data[500:] + b"!").status_code == 507
    assert offset_of(server, digest) in (500, 1000)
    assert server.ask("DELETE", f"/v1/uploads/{digest}").status_code == 204
    assert server.ask("HEAD", f"/v1/uploads/{digest}").status_code == 404


def test_wrong_bytes_are_found_at_the_end_and_forgotten(server: CloudServer) -> None:
    data = os.urandom(1000)
    digest = digest_of(data)
    begin(server, digest, len(data))
    append(server, digest, 0, bytes(500))
    answer = append(server, digest, 500, data[500:])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "DIGEST")
    assert server.ask("HEAD", f"/v1/blobs/{digest}").status_code == 404
    assert begin(server, digest, len(data)).headers["Upload-Offset"] == "0"
    server.ask("DELETE", f"/v1/uploads/{digest}")


def test_what_is_no_upload_is_told(server: CloudServer) -> None:
    data = os.urandom(10)
    digest = digest_of(data)
    assert begin(server, "sha256:xyz", 10).status_code == 400
    assert begin(server, digest, -1).status_code == 400
    assert append(server, digest, 0, data).status_code == 404
    other = {"Tus-Resumable": "0.2.2"}
    assert server.ask("HEAD", f"/v1/uploads/{digest}", headers=other).status_code == 400
    plain = {"Upload-Offset": "0", "Content-Type": "text/plain"}
    assert server.ask("PATCH", f"/v1/uploads/{digest}", data, headers=plain).status_code == 400
    assert server.ask("POST", "/v1/uploads", b"", token="").status_code == 401


def test_a_disk_without_room_is_told_before_a_byte_is_sent(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    free = uploads.RESERVE_BYTES + 1000
    made = Uploads(tmp_path / "uploads", blobs, lambda: 0.0, lambda _folder: free)
    made.begin(digest_of(b"a"), 600)
    # What the first one still has to send is promised to it.
    with pytest.raises(NoSpaceError, match="600 are promised"):
        made.begin(digest_of(b"b"), 500)
    made.begin(digest_of(b"b"), 400)
    assert made.begin(digest_of(b"a"), 600).offset == 0


def test_unfinished_uploads_are_bounded_in_number_and_age(tmp_path: Path) -> None:
    now = [0.0]
    made = Uploads(tmp_path / "uploads", BlobStore(tmp_path / "blobs"), lambda: now[0])
    for number in range(uploads.MAX_UPLOADS):
        made.begin(digest_of(bytes([number])), 10)
    with pytest.raises(ConflictError, match="are unfinished"):
        made.begin(digest_of(b"one more"), 10)
    now[0] = max(path.stat().st_mtime for path in (tmp_path / "uploads").iterdir())
    assert made.begin(digest_of(bytes([0])), 10).offset == 0
    now[0] += uploads.MAX_AGE_S + 1
    made.begin(digest_of(b"one more"), 10)
    with pytest.raises(NotFoundError):
        made.find(digest_of(bytes([0])))


def test_what_a_power_cut_tore_is_found_and_sent_again(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    data = os.urandom(100_000)
    digest = digest_of(data)
    made = Uploads(tmp_path / "blobs" / "uploads", blobs, lambda: 0.0)
    made.begin(digest, len(data))
    path = next((tmp_path / "blobs" / "uploads").iterdir())
    # Its length arrived on the disk, and its bytes did not.
    path.write_bytes(bytes(60_000))
    again = Uploads(tmp_path / "blobs" / "uploads", blobs, lambda: 0.0)
    assert again.find(digest).offset == 60_000
    with pytest.raises(DigestError):
        again.append(digest, 60_000, _Source(data[60_000:]))
    again.begin(digest, len(data))
    again.append(digest, 0, _Source(data))
    assert blobs.read(digest, limit=len(data)) == data


class _Away(FolderBackend):
    """A backend whose place is out of reach at first."""

    away = True

    def take(self, path: Path, blob: Blob) -> None:
        if self.away:
            raise ObjectStoreError("the object store does not answer")
        super().take(path, blob)


def test_the_last_byte_counts_once_the_blob_is_stored(tmp_path: Path) -> None:
    backend = _Away(tmp_path / "away")
    blobs = BlobStore(tmp_path / "blobs", backend)
    data = os.urandom(100_000)
    digest = digest_of(data)
    made = Uploads(tmp_path / "uploads", blobs, lambda: 0.0)
    made.begin(digest, len(data))
    with pytest.raises(ObjectStoreError):
        made.append(digest, 0, _Source(data))
    # As after a kill between the last byte and the blob, too.
    assert made.begin(digest, len(data)).offset == len(data) - 1
    with pytest.raises(ConflictError):
        made.append(digest, len(data), _Source(b""))
    backend.away = False
    assert made.append(digest, len(data) - 1, _Source(data[-1:])).offset == len(data)
    assert made.find(digest).offset == len(data)
    assert blobs.read(digest, limit=len(data)) == data
    assert list((tmp_path / "uploads").iterdir()) == []


class _Source:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end."""
        piece, self._data = self._data[:size], self._data[size:]
        return piece
