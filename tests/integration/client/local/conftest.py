"""Local services in a folder of the test's own, ended with it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skerry.local.places import Places
from skerry.local.service import LocalService

WriteScript = Callable[[str], Path]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    made = Places(tmp_path / "state", tmp_path / "cache")
    yield made

    for folder in made.services.glob("*"):
        LocalService(folder).delete()


@pytest.fixture
def write_script(tmp_path: Path) -> WriteScript:
    folder = tmp_path / "src"

    def write(text: str) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "score.py").write_text(text)
        return folder

    return write
