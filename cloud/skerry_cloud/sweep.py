"""Remove blobs that nothing needs any more.

What was uploaded and is not registered yet looks the same, so nothing goes that was stored or
asked for within the grace time. A sweep runs between builds, never beside one.
"""

import json
import logging
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select

from skerry_cloud.blobs import BlobStore, Stored
from skerry_cloud.clock import Clock
from skerry_cloud.compiler.reports import reports_named
from skerry_cloud.database import Database, builds, commands, model_files, models, module_images
from skerry_cloud.registry.referrers import referrers_of
from skerry_contract.errors import SkerryError

log = logging.getLogger(__name__)

_MAX_MANIFEST_BYTES = 4 * 1024 * 1024


class Sweep:
    """Removes, when called, what neither a model nor a module nor a build needs.

    Args:
        database: Says what is needed.
        blobs: Where to remove from.
        grace_s: Seconds that a blob is kept after it was last stored or asked for.
        clock: That of the blobs' files.
    """

    def __init__(
        self, database: Database, blobs: BlobStore, *, grace_s: float, clock: Clock
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._grace_s = grace_s
        self._clock = clock

    def __call__(self) -> int:
        """Sweep, and return how many bytes are free now; 0 too if it cannot be told what may go."""
        before = self._clock() - self._grace_s
        try:
            with self._database.read() as connection:
                needed = _needed(connection, self._blobs)
        except (SkerryError, OSError, ValueError, KeyError) as error:
            log.error("no unneeded blobs are removed: %s", error)  # noqa: TRY400 (its text says it all)
            return 0
        freed = 0
        try:
            for digest in unneeded(self._blobs.stored(), needed, before):
                freed += self._blobs.delete_unused(digest, before)
            self._blobs.tidy()
        except SkerryError as error:
            log.error("the rest is removed next time: %s", error)  # noqa: TRY400 (as above)
        if freed:
            log.info("removed blobs that nothing needs: %d bytes", freed)
        return freed


def unneeded(stored: Iterable[Stored], needed: Collection[str], before: float) -> list[str]:
    """Return the digests of blobs that are not needed and were last used before ``before``."""
    return [blob.digest for blob in stored if blob.digest not in needed and blob.used < before]


def _needed(connection: Connection, blobs: BlobStore) -> set[str]:
    needed = set(connection.scalars(select(model_files.c.digest)))
    bundles = select(commands.c.bundle).where(commands.c.bundle.is_not(None))
    needed.update(one for one in connection.scalars(bundles) if one)
    for more in connection.scalars(select(models.c.more)):
        samples = (more.get(name) for name in ("sample_input", "sample_output"))
        needed.update(sample["digest"] for sample in samples if sample)
    for order in connection.scalars(select(builds.c.order).where(builds.c.state == "running")):
        needed.update(file["digest"] for file in order["files"])
        # Orders of servers before this one had none.
        for digest in order.get("base", {}).values():
            manifest = json.loads(blobs.read(digest, limit=_MAX_MANIFEST_BYTES))
            needed.update((digest, manifest["config"]["digest"]))
            needed.update(layer["digest"] for layer in manifest["layers"])
    for row in connection.execute(select(module_images.c.digest, module_images.c.layers)):
        manifest = json.loads(blobs.read(row.digest, limit=_MAX_MANIFEST_BYTES))
        needed.update((row.digest, manifest["config"]["digest"]))
        needed.update(layer["digest"] for layer in row.layers)
        needed.update(reports_named(manifest).values())
        for one in referrers_of(row.digest, blobs):
            needed.update(one.digests)
    return needed
