"""Files to the cloud and back: only what the other side lacks, and verified."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry.answers import File
from skerry.api import Api
from skerry.durable import sync_folder
from skerry.files import LocalFile, name_problem
from skerry_contract.errors import ConflictError, DigestError, ModelError

Count = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an upload came to, in bytes of different content."""

    sent: int
    present: int


def upload(api: Api, files: Iterable[LocalFile], on_bytes: Count = lambda _count: None) -> Uploaded:
    """Bring ``files`` to the cloud, each content once, and only what it does not hold.

    Args:
        api: The server.
        files: What to bring; two with the same content count as one.
        on_bytes: Called with the size of each file that is there, sent or not.

    Raises:
        DigestError: A file changed while it was being sent.
        NetworkError: The server went away.
    """
    sent = present = 0
    for file in {file.digest: file for file in files}.values():
        if api.has_blob(file.digest):
            present += file.size
        else:
            api.put_blob(file)
            sent += file.size
        on_bytes(file.size)
    return Uploaded(sent, present)


def download(
    api: Api, files: Sequence[File], target: Path, *, force: bool, on_bytes: Count
) -> None:
    """Make the folder ``target`` hold ``files``: all of them, verified, or nothing at all.

    Args:
        api: The server.
        files: What to fetch.
        target: Folder to make.
        force: Replace ``target`` if it exists.
        on_bytes: Called with the size of each piece that has come.

    Raises:
        ConflictError: ``target`` exists, and ``force`` was not given.
        ModelError: A file's name would lead out of the folder.
        DigestError: What came is not what the digest promised.
    """
    if _occupied(target) and not force:
        raise ConflictError(
            f"{target} exists already", remedy="Name another folder, or add --force to replace it."
        )
    for file in files:
        if problem := name_problem(file.path):
            raise ModelError(f"a file called {file.path!r}: its name {problem}")
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for file in files:
            _fetch(api, file, made / file.path, on_bytes)
        made.chmod(0o755)
        _put_in_place(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _occupied(target: Path) -> bool:
    return target.is_symlink() or (
        target.exists() and (not target.is_dir() or any(target.iterdir()))
    )


def _fetch(api: Api, file: File, path: Path, on_bytes: Count) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state, size = hashlib.sha256(), 0
    with path.open("xb") as out:

        def take(piece: bytes) -> None:
            nonlocal size
            state.update(piece)
            size += out.write(piece)
            on_bytes(len(piece))

        api.copy_blob(file.digest, take, max_bytes=file.size)
        out.flush()
        os.fsync(out.fileno())
    found = f"sha256:{state.hexdigest()}"
    if (found, size) != (file.digest, file.size):
        raise DigestError(f"{file.path}: {file.size} bytes of {file.digest} expected, got {found}")


def _put_in_place(made: Path, target: Path) -> None:
    if _occupied(target):
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        target.replace(old / "was")
        made.replace(target)
        shutil.rmtree(old)
    else:
        made.replace(target)
    sync_folder(target.parent)
