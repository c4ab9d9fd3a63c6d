"""Ask the cloud for differences to what is on the device, and have them applied.

Nothing depends on it: whatever goes wrong here, the layer comes whole.
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from skerry_agent.pulling.images import Blob
from skerry_agent.pulling.registry import Registry
from skerry_agent.pulling.store import BlobStore
from skerry_agent.pulling.wire import Limits
from skerry_contract import shape
from skerry_contract.errors import ContractError, NetworkError, SkerryError, UnauthorizedError
from skerry_contract.names import DIGEST, Digest
from skerry_contract.shape import Range, Text

log = logging.getLogger(__name__)

LEAST_LAYER_BYTES = 16 * 1024
"""A smaller layer is not worth a question."""
MOST_BASES = 64
"""Layers that are named in one question."""
WAIT_S = 60.0
"""Longest time for which a delta that is being made is waited for."""
_MAX_ANSWER_BYTES = 16 * 1024
_MIN_RATE_BYTES_S = 256 * 1024
_MIN_DEADLINE_S = 120.0
_LOOK_S = 0.2
_DigestText = Annotated[str, Text(DIGEST, 71, "'sha256:' and 64 hex digits")]
_Bytes = Annotated[int, Range(1, 2**40)]


@dataclass(frozen=True, slots=True)
class Offer:
    """A delta that the cloud has.

    Attributes:
        base: Digest of the older layer that it starts from.
        digest: Digest of the delta.
        size: Its length in bytes.
        base_size: Bytes of the older layer when it is not compressed.
        plain_size: Bytes of the new layer when it is not compressed.
    """

    base: _DigestText
    digest: _DigestText
    size: _Bytes
    base_size: _Bytes
    plain_size: _Bytes

    @property
    def blob(self) -> Blob:
        """The delta, as something to fetch."""
        return Blob(Digest(self.digest), self.size)

    @property
    def room(self) -> int:
        """Bytes of disk that applying it takes at most: the delta and both layers, uncompressed."""
        return self.size + self.base_size + self.plain_size


def ask(
    cloud: Registry, name: str, layer: Blob, have: Collection[Digest], limits: Limits
) -> Offer | None:
    """Return what the cloud offers for a layer, or None if it must come whole.

    Args:
        cloud: The fleet's cloud.
        name: Name of the module.
        layer: The layer that is wanted.
        have: Layers that are here, by the digests that manifests name.
        limits: When to give up.

    Raises:
        PullCancelledError: Somebody cancelled.
    """
    if not have or layer.size < LEAST_LAYER_BYTES:
        return None
    query = urlencode([("have", digest) for digest in sorted(have)[:MOST_BASES]])
    path = f"v1/deltas/{name}/{layer.digest}?{query}"
    until = time.monotonic() + WAIT_S
    while True:
        try:
            with cloud.get(path, limits=limits, accept="application/json") as body:
                data = b"".join(body.chunks(_MAX_ANSWER_BYTES))
            offer = shape.parse(Offer, data, max_bytes=_MAX_ANSWER_BYTES, subject="delta")
        except NetworkError as error:
            pause_s = error.retry_after_s
            if not pause_s or time.monotonic() + pause_s > until:
                return None
            try:
                limits.rest(pause_s, path)
            except NetworkError:
                return None
        except (ContractError, UnauthorizedError) as error:
            log.warning("no delta for %s: %s", layer.digest, error)
            return None
        else:
            # One that is larger than what it saves is no gift.
            good = offer.base in have and offer.size < layer.size
            return offer if good else None


def apply(
    store: BlobStore, offer: Offer, base: Blob, diff_id: Digest, limits: Limits
) -> SkerryError | None:
    """Make a layer, as a plain tar under ``diff_id``; return why not, if it cannot be.

    Raises:
        PullCancelledError: Somebody cancelled.
        NetworkError: The deadline has passed.
    """
    hexdigits = diff_id.removeprefix("sha256:")
    target = store.work_path(hexdigits)
    failed: SkerryError | None = None
    try:
        job = {
            "old": str(store.path(base.digest)),
            "gzip": base.gzip,
            "old_size": offer.base_size,
            "scratch": str(store.work_path(f"{hexdigits}.old")),
            "delta": str(store.path(Digest(offer.digest))),
            "target": str(target),
            "digest": diff_id,
            "size": offer.plain_size,
        }
        _run(job, offer, limits)
        store.adopt(target, diff_id)
    except NetworkError:
        raise
    except SkerryError as error:
        failed = error
    except OSError as error:
        failed = ContractError(f"the delta for {diff_id} could not be applied: {error}")
    finally:
        target.unlink(missing_ok=True)
    store.discard(Digest(offer.digest))
    return failed


def _run(job: Mapping[str, object], offer: Offer, limits: Limits) -> None:
    """Apply in a process of its own, which ends with whoever cancels."""
    work = offer.base_size + offer.plain_size
    ends = time.monotonic() + max(_MIN_DEADLINE_S, work / _MIN_RATE_BYTES_S)
    child = subprocess.Popen(
        [sys.executable, "-m", "skerry_agent.pulling.patch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with child:
        told, sent = b"", json.dumps(job).encode()
        try:
            while True:
                try:
                    told, _ = child.communicate(sent, timeout=_LOOK_S)
                    break
                except subprocess.TimeoutExpired:
                    sent = b""
                    limits.check("a delta")
                    if time.monotonic() >= ends:
                        raise ContractError("applying took too long", subject="delta") from None
        finally:
            child.kill()
    if child.returncode:
        text = told.decode(errors="replace")[-500:] or f"status {child.returncode}"
        raise ContractError(f"cannot be applied: {text}", subject="delta")
