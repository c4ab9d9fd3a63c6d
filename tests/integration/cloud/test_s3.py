"""Blobs in a bucket: what its outages, kills, damages and refusals cost."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skerry_cloud.blobs import Blob, BlobStore
from skerry_cloud.blobs.s3.backend import UPLOAD_AGE_S, S3Backend
from skerry_cloud.blobs.s3.bucket import PART_BYTES, Bucket
from skerry_cloud.blobs.s3.cache import Cache
from skerry_cloud.blobs.s3.patience import Patience
from skerry_cloud.blobs.s3.uses import BlobUses
from skerry_cloud.database import Database
from skerry_contract.errors import DigestError, ObjectStoreError
from skerry_contract.names import Digest
from support.cable import Cable
from support.cloud_server import CloudServer
from support.postgresql import Postgresql
from support.seaweedfs import BUCKET, SECRET, Seaweedfs, own_seaweedfs
from support.stores import GRACE_S, address_of, s3_backend
from support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DATA = os.urandom(3 * PART_BYTES + 5)
DIGEST = Digest(f"sha256:{hashlib.sha256(DATA).hexdigest()}")
BLOB = Blob(DIGEST, len(DATA))
HEX = DIGEST.removeprefix("sha256:")
KEY = f"sha256/{HEX[:2]}/{HEX}"

PUTS_A_FILE = """
import sys, time
from pathlib import Path
from skerry_cloud.blobs.s3.address import BucketAddress
from skerry_cloud.blobs.s3.bucket import Bucket
prefix, endpoint, file, key, sha256 = sys.argv[1:]
path = Path(file)
Bucket(BucketAddress("skerry", prefix, endpoint)).put_file(key, path, path.stat().st_size, sha256)
"""


@pytest.fixture(scope="module")
def mortal(seaweedfs: Seaweedfs) -> Iterator[Seaweedfs]:
    """An object store of these tests alone, which they may end; the keys are the other's."""
    del seaweedfs
    with own_seaweedfs() as server:
        yield server


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def tampered(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def replace_object(server: Seaweedfs, prefix: str, body: bytes) -> None:
    client = server.client()
    client.put_object(Bucket=BUCKET, Key=prefix + KEY, Body=body)
    client.close()


def uploads(server: Seaweedfs, prefix: str) -> list[Any]:
    client = server.client()
    found = client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
    client.close()
    return list(found)


# --- outages and kills -------------------------------------------------------------------------


def test_a_kill_of_the_object_store_amid_an_upload_costs_only_time(
    mortal: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    ended: list[float] = []
    with Cable(mortal.port) as cable:

        def pause(seconds: float) -> None:
            ended.append(seconds)
            mended.wait(60)

        address = replace(
            address_of(mortal, mortal.fresh()), endpoint=f"http://127.0.0.1:{cable.port}"
        )
        mended = threading.Event()
        patience = Patience(pause=pause)
        backend = opened.enter_context(
            s3_backend(tmp_path, address, patience=patience, clock=time.time)
        )
        blobs = BlobStore(tmp_path / "blobs", backend)
        cable.hold()
        putting = threading.Thread(target=blobs.put, args=(DATA,))
        putting.start()
        # Held still, its first requests are under way when the other side dies.
        cable.mend()
        eventually(lambda: uploads(mortal, address.prefix), why="the upload to begin")
        mortal.stop(signal.SIGKILL)
        eventually(lambda: ended or not putting.is_alive(), why="somebody to notice")
        mortal.start()
        mended.set()
        putting.join(60)
        assert not putting.is_alive()
        assert ended, "it was over before the kill"
        assert blobs.read(DIGEST, limit=len(DATA)) == DATA
        with mortal_view(mortal, address.prefix, tmp_path) as fresh:
            assert b"".join(fresh.pieces(DIGEST, 0, len(DATA))) == DATA


def mortal_view(server: Seaweedfs, prefix: str, tmp_path: Path) -> Any:
    """Return a context with another server's backend on the same objects, with an empty cache."""
    address = replace(address_of(server, f"s3://{BUCKET}"), prefix=prefix)
    return s3_backend(tmp_path / "other", address, clock=time.time)


def test_a_reader_outlives_a_kill_of_the_object_store(
    mortal: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(mortal, mortal.fresh())
    stopped: list[float] = []

    def pause(seconds: float) -> None:
        stopped.append(seconds)
        if len(stopped) == 1:
            mortal.start()

    backend = opened.enter_context(
        s3_backend(
            tmp_path, address, cache_bytes=0, patience=Patience(pause=pause), clock=time.time
        )
    )
    BlobStore(tmp_path / "blobs", backend).put(DATA)
    pieces = backend.pieces(DIGEST, 0, len(DATA))
    came = [next(pieces)]
    mortal.stop(signal.SIGKILL)
    came += pieces
    assert b"".join(came) == DATA
    assert stopped, "it was read before the kill"


def test_while_the_object_store_is_away_copies_are_read_and_the_rest_is_told(
    mortal: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(mortal, mortal.fresh())
    hurried = Patience(within_s=0.0)
    backend = opened.enter_context(s3_backend(tmp_path, address, patience=hurried, clock=time.time))
    blobs = BlobStore(tmp_path / "blobs", backend)
    blobs.put(DATA)
    mortal.stop()
    try:
        assert not blobs.answers()
        assert blobs.read(DIGEST, limit=len(DATA)) == DATA
        assert b"".join(blobs.pieces(DIGEST, 5, 10)) == DATA[5:15]
        with pytest.raises(ObjectStoreError, match="cannot be looked for") as caught:
            blobs.put(b"something new")
        assert "--s3-endpoint" in caught.value.remedy
        assert list((tmp_path / "blobs" / "writing").iterdir()) == []
        with pytest.raises(ObjectStoreError, match="cannot be listed"):
            list(blobs.stored())
    finally:
        mortal.start()
    assert blobs.answers()
    assert blobs.put(b"something new").size == 13


def test_a_killed_server_leaves_no_blob_and_what_it_had_sent_is_forgotten_a_day_later(
    seaweedfs: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(seaweedfs, seaweedfs.fresh())
    file = tmp_path / "file"
    file.write_bytes(DATA)
    with Cable(seaweedfs.port) as cable:
        endpoint = f"http://127.0.0.1:{cable.port}"
        arguments = [address.prefix, endpoint, str(file), KEY, HEX]
        command = [sys.executable, "-c", PUTS_A_FILE, *arguments]
        with subprocess.Popen(command) as putting:
            eventually(lambda: uploads(seaweedfs, address.prefix), why="the upload to begin")
            putting.send_signal(signal.SIGKILL)
    now = [time.time()]
    backend = opened.enter_context(s3_backend(tmp_path, address, clock=lambda: now[0]))
    assert not backend.use(DIGEST)
    backend.tidy()
    assert len(uploads(seaweedfs, address.prefix)) == 1, "it may be another server's, alive"
    now[0] += UPLOAD_AGE_S + 60
    backend.tidy()
    assert uploads(seaweedfs, address.prefix) == []
    assert BlobStore(tmp_path / "blobs", backend).put(DATA) == BLOB


# --- damage ------------------------------------------------------------------------------------


def test_bytes_that_were_changed_in_the_bucket_are_never_taken_for_the_blob(
    seaweedfs: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(seaweedfs, seaweedfs.fresh())
    backend = opened.enter_context(s3_backend(tmp_path, address, clock=time.time))
    replace_object(seaweedfs, address.prefix, tampered(DATA))
    assert backend.find(DIGEST) == len(DATA)
    for _ in range(2):
        with pytest.raises(DigestError, match=DIGEST) as caught:
            backend.open(DIGEST)
        assert "Remove that object" in caught.value.remedy
    handed_on: list[bytes] = []
    with pytest.raises(DigestError):
        handed_on.extend(backend.pieces(DIGEST, 0, len(DATA)))
    assert sum(map(len, handed_on)) < len(DATA), "the end is held back"
    replace_object(seaweedfs, address.prefix, DATA)
    with backend.open(DIGEST) as file:
        assert file.read() == DATA


def test_bytes_that_change_on_the_way_are_refused_by_the_object_store(
    seaweedfs: Seaweedfs, tmp_path: Path
) -> None:
    address = address_of(seaweedfs, seaweedfs.fresh())
    bucket = Bucket(address, Patience(within_s=0.0))
    for size in (100, len(DATA)):
        path = tmp_path / "file"
        path.write_bytes(DATA[:size])
        wrong = hashlib.sha256(b"other").hexdigest()
        if size == 100:
            with pytest.raises(ObjectStoreError, match="BadDigest"):
                bucket.put_file(KEY, path, size, wrong)
            assert bucket.size(KEY) is None
        else:
            bucket.put_file(KEY, path, size, HEX)
            assert bucket.size(KEY) == size
    bucket.close()


def test_objects_that_are_no_blobs_are_left_alone(
    seaweedfs: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(seaweedfs, seaweedfs.fresh())
    backend = opened.enter_context(s3_backend(tmp_path, address, clock=time.time))
    client = seaweedfs.client()
    for name in ("sha256/ab/cd", f"sha256/zz/{HEX}", "sha256/README", "other"):
        client.put_object(Bucket=BUCKET, Key=address.prefix + name, Body=b"mine")
    client.close()
    assert list(backend.stored()) == []


def test_blobs_that_another_tool_copied_into_the_bucket_are_found(
    seaweedfs: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(seaweedfs, seaweedfs.fresh())
    backend = opened.enter_context(s3_backend(tmp_path, address, clock=time.time))
    folder = BlobStore(tmp_path / "folder")
    folder.put(DATA)
    client = seaweedfs.client()
    for path in (tmp_path / "folder" / "sha256").rglob("*/*"):
        name = path.relative_to(tmp_path / "folder").as_posix()
        client.put_object(Bucket=BUCKET, Key=address.prefix + name, Body=path.read_bytes())
    client.close()
    assert [one.digest for one in backend.stored()] == [DIGEST]
    assert BlobStore(tmp_path / "blobs", backend).read(DIGEST, limit=len(DATA)) == DATA


# --- disks -------------------------------------------------------------------------------------


def test_a_blob_larger_than_the_cache_is_handed_on_without_a_copy(
    seaweedfs: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(seaweedfs, seaweedfs.fresh())
    backend = opened.enter_context(
        s3_backend(tmp_path, address, cache_bytes=PART_BYTES, clock=time.time)
    )
    BlobStore(tmp_path / "blobs", backend).put(DATA)
    assert b"".join(backend.pieces(DIGEST, 0, len(DATA))) == DATA
    with backend.file(DIGEST) as path:
        assert path.read_bytes() == DATA
    assert [one for one in (tmp_path / "cache").rglob("*") if one.is_file()] == [
        tmp_path / "cache" / "boot"
    ]


FILLS_THE_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[5])
from skerry_cloud.blobs import BlobStore
from skerry_cloud.blobs.s3.address import BucketAddress
from skerry_contract.errors import NoSpaceError
from support.stores import s3_backend
import time
root, prefix, endpoint, digest = Path(sys.argv[1]), *sys.argv[2:5]
address = BucketAddress("skerry", prefix, endpoint)
with s3_backend(root / "server", address, clock=time.time) as backend:
    blobs = BlobStore(root / "blobs", backend)
    size = blobs.size(digest)
    print(sum(map(len, blobs.pieces(digest, 0, size))) == size)
    for act in (lambda: blobs.open(digest), lambda: blobs.put(bytes(20_000_000))):
        try:
            act()
        except NoSpaceError as error:
            print(error.code, bool(error.remedy))
    print(blobs.put(b"small").size)
"""


def test_a_full_disk_costs_copies_and_is_told_where_one_is_needed(
    seaweedfs: Seaweedfs, tmp_path: Path, opened: ExitStack
) -> None:
    address = address_of(seaweedfs, seaweedfs.fresh())
    backend = opened.enter_context(s3_backend(tmp_path, address, clock=time.time))
    BlobStore(tmp_path / "blobs", backend).put(DATA)
    small = tmp_path / "small"
    small.mkdir()
    script = 'mount -t tmpfs -o size=10m none "$1" && exec "$2" -c "$3" "$1" "$4" "$5" "$6" "$7"'
    in_namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    support = str(Path(__file__).parents[2])
    arguments = [FILLS_THE_DISK, address.prefix, seaweedfs.endpoint, DIGEST, support]
    done = subprocess.run(
        [*in_namespace, str(small), sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True", "NO_SPACE True", "NO_SPACE True", "5"]


# --- whole servers -----------------------------------------------------------------------------


def test_a_server_outlives_its_object_store_and_says_so(
    mortal: Seaweedfs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with CloudServer(tmp_path, **dict[str, Any](mortal.options())) as server:
        file = server.upload(DATA, "face.tflite")
        mortal.stop()
        try:
            health = server.ask("GET", "/healthz")
            assert (health.status_code, health.text) == (503, "not well: object store\n")
            # What is known and copied is served; the rest waits for the client to ask again.
            assert server.ask("GET", f"/v1/blobs/{DIGEST}").content == DATA
            answer = server.ask("GET", f"/v1/blobs/sha256:{'0' * 64}", timeout=60)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "OBJECT_STORE")
        finally:
            mortal.start()
        assert server.ask("GET", "/healthz").status_code == 200
        made = server.post("/v1/models", {"name": "face", "files": [file]})
        assert made["version"] == 1
    assert SECRET not in caplog.text


# --- several servers ---------------------------------------------------------------------------


def test_what_one_server_stored_another_on_the_same_database_and_bucket_serves(
    seaweedfs: Seaweedfs, postgresql: Postgresql, tmp_path: Path
) -> None:
    storage: dict[str, Any] = {"database": postgresql.fresh(), **seaweedfs.options()}
    with (
        CloudServer(tmp_path / "a", **storage) as first,
        CloudServer(tmp_path / "b", **storage) as second,
    ):
        file = first.upload(DATA, "weights.bin")
        made = second.post("/v1/models", {"name": "face", "files": [file]})
        assert first.get("/v1/models/face/1") == made
        assert second.build("cam", models=["face:1"], within_s=30)["state"] == "succeeded"
        tag = first.ask("GET", "/v2/cam/manifests/1").json()
        layers = [layer["digest"] for layer in tag["layers"]]
        assert DIGEST in layers
        end = {"Range": "bytes=-5"}
        for server in (first, second):
            answer = server.ask("GET", f"/v2/cam/blobs/{DIGEST}", headers=end)
            assert (answer.status_code, answer.content) == (206, DATA[-5:])


def test_two_servers_on_one_bucket_do_not_delete_what_the_other_uses(
    seaweedfs: Seaweedfs, postgresql: Postgresql, tmp_path: Path
) -> None:
    url = postgresql.fresh()
    address = address_of(seaweedfs, seaweedfs.fresh())
    now = [time.time()]
    databases = [Database(url), Database(url)]
    servers = [
        S3Backend(
            Bucket(address),
            Cache(tmp_path / str(number), 10**9),
            BlobUses(database, lambda: now[0]),
            grace_s=GRACE_S,
            clock=lambda: now[0],
        )
        for number, database in enumerate(databases)
    ]
    first, second = servers
    stores = [
        BlobStore(tmp_path / f"blobs-{number}", server) for number, server in enumerate(servers)
    ]
    digests = [stores[0].put(os.urandom(100)).digest for _ in range(40)]
    now[0] += 2 * GRACE_S
    promised: list[str] = []
    deleted: list[str] = []

    def use() -> None:
        promised.extend(digest for digest in digests if second.use(digest))

    def sweep() -> None:
        before = now[0] - GRACE_S
        deleted.extend(one for one in reversed(digests) if first.delete_unused(one, before))

    threads = [threading.Thread(target=act) for act in (use, sweep)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not set(promised) & set(deleted)
    assert set(promised) | set(deleted) == set(digests)
    assert {one.digest for one in first.stored()} == set(promised)
    # What one of them deleted, the other does not promise once its own note is old.
    now[0] += GRACE_S
    assert [digest for digest in deleted if second.use(Digest(digest))] == []
    for server, database in zip(servers, databases, strict=True):
        server.close()
        database.close()
