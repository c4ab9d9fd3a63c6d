"""The blob store against what a single process cannot show: races, kills and a full disk."""

import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore, FolderBackend
from skerry_contract.names import Digest

pytestmark = pytest.mark.integration

DATA = os.urandom(3_000_000)
DIGEST = Digest(f"sha256:{hashlib.sha256(DATA).hexdigest()}")

WRITES_FOR_EVER = """
import sys
from pathlib import Path
from skerry_cloud.blobs import BlobStore
with BlobStore(Path(sys.argv[1])).writer() as writer:
    writer.write(b"x" * 100_000)
    print("half", flush=True)
    sys.stdin.read()
"""

FILLS_THE_DISK = """
import os, sys
from pathlib import Path
from skerry_cloud.blobs import BlobStore, FolderBackend
from skerry_contract.errors import NoSpaceError
root = Path(sys.argv[1])
blobs = BlobStore(root)
small = blobs.put(b"fits")
try:
    blobs.put(os.urandom(2_000_000))
except NoSpaceError as error:
    print(error.text)
print(sum(path.is_file() for path in root.rglob("*")), blobs.has(small.digest))
"""


def test_many_puts_of_the_same_bytes_at_once_all_succeed(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: BlobStore(tmp_path).put(DATA, DIGEST), range(24)))
    assert {blob.digest for blob in stored} == {DIGEST}
    with blobs.open(DIGEST) as file:
        assert file.read() == DATA
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        FolderBackend(tmp_path).path(DIGEST)
    ]


def test_a_killed_writer_leaves_no_blob_and_its_rest_is_cleared(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        BlobStore(tmp_path)
        assert len(list((tmp_path / "writing").iterdir())) == 1, "it is still being written"
        writer.send_signal(signal.SIGKILL)
    BlobStore(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_says_so_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    in_namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*in_namespace, str(tmp_path), sys.executable, FILLS_THE_DISK],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert "No space left on device" in said
    assert left == "1 True"
