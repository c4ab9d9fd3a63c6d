"""Folders as tar archives: the same bytes for the same content, whenever and wherever."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def packed(folder: Path, more: Mapping[str, Path] | None = None) -> bytes:
    """Return ``folder`` as an archive, and files from elsewhere under the names given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_plain)
        for name, path in (more or {}).items():
            tar.add(path, name, filter=_plain)
    return out.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
