"""Runtimes on real engines, one device for each test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dockerd import Dockerd
from support.images import OciImage, python_image
from support.runtime_bench import KINDS, Bench, maker


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a container's user can reach, with a path longer than a socket's address."""
    with tempfile.TemporaryDirectory(prefix="skr-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made) / ("long-" * 22)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, folder: Path) -> Iterator[Bench]:
    dockerd = request.getfixturevalue("dockerd") if request.param == "docker" else None
    assert dockerd is None or isinstance(dockerd, Dockerd)
    made = Bench(request.param, maker(request.param, dockerd), folder / "porch")
    yield made
    for key in made.runtime.instances():
        made.runtime.stop(key, grace_s=0)


@pytest.fixture(scope="session")
def python() -> OciImage:
    return python_image(1)
