"""When blobs of a bucket were last used: in the database, which all servers on the bucket share.

An object store has no way to look and delete in one step, and the database has: who notes a use
and who deletes what is unused take turns, on whatever machines they are.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import select

from skerry_cloud.clock import Clock
from skerry_cloud.database import Database, blob_uses, put
from skerry_contract.names import Digest


class BlobUses:
    """Times of use, in seconds since 1970.

    Args:
        database: Where they are.
        clock: That of this machine; all servers' clocks agree within a quarter of the grace time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def note(self, digest: Digest) -> None:
        """Note that a blob is used now.

        Raises:
            DatabaseError: The database does not answer.
        """
        with self._database.write() as connection:
            put(connection, blob_uses, {"digest": digest, "used": self._clock()})

    def all(self) -> Mapping[str, float]:
        """Return when each blob was last used."""
        with self._database.read() as connection:
            return {row.digest: row.used for row in connection.execute(select(blob_uses))}

    def forget_before(self, when: float) -> None:
        """Forget all uses before ``when``."""
        with self._database.write() as connection:
            connection.execute(blob_uses.delete().where(blob_uses.c.used < when))

    @contextmanager
    def unused(self, digest: Digest, before: float) -> Iterator[bool]:
        """Tell whether a blob was not used since ``before``; nobody notes a use in the block.

        If it was not, and the block ends well, the blob's time is forgotten.
        """
        mine = blob_uses.c.digest == digest
        with self._database.write() as connection:
            used = connection.scalar(select(blob_uses.c.used).where(mine))
            unused = used is None or used < before
            yield unused
            if unused:
                connection.execute(blob_uses.delete().where(mine))
