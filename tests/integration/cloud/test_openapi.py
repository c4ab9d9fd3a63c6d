"""The API against its own OpenAPI document, by an independent fuzzer with a fixed seed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cloud_server import CloudServer
from support.fuzzer import fuzz

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    # What it judges is the same on each database, and takes a minute.
    pytest.mark.parametrize("server", ["sqlite"], indirect=True, scope="module"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    """One server: what is judged here does not depend on its database."""
    with CloudServer(tmp_path_factory.mktemp("data")) as running:
        yield running


def test_the_api_keeps_what_its_document_says(server: CloudServer, tmp_path: Path) -> None:
    server.build("thing")
    server.add_device("porch-camera")
    server.post("/v1/models", {"name": "face", "files": [server.upload(b"w", "w.bin")]})
    # Reading telemetry waits for up to a minute where it is asked to: see the slow tests.
    done = fuzz(server, tmp_path, "--max-examples=4", "--exclude-path=/v1/telemetry")
    assert done.returncode == 0, done.stdout[-8000:]
    assert "generated" in done.stdout


def test_a_version_that_no_database_can_hold_is_refused(server: CloudServer) -> None:
    got = server.ask("GET", "/v1/models/thing/121636277914328711168")
    assert got.status_code == 400


def test_a_method_that_a_path_does_not_know_is_told_with_those_that_it_does(
    server: CloudServer,
) -> None:
    got = server.ask("PATCH", "/v1/models")
    assert got.status_code == 405
    assert {"GET", "POST"} <= set(got.headers["Allow"].split(", "))
