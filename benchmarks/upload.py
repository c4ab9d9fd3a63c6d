"""How fast a large file gets to the server, next to ``curl -T`` and a copy on the same disk.

    python benchmarks/upload.py

All store the same file, whose first bytes change each time so that nothing is there already.
``curl -T`` sends to the same server, which verifies and syncs as well, but does not hash the file
before; ``dd conv=fsync`` uses no network at all.
"""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from measure import ratio
from results import Results
from rig import Rig, note, options, rig, show
from support.programs import need
from support.site import Site

SIZE = 512 * 1024 * 1024
NOT_SHOWN = (
    "Networks: all of it is on loopback, where the disk and the hash are the limit.",
    "Interruptions: what came before one is read once more at the end.",
)


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=5)
    results = Results("upload", NOT_SHOWN)
    with rig(given) as bench:
        results.version("python", sys.version.split()[0])
        ways = measure(bench, bench.site("site"))
    for way, taken in ways.items():
        speeds = sorted(SIZE / 2**20 / one for one in taken)
        results.add(way, speeds[len(speeds) // 2], "MiB/s")
    for peer in ("curl -T", "dd conv=fsync"):
        # Of times: above 1 is slower than the peer.
        results.add(
            f"skerry model register / {peer}", ratio(ways["skerry model register"], ways[peer]), "x"
        )
    show(results, given)


def measure(bench: Rig, site: Site) -> dict[str, list[float]]:
    """Return the seconds that each way took, by round."""
    file = bench.folder / "large.bin"
    with file.open("wb") as out:
        for _ in range(SIZE // 2**20):
            out.write(os.urandom(2**20))
    ways: dict[str, list[float]] = {}
    for number in range(bench.rounds):
        note(f"round {number + 1} of {bench.rounds}")
        for way in ("curl -T", "skerry model register", "dd conv=fsync"):
            change(file)
            command = commands(file, site)[way]
            begun = time.monotonic()
            subprocess.run(
                command, env=site.skerry.env, check=True, timeout=300, capture_output=True
            )
            ways.setdefault(way, []).append(time.monotonic() - begun)
    return ways


def run(command: list[str], site: Site) -> None:
    """Run a command to its good end."""
    subprocess.run(command, env=site.skerry.env, check=True, timeout=300, capture_output=True)


def commands(file: Path, site: Site) -> dict[str, list[str]]:
    """Return what to run for each way to store the file."""
    with file.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    url = f"{site.login['url']}/v1/blobs/sha256:{digest}"
    bearer = f"Authorization: Bearer {site.login['token']}"
    curl = [need("curl", "curl"), "--silent", "--fail", "-H", bearer, "-T", str(file), url]
    register = ["model", "register", "-p", str(file), "-n", "large"]
    copy = [f"if={file}", f"of={file}.copy", "bs=1M", "conv=fsync"]
    return {
        "curl -T": curl,
        "skerry model register": [sys.executable, "-m", "skerry", *register],
        "dd conv=fsync": [need("dd", "coreutils"), *copy],
    }


def change(file: Path) -> None:
    """Make the file another one, on the disk as in memory."""
    with file.open("r+b") as out:
        out.write(os.urandom(32))
        os.fsync(out.fileno())


if __name__ == "__main__":
    main()
