"""Lists of uploaded files: which paths are fit to be written on another machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

from skerry_cloud.blobs import BlobStore
from skerry_contract.errors import ModelError, NotFoundError
from skerry_contract.names import DIGEST
from skerry_contract.shape import Range, Text

MAX_FILES = 100_000


@dataclass(frozen=True, slots=True)
class File:
    """One uploaded file.

    Attributes:
        path: Relative path, with slashes.
        digest: Content address of its bytes.
        size: Length in bytes.
    """

    path: Annotated[str, Text(max_length=1024)]
    digest: Annotated[str, Text(DIGEST, 71, "'sha256:' and 64 of 0-9 and a-f")]
    size: Annotated[int, Range(0)]


def check_files(files: Sequence[File], blobs: BlobStore, *, owner: str) -> None:
    """Refuse a list of files that could not be laid out in a folder, or whose bytes are not here.

    Args:
        files: What was named.
        blobs: Where the bytes should be.
        owner: Whose files these are, for the error's text.

    Raises:
        ModelError: The list is empty, or a path or size is wrong.
        NotFoundError: Bytes were not uploaded.
    """
    if not files:
        raise ModelError(f"{owner} has no files", remedy="Name a file, or a folder with files.")
    check_paths([file.path for file in files], owner=owner)
    for file in files:
        if not blobs.has(file.digest):
            raise NotFoundError(
                f"{owner}: the bytes of {file.path} ({file.digest}) are not here",
                remedy=f"Upload them first: PUT /v1/blobs/{file.digest}",
            )
        actual = blobs.size(file.digest)
        if actual != file.size:
            raise ModelError(f"{owner}: {file.path} has {actual} bytes, not {file.size}")


def check_paths(paths: Sequence[str], *, owner: str) -> None:
    """Refuse paths that are unsafe, stand twice, or are a file and a folder at once.

    Raises:
        ModelError: Naming the path.
    """
    seen: set[str] = set()
    for path in paths:
        if not _is_plain(path):
            raise ModelError(
                f"{owner}: {path[:200]!r} is no plain relative path",
                remedy="Use paths such as models/face.tflite, without '..' and control characters.",
            )
        if path in seen:
            raise ModelError(f"{owner}: {path} stands twice in the list of files")
        seen.add(path)
    for path in paths:
        for folder in PurePosixPath(path).parents:
            if str(folder) in seen:
                raise ModelError(f"{owner}: {folder} is both a file and the folder of {path}")


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and len(path.encode()) <= 1024
        and all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    )
