"""Files to the cloud and back: only what the other side lacks, and verified."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from skerry.answers import File
from skerry.api import Api
from skerry.durable import check_writable, sync_folder, write_file
from skerry.files import MODEL_MARKER, LocalFile, name_problem
from skerry.sending import Sending
from skerry_contract import shape
from skerry_contract.errors import ConflictError, ContractError, DigestError, ModelError
from skerry_contract.shape import Size, Text

Count = Callable[[int], object]
RESUMABLE_BYTES = 8 * 1024 * 1024
"""From this size on a file is sent so that it can go on after an interruption."""
AT_ONCE = 4
"""Smaller files under way at a time."""
MAX_MARKER_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Marker:
    """What a download leaves beside the files: which ones it made, as relative paths."""

    files: Annotated[tuple[Annotated[str, Text(max_length=1000)], ...], Size(0, 100_000)]


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
        on_bytes: Called, from several threads, with how many more bytes are there, sent or not;
            less than 0 where a connection's end lost some that were counted.

    Raises:
        DigestError: A file changed while it was being sent.
        DeadlineError: It goes too slowly to ever end.
        NetworkError: The server went away; what it has of large files it keeps for a day.
    """
    different = {file.digest: file for file in files}.values()
    total = sum(file.size for file in different)
    small = [file for file in different if file.size < RESUMABLE_BYTES]
    with ThreadPoolExecutor(AT_ONCE, "upload") as pool:
        try:
            tasks = [pool.submit(_put, api, file, on_bytes) for file in small]
            sent = sum(task.result() for task in tasks)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for file in different:
        if file.size >= RESUMABLE_BYTES:
            sent += Sending(api, file, on_bytes).run()
    return Uploaded(sent, total - sent)


def _put(api: Api, file: LocalFile, on_bytes: Count) -> int:
    """Send a small file if the cloud lacks it; return how many bytes that was."""
    present = api.has_blob(file.digest)
    if not present:
        api.put_blob(file)
    on_bytes(file.size)
    return 0 if present else file.size


def download(
    api: Api, files: Sequence[File], target: Path, *, force: bool, on_bytes: Count
) -> None:
    """Make the folder ``target`` hold ``files``: all of them, verified, or nothing at all.

    Args:
        api: The server.
        files: What to fetch.
        target: Folder to make.
        force: Replace ``target`` if a download made it and nothing was added since.
        on_bytes: Called with the size of each piece that has come.

    Raises:
        ConflictError: ``target`` exists, and ``force`` was not given or does not cover it.
        ModelError: A file's name would lead out of the folder.
        DigestError: What came is not what the digest promised.
        OSError: The disk said no; ``target`` is as it was.
    """
    _check_target(target, force=force)
    target = target.resolve()
    for file in files:
        if problem := name_problem(file.path):
            raise ModelError(f"a file called {file.path!r}: its name {problem}")
        if file.path == MODEL_MARKER:
            raise ModelError(f"a file called {file.path!r}: the name is taken by downloads")
    check_writable(target.parent)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for file in files:
            _fetch(api, file, made / file.path, on_bytes)
        marker = _Marker(tuple(file.path for file in files))
        write_file(made / MODEL_MARKER, shape.dump(marker) + b"\n")
        made.chmod(0o755)
        # Fetching takes a while, and somebody may have used the folder meanwhile.
        _check_target(target, force=force)
        _put_in_place(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_target(target: Path, *, force: bool) -> None:
    """Raise ConflictError unless ``target`` is free, or ``force`` may replace what is there."""
    if not _occupied(target):
        return
    if not force:
        remedy = "Name another folder, or add --force if a download made it."
        raise ConflictError(f"{target} exists already", remedy=remedy)
    known = None if target.is_symlink() else _downloaded(target)
    remedy = "Name another folder, or remove it yourself; nothing was changed."
    if known is None:
        raise ConflictError(
            f"{target} was not made by a download, so --force does not replace it", remedy=remedy
        )
    if added := sorted(_entries(target) - known):
        raise ConflictError(
            f"{target} holds what no download made, such as {added[0]}", remedy=remedy
        )


def _downloaded(target: Path) -> frozenset[str] | None:
    """Return all paths that a download made in ``target``; None if none did."""
    try:
        data = (target / MODEL_MARKER).read_bytes()
        marker = shape.parse(_Marker, data, max_bytes=MAX_MARKER_BYTES)
    except (FileNotFoundError, NotADirectoryError, ContractError):
        return None
    folders = {str(folder) for name in marker.files for folder in PurePosixPath(name).parents}
    return frozenset({*marker.files, *folders, MODEL_MARKER})


def _entries(target: Path) -> frozenset[str]:
    """Return the paths of all files, links and folders below ``target``."""

    def refuse(error: OSError) -> None:
        raise error

    return frozenset(
        (Path(folder) / name).relative_to(target).as_posix()
        for folder, folders, files in os.walk(target, onerror=refuse)
        for name in (*folders, *files)
    )


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
        try:
            target.replace(old / "was")
            try:
                made.replace(target)
            except OSError:
                (old / "was").replace(target)
                raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    else:
        made.replace(target)
    sync_folder(target.parent)
