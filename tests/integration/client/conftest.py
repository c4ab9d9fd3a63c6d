"""A cloud, and the command with a login to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry import login
from skerry.login import Login
from support.fake_cloud import TOKEN, FakeCloud, fake_cloud
from support.skerry_command import Skerry


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with fake_cloud() as running:
        yield running


@pytest.fixture
def skerry(cloud: FakeCloud, tmp_path: Path) -> Skerry:
    file = tmp_path / "login.json"
    login.write(file, Login(cloud.url, TOKEN))
    return Skerry(file, tmp_path)
