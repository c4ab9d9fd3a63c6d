"""How fast blobs get into a bucket and out of it, next to boto3's own transfers.

    python benchmarks/object_storage.py

All talk to the same SeaweedFS, with parts of the same size and as many at a time, each time with
other bytes. boto3 neither hashes by SHA-256, nor verifies what it reads, nor syncs what it writes.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from measure import ratio
from results import Results
from rig import first_line, note, options, rig, show
from skerry_cloud.blobs import BlobStore
from skerry_cloud.blobs.s3.bucket import PART_BYTES, PARTS_AT_ONCE
from support.seaweedfs import BUCKET, KEY, SECRET, Seaweedfs, own_seaweedfs
from support.stores import address_of, s3_backend

SIZE = 256 * 1024 * 1024
SMALL = 50
PEER = "boto3==1.44.8"
NOT_SHOWN = (
    "Networks: all of it is on loopback, where the disk of the object store is the limit.",
    "A server's HTTP in front of it: see upload.py.",
)
TRANSFER = f"""
import sys, time
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

endpoint, path, key, way = sys.argv[1:]
client = boto3.client(
    "s3", endpoint_url=endpoint, region_name="us-east-1",
    config=Config(s3={{"addressing_style": "path"}}),
)
config = TransferConfig(
    multipart_threshold={PART_BYTES}, multipart_chunksize={PART_BYTES},
    max_concurrency={PARTS_AT_ONCE},
)
client.list_objects_v2(Bucket="{BUCKET}", MaxKeys=1)
begun = time.perf_counter()
if way == "up":
    client.upload_file(path, "{BUCKET}", key, Config=config)
elif way == "down":
    client.download_file("{BUCKET}", key, path, Config=config)
else:
    for number in range({SMALL}):
        client.put_object(Bucket="{BUCKET}", Key=f"{{key}}-{{number}}", Body=str(begun).encode())
print(time.perf_counter() - begun)
"""


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=5)
    results = Results("object_storage", NOT_SHOWN)
    os.environ.update(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
    with rig(given) as bench, own_seaweedfs() as server:
        weed = Path(sys.executable).with_name("weed")
        results.version("seaweedfs", first_line(str(weed), "version"))
        results.version("peer", PEER)
        taken = measure(bench.folder, server, bench.rounds)
    for way in ("up", "down"):
        for who in ("skerry", "boto3"):
            seconds = statistics.median(taken[f"{who} {way}"])
            results.add(f"{who} {way}", SIZE / 2**20 / seconds, "MiB/s")
    for who in ("skerry", "boto3"):
        each = statistics.median(taken[f"{who} small"]) / SMALL * 1000
        results.add(f"{who} small blobs, each", each, "ms")
    copied = statistics.median(taken["skerry from the cache"]) * 1000
    results.add("skerry opens a copy in its cache", copied, "ms")
    for way in ("up", "down", "small"):
        # Of times: above 1 is slower than the peer.
        times = ratio(taken[f"skerry {way}"], taken[f"boto3 {way}"])
        results.add(f"{way}: skerry / boto3", times, "x")
    show(results, given)


def measure(folder: Path, server: Seaweedfs, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each way took, by round."""
    python = peer_environment(folder / "peer")
    file = folder / "large.bin"
    taken: dict[str, list[float]] = {}
    for number in range(rounds):
        note(f"round {number + 1} of {rounds}")
        file.write_bytes(os.urandom(SIZE))
        for way, seconds in (*ours(folder, server, file), *theirs(python, server, file)):
            taken.setdefault(way, []).append(seconds)
    return taken


def ours(folder: Path, server: Seaweedfs, file: Path) -> Iterator[tuple[str, float]]:
    """Store a file, fetch it with an empty cache and with a full one, and store small blobs."""
    with stores(folder, server) as (writer, reader):
        with file.open("rb") as source:
            begun = time.perf_counter()
            stored = writer.put(source)
        yield "skerry up", time.perf_counter() - begun
        for way in ("skerry down", "skerry from the cache"):
            begun = time.perf_counter()
            # It is verified, and a file of this machine, when this returns.
            reader.open(stored.digest).close()
            yield way, time.perf_counter() - begun
        begun = time.perf_counter()
        for number in range(SMALL):
            writer.put(f"{begun} {number}".encode())
        yield "skerry small", time.perf_counter() - begun


def theirs(python: Path, server: Seaweedfs, file: Path) -> Iterator[tuple[str, float]]:
    """Do the same with boto3, in a process of its own that counts its transfers only."""
    copy = file.with_suffix(".copy")
    for way, path in (("up", file), ("down", copy), ("small", file)):
        command = [str(python), "-c", TRANSFER, server.endpoint, str(path), "peer/large", way]
        done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True)
        yield f"boto3 {way}", float(done.stdout)
    copy.unlink()


@contextmanager
def stores(folder: Path, server: Seaweedfs) -> Iterator[tuple[BlobStore, BlobStore]]:
    """Give two servers' stores on the same objects, each with a cache of its own."""
    address = address_of(server, server.fresh())
    with ExitStack() as undo:
        made = []
        for name in ("writer", "reader"):
            shutil.rmtree(folder / name, ignore_errors=True)
            backend = undo.enter_context(
                s3_backend(folder / name, address, cache_bytes=2 * SIZE, clock=time.time)
            )
            made.append(BlobStore(folder / name / "blobs", backend))
        yield made[0], made[1]


def peer_environment(folder: Path) -> Path:
    """Make an environment that has the peer, and return its Python."""
    note(f"making an environment for {PEER}")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", PEER]
    subprocess.run(install, check=True, timeout=200)
    return python


if __name__ == "__main__":
    main()
