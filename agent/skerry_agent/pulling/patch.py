"""Make a layer from an older one and a delta: ``python -m skerry_agent.pulling.patch < job.json``.

A process of its own, because what it needs (LZMA, its dictionaries) would otherwise stay in the
agent's memory for good, and because the delta comes from outside: here it meets a memory limit, and
nothing but a file that nobody uses yet. What it makes is only kept if it has the digest that the
image's config promises for the layer.

``child_job`` has what it reads, says and ends with.
"""

import hashlib
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

from skerry_agent import child_job
from skerry_contract.delta import apply
from skerry_contract.errors import ContractError, DigestError
from skerry_contract.shape import Range, Text

_MEMORY_BYTES = 96 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_PathText = Annotated[str, Text(max_length=4096)]


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of what.

    Attributes:
        old: The older layer.
        gzip: Whether it is compressed.
        old_size: Bytes of it when it is not; more are not written.
        scratch: Where it may lie uncompressed meanwhile; the file is gone in the end.
        delta: The delta.
        target: Where the new layer goes, uncompressed.
        digest: What that must hash to.
        size: Bytes that it must have.
    """

    old: _PathText
    gzip: bool
    old_size: Annotated[int, Range(0)]
    scratch: _PathText
    delta: _PathText
    target: _PathText
    digest: str
    size: Annotated[int, Range(1)]


def patch(job: Job) -> None:
    """Make ``job.target``, and sync it.

    Raises:
        ContractError: The delta is none, or is for another layer.
        DigestError: What it makes is not what was promised.
        OSError: The disk refused.
    """
    hasher = hashlib.sha256()
    with _plain(job) as old, Path(job.delta).open("rb") as delta, _target(job) as file:

        def write(data: bytes) -> None:
            hasher.update(data)
            file.write(data)

        apply(old, delta, write, size=job.size)
        found = f"sha256:{hasher.hexdigest()}"
        if found != job.digest:
            raise DigestError(f"the delta made {found} instead of {job.digest}")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _target(job: Job) -> Iterator[IO[bytes]]:
    with Path(job.target).open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        yield file


@contextmanager
def _plain(job: Job) -> Iterator[IO[bytes]]:
    """Open the older layer so that it can be read from any place."""
    if not job.gzip:
        with Path(job.old).open("rb") as old:
            yield old
        return
    with Path(job.scratch).open("w+b") as scratch:
        Path(job.scratch).unlink()
        left = job.old_size
        for piece in _inflated(Path(job.old)):
            left -= len(piece)
            if left < 0:
                raise ContractError(f"the older layer has more than {job.old_size} bytes")
            scratch.write(piece)
        scratch.flush()
        yield scratch


def _inflated(path: Path) -> Iterator[bytes]:
    inflater = zlib.decompressobj(31)
    with path.open("rb") as file:
        while data := file.read(_PIECE_BYTES):
            while data:
                try:
                    yield inflater.decompress(data, _PIECE_BYTES)
                except zlib.error as error:
                    raise ContractError(f"the older layer is damaged: {error}") from error
                data = inflater.unconsumed_tail
                if inflater.eof:
                    data, inflater = inflater.unused_data, zlib.decompressobj(31)


if __name__ == "__main__":
    sys.exit(child_job.do(Job, patch, memory_bytes=_MEMORY_BYTES))
