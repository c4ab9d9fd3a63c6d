"""A pull that is killed again and again ends with the right bytes, and fetches few of them twice.

The power cut is one of the machine's memory: what was not synced is still there in a test.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skerry_agent.pulling.partial import CHUNK_BYTES
from support.blob_server import BlobServer, blob_server
from support.images import noise, oci_image
from support.pulls import cloud, new_store, pull
from support.waiting import eventually

pytestmark = pytest.mark.integration

MADE = oci_image([noise(24 * 1024 * 1024, seed=41)])
BIG = MADE.layers[0]
CHILD = """
import sys
from pathlib import Path
from support.pulls import cloud, new_store
from support.images import PLATFORM
from skerry_agent.core.pace import Pace
from skerry_agent.pulling.pull import Puller
url, folder, digest, size = sys.argv[1:]
store = new_store(Path(folder))
pace = Pace(limit_bytes_s=6_000_000)
Puller([cloud(url)], store, platform=PLATFORM, pace=pace).pull("cam:1", digest, int(size))
"""


def killed_after(server: BlobServer, folder: Path, more: int) -> None:
    """Pull in a process of its own, and kill it once ``more`` bytes of the layer have come."""
    store = new_store(folder)
    before = store.partial_bytes(BIG)
    arguments = [server.url, str(folder), MADE.digest, str(MADE.size)]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        eventually(lambda: store.partial_bytes(BIG) >= before + more, 40, why="bytes come")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)


def test_kills_cost_no_byte_and_power_cuts_at_most_a_chunk_each(tmp_path: Path) -> None:
    with blob_server(MADE.blobs) as server:
        killed_after(server, tmp_path, 3_000_000)
        came = new_store(tmp_path).partial_bytes(BIG)
        killed_after(server, tmp_path, 3_000_000)
        assert server.asked[-1] == (BIG, came)

        came = new_store(tmp_path).partial_bytes(BIG)
        journal = next((tmp_path / "blobs" / "partial").glob("*.chunks"))
        journal.write_bytes(b"x" * 36 + journal.read_bytes()[36:])  # that was another boot
        pull(MADE, new_store(tmp_path), cloud(server.url))
        digest, again = server.asked[-1]
        assert digest == BIG
        assert came - CHUNK_BYTES - 65536 <= again <= came
