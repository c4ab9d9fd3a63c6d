"""A cloud, and the command with a login to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry import login
from skerry.login import Login
from support.doubler import Doubler, own_doubler
from support.fake_cloud import TOKEN, FakeCloud, fake_cloud
from support.skerry_command import Skerry


@pytest.fixture(scope="session")
def doubler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doubler]:
    """A real server with two versions of a small module."""
    with own_doubler(tmp_path_factory.mktemp("doubler")) as running:
        yield running


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with fake_cloud() as running:
        yield running


@pytest.fixture
def skerry(cloud: FakeCloud, tmp_path: Path) -> Skerry:
    file = tmp_path / "login.json"
    login.write(file, Login(cloud.url, TOKEN))
    return Skerry(file, tmp_path)
