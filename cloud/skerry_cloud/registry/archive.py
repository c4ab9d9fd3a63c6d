"""Archives that are to be registered as the files in them."""

import zipfile
from collections.abc import Iterator

from skerry_cloud.blobs import BlobStore, Readable
from skerry_cloud.formats.archives import (
    MAX_TOTAL,
    Forwards,
    PlainTar,
    RefusedError,
    TarMembers,
    check_ratio,
    is_tar,
    open_zip,
    zip_members,
)
from skerry_cloud.formats.compressed import PIECE, Unpacked, kind_of
from skerry_cloud.formats.finding import DamagedError, TooCostlyError
from skerry_cloud.formats.source import BLOCK, Budget, Source
from skerry_cloud.registry.files import File, check_paths
from skerry_contract.errors import ModelError
from skerry_contract.names import Digest

UNPACK_S = 240.0
"""Seconds that unpacking may take."""
_ERRORS = (RefusedError, DamagedError, TooCostlyError, zipfile.BadZipFile, RuntimeError, EOFError)


def unpack(archive: File, blobs: BlobStore, *, owner: str) -> tuple[File, ...]:
    """Store the files of a zip or tar archive, and return them.

    Args:
        archive: The archive, uploaded already.
        blobs: Where it is, and where its files go.
        owner: Whose archive it is, for the text of errors.

    Raises:
        ModelError: It is no archive, or one that must not be unpacked.
        NoSpaceError: The disk is full.
    """
    with blobs.open(archive.digest) as blob:
        source = Source(blob, archive.size, Budget(2 * MAX_TOTAL, UNPACK_S))
        try:
            found = tuple(_files(source, blobs))
        except _ERRORS as error:
            raise ModelError(
                f"{owner}: {archive.path} is not unpacked: {error}",
                remedy="Unpack it yourself, and register the folder.",
            ) from error
    if not found:
        raise ModelError(f"{owner}: {archive.path} is an archive without files")
    check_paths([file.path for file in found], owner=f"{owner}: {archive.path}")
    return found


def _files(source: Source, blobs: BlobStore) -> Iterator[File]:
    start = source.start(BLOCK)
    kind = kind_of(start)
    if is_tar(start[:512]):
        yield from _from_tar(PlainTar(source), blobs)
    elif kind in ("gzip", "bzip2", "xz", "lzma"):
        stream = Unpacked(source, kind)
        for file in _from_tar(stream, blobs):
            check_ratio(file.path, stream.given, stream.taken)
            yield file
    elif archive := open_zip(source):
        for member, info in zip_members(archive):
            with archive.open(info) as data:
                yield _stored(member.name, data, blobs, member.size)
    else:
        raise DamagedError("it is no zip or tar archive")


def _from_tar(stream: Forwards, blobs: BlobStore) -> Iterator[File]:
    members = TarMembers(stream)
    for member in members:
        yield _stored(member.name, _Member(members), blobs, member.size)


class _Member:
    """The bytes of a tar's member, in pieces of a size that its stream gives."""

    def __init__(self, members: TarMembers) -> None:
        self._members = members

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, and none at the end."""
        return self._members.read(min(size, PIECE))


def _stored(name: str, data: Readable, blobs: BlobStore, size: int) -> File:
    blob = blobs.put(data, limit=size)
    path = name.removeprefix("./")
    return File(path, Digest(blob.digest), blob.size)
