"""Runtimes on real engines.

Unpacking or loading an image takes longer than most tests: one device per runtime serves them all,
and is left as it was found. Tests about images have a device of their own.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dockerd import Dockerd
from support.images import OciImage, python_image
from support.runtime_bench import KINDS, Bench, maker


def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="skr-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made) / ("long-" * 22)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a container's user can reach, with a path longer than a socket's address."""
    yield from _folder()


@pytest.fixture(scope="module")
def lasting_folder() -> Iterator[Path]:
    yield from _folder()


def _bench(request: pytest.FixtureRequest, folder: Path) -> Bench:
    dockerd = request.getfixturevalue("dockerd") if request.param == "docker" else None
    assert dockerd is None or isinstance(dockerd, Dockerd)
    return Bench(request.param, maker(request.param, dockerd), folder / "porch")


def _clear(bench: Bench) -> None:
    for key in bench.runtime.instances():
        bench.runtime.stop(key, grace_s=0)
    for name in ("state/run", "inputs"):
        shutil.rmtree(bench.home / name, ignore_errors=True)


@pytest.fixture(params=KINDS, scope="module")
def lasting_bench(request: pytest.FixtureRequest, lasting_folder: Path) -> Bench:
    return _bench(request, lasting_folder / request.param)


@pytest.fixture
def bench(lasting_bench: Bench) -> Iterator[Bench]:
    """A device with one of the runtimes, on which nothing runs."""
    yield lasting_bench
    _clear(lasting_bench)


@pytest.fixture(params=KINDS)
def fresh(request: pytest.FixtureRequest, folder: Path) -> Iterator[Bench]:
    """A device of the test's own, without any image."""
    made = _bench(request, folder)
    yield made
    _clear(made)


@pytest.fixture(scope="session")
def python() -> OciImage:
    return python_image(1)
