"""Environments of local services: made once by uv, from the real package index."""

import subprocess
import sys
from pathlib import Path

import pytest

from skerry.local.interpreter import provide
from skerry_contract.environment import Requirements
from skerry_contract.errors import EnvironmentFileError

OTHER = Requirements(("iniconfig==1.1.1",))
"""Small, pure, and not the version that runs these tests."""


def test_what_is_here_is_used_as_it_is(tmp_path: Path) -> None:
    assert provide(Requirements(("click",)), tmp_path, print) == Path(sys.executable)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    python = provide(OTHER, tmp_path, told.append)
    ask = "import importlib.metadata as m; print(m.version('iniconfig'))"
    done = subprocess.run(
        [python, "-c", ask], capture_output=True, text=True, timeout=50, check=True
    )
    assert done.stdout.strip() == "1.1.1"
    assert "iniconfig==1.1.1" in told[0]
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert provide(OTHER, tmp_path, told.append) == python
    assert len(told) == 1


def test_without_a_network_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(EnvironmentFileError) as caught:
        provide(OTHER, tmp_path / "environments", print)
    assert "iniconfig" in caught.value.detail
    assert "index" in caught.value.remedy
    left = [path.name for path in (tmp_path / "environments").iterdir() if path.is_dir()]
    assert left == []
