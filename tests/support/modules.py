"""Small scorers and requests to compile them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import BuildRequest, FileEntry, Image, ModelFiles
from skerry_cloud.compiler.platforms import PLATFORMS

Build = Callable[..., Image]
"""Compiles the doubler with changes to its request."""
HERE = next(platform.name for platform in PLATFORMS if platform.is_here)
ELSEWHERE = next(platform.name for platform in PLATFORMS if not platform.is_here)

SCORE = """
import os
def init():
    global weight
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.txt")) as file:
        weight = int(file.read())
def run(data):
    return {"length": len(data) * weight}
"""
GOLDEN = '[{"input": "golden/four.txt", "expect": {"length": 8}}]'
SCORER = {"score.py": SCORE, "golden.json": GOLDEN, "golden/four.txt": "four"}
WITH_PACKAGE = {**SCORER, "environment.txt": "tqdm==4.67.1"}
WEIGHTS = {"weights.txt": "2"}


def stored(blobs: BlobStore, files: Mapping[str, str | bytes]) -> tuple[FileEntry, ...]:
    """Put ``files`` into ``blobs``."""
    found = []
    for path, content in files.items():
        blob = blobs.put(content.encode() if isinstance(content, str) else content)
        found.append(FileEntry(path, blob.digest, blob.size))
    return tuple(found)


def stored_folder(blobs: BlobStore, folder: Path) -> tuple[FileEntry, ...]:
    """Put all files below ``folder`` into ``blobs``."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return stored(blobs, files)


def doubling(blobs: BlobStore, **changes: Any) -> BuildRequest:
    """Return the request for a module that doubles lengths, with ``changes`` to its fields."""
    fields: dict[str, Any] = {
        "name": "doubler",
        "version": 1,
        "platform": HERE,
        "models": (ModelFiles("weights", 3, stored(blobs, WEIGHTS)),),
        "files": stored(blobs, SCORER),
        "entry_script": "score.py",
    }
    return BuildRequest(**{**fields, **changes})
