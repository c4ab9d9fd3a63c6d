"""The whole API against its document, telemetry that waits included: minutes, not seconds."""

from pathlib import Path

import pytest

from support.cloud_server import CloudServer
from support.fuzzer import fuzz

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]


def test_the_api_keeps_what_its_document_says_at_length(tmp_path: Path) -> None:
    with CloudServer(tmp_path / "data") as server:
        server.build("thing")
        server.add_device("porch-camera")
        server.post("/v1/models", {"name": "face", "files": [server.upload(b"w", "w.bin")]})
        for options in (
            ("--max-examples=50", "--exclude-path=/v1/telemetry"),
            # Where it waits for what does not come, it does so for up to a minute.
            ("--max-examples=5", "--include-path=/v1/telemetry", "--phases=coverage,fuzzing"),
        ):
            done = fuzz(server, tmp_path, *options, timeout_s=1000)
            assert done.returncode == 0, done.stdout[-8000:]
