"""Schemathesis: judges a running API by its own OpenAPI document."""

import subprocess
from pathlib import Path

from support.cloud_server import CloudServer
from support.programs import need

# What the document promises. That data of the right form is accepted, it does not promise: names
# have to be free, and files to be uploaded.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)


def fuzz(
    server: CloudServer, folder: Path, *options: str, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Send requests made from the document, and judge the answers by it."""
    command = [
        need("schemathesis", "schemathesis"),
        "run",
        f"{server.ready.url}/openapi.json",
        f"--header=Authorization: Bearer {server.token}",
        f"--checks={','.join(CHECKS)}",
        "--seed=7",
        "--request-timeout=70",
        "--no-color",
        *options,
    ]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
