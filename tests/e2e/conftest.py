"""What tests of the whole system share; everything that is started ends with its test."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.edge import Edge
from support.site import Site


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Downloads and unpacked environments, shared by every server of this run of the tests.

    ``SKERRY_TEST_CACHES`` names a folder that outlives the run.
    """
    kept = os.environ.get("SKERRY_TEST_CACHES")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("caches")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Make devices; they end with the test."""
    with ExitStack() as undo:

        def make(site: Site, name: str, runtime: str = "process") -> Edge:
            made = Edge(site, name, tmp_path / name)
            made.flash(runtime)
            undo.callback(made.end)
            return made

        yield make
