"""A model is kept while a build that runs needs it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry_cloud.blobs import BlobStore
from support.cloud_server import CloudServer, small_compiler
from support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What a build waits for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def server(tmp_path: Path, go_on: threading.Event) -> Iterator[CloudServer]:
    """A server whose builds wait until they may go on."""

    def compile_with(blobs: BlobStore, caches: Path) -> Any:
        compile_image = small_compiler(blobs, caches)

        def wait_and_compile(*given: Any, **named: Any) -> Any:
            assert go_on.wait(60)
            return compile_image(*given, **named)

        return wait_and_compile

    with CloudServer(tmp_path / "data", compile_with) as running:
        yield running
        go_on.set()


def test_a_model_is_not_deleted_while_it_is_built_in_and_the_error_says_into_what(
    server: CloudServer, go_on: threading.Event
) -> None:
    server.post("/v1/models", {"name": "net", "files": [server.upload(b"weights", "w.bin")]})
    order = {
        "name": "using",
        "files": [server.upload(b"def run(d): ...", "score.py")],
        "entry_script": "score.py",
        "models": ["net:1"],
    }
    build = server.post("/v1/modules", order)
    refusal = server.ask("DELETE", "/v1/models/net/1")
    assert refusal.status_code == 409, refusal.text
    error = refusal.json()["error"]
    assert error["code"] == "CONFLICT"
    assert "net:1 is being built into using:1" in error["text"]
    assert "build has ended" in error["remedy"]
    go_on.set()
    path = f"/v1/builds/{build['id']}"
    ended = eventually(lambda: one if (one := server.get(path))["state"] != "running" else None, 60)
    assert ended["module"]["models"] == ["net:1"]
    assert server.ask("DELETE", "/v1/models/net/1").status_code == 409
    assert server.ask("DELETE", "/v1/modules/using/1").status_code in (200, 204)
    assert server.ask("DELETE", "/v1/models/net/1").status_code in (200, 204)
