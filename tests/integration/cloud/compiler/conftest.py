"""One blob store and one set of caches for all tests of the compiler: the base is made once."""

from pathlib import Path
from typing import Any

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import Image, compile_module
from support.modules import Build, doubling


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiler")


@pytest.fixture(scope="session")
def blobs(root: Path) -> BlobStore:
    return BlobStore(root / "blobs")


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def build(root: Path, blobs: BlobStore, log: list[str]) -> Build:
    def run(**changes: Any) -> Image:
        request = doubling(blobs, **changes)
        return compile_module(request, blobs, root / "caches", log.append)

    return run
