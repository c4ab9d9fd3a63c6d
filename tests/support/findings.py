"""What a server tells of files: the real recogniser, over a folder or over blobs."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.answers import Finding
from skerry_cloud.formats import examine
from skerry_contract import shape


@dataclass(frozen=True)
class _File:
    path: str
    digest: str
    size: int


def findings_of(root: Path) -> tuple[Finding, ...]:
    """Return what is told of the files below a folder, as the client reads it."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    told = examine(
        [_File(f.relative_to(root).as_posix(), str(f), f.stat().st_size) for f in files],
        lambda place: io.BytesIO(Path(place).read_bytes()),
        owner="the test",
    )
    return tuple(shape.read(Finding, shape.write(one)) for one in told.findings)


def told_of(files: Sequence[Mapping[str, Any]], blobs: Mapping[str, bytes]) -> list[Any]:
    """Return the same of files whose bytes are in memory, as JSON values."""
    told = examine(
        [_File(one["path"], one["digest"], one["size"]) for one in files],
        lambda digest: io.BytesIO(blobs[digest]),
        owner="the test",
    )
    return [shape.write(one) for one in told.findings]
