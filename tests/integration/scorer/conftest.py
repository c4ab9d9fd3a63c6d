"""Scorer hosts that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agent_socket import AgentSocket, Answer, Listen, stored
from support.scorer_host import TEMPLATES, MakeHost, ScorerHost


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[MakeHost]:
    """Make hosts, not yet started: of a script's text, or of the echo template without one."""
    made: list[ScorerHost] = []

    def make(script: str = "", **env: str) -> ScorerHost:
        run_dir = tmp_path / f"run-{len(made)}"
        run_dir.mkdir()
        app_root = TEMPLATES / "echo"
        if script:
            app_root = tmp_path / f"app-{len(made)}"
            app_root.mkdir()
            (app_root / "score.py").write_text(script)
        made.append(ScorerHost(run_dir, app_root, **env))
        return made[-1]

    yield make
    for host in made:
        host.kill()


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """An empty input folder."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Make agent sockets that are closed in the end."""
    made: list[AgentSocket] = []

    def make(run_dir: Path, answer: Callable[[dict[str, Any]], Answer] = stored) -> AgentSocket:
        made.append(AgentSocket(run_dir, answer))
        return made[-1]

    yield make
    for agent in made:
        agent.close()
