"""A real server with a module that the real compiler made, for tests of what leaves it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry import login
from skerry.login import Login
from skerry_cloud.compiling import compiler_into
from support.cloud_server import CloudServer
from support.modules import ELSEWHERE, GOLDEN, HERE, SCORE
from support.programs import need
from support.skerry_command import Skerry


@dataclass(frozen=True)
class Doubler:
    """``doubler:1`` with an environment, for this machine; ``doubler:2`` for two platforms.

    Attributes:
        server: Holds them.
        skerry: The command, with a login to it.
        digest: Of the image of the first.
        folder: For what is needed besides.
    """

    server: CloudServer
    skerry: Skerry
    digest: str
    folder: Path

    @property
    def host(self) -> str:
        """Where the server is, as container tools name it."""
        return self.server.ready.url.partition("://")[2]

    def skopeo(self, *arguments: str) -> str:
        """Run skopeo, which trusts all signatures, and return what it says."""
        policy = self.folder / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        command = [need("skopeo", "skopeo"), "--policy", str(policy), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def own_doubler(folder: Path, **options: Any) -> Iterator[Doubler]:
    """Start a server and build both versions."""
    with CloudServer(folder / "data", compiler_into, **options) as server:
        file = folder / "login.json"
        data = json.loads(Path(server.ready.login).read_bytes())
        login.write(file, Login(server.ready.url, server.token, data["ca"]))
        model = server.upload(b"2", "weights.txt")
        server.post("/v1/models", {"name": "weights", "files": [model], "framework": "plain"})
        files = [
            server.upload(b"four", "golden/four.txt"),
            server.upload(GOLDEN.encode(), "golden.json"),
            server.upload(b"six==1.17.0\n", "environment.txt"),
            server.upload(SCORE.encode(), "score.py"),
        ]
        order: dict[str, Any] = {"files": files, "models": ["weights:1"], "platforms": [HERE]}
        first = server.build("doubler", within_s=120, environment="environment.txt", **order)
        assert first["state"] == "succeeded", first["error"]
        second = server.build("doubler", within_s=120, **{**order, "platforms": [HERE, ELSEWHERE]})
        assert second["state"] == "succeeded", second["error"]
        digest = first["module"]["images"][HERE]["digest"]
        yield Doubler(server, Skerry(file, folder, timeout_s=100), digest, folder)
