"""The same scripts and the same requests, to the real azureml-inference-server-http and to ours.

Slow, because it fetches that server with all that it needs into an environment of its own.
"""

import http.client
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.azure_scripts import REQUESTS, Asked
from support.ports import free_port
from support.scorer_host import HOST_FOLDER, Reply, eventually

pytestmark = pytest.mark.timeout(600)

THEIRS = ["azureml-inference-server-http==1.5.1", "flask-cors==6.0.5", "numpy", "pandas"]
COMPARED_HEADERS = (
    "x-ms-run-function-failed",
    "x-ms-request-id",
    "x-ms-client-request-id",
    "x-request-id",
    "traceid",
    "access-control-allow-origin",
    "x-one",
)
OWN_WORDS = {404, 405, 415, 431, 500}
"""Statuses whose text is ours: it says more."""


@pytest.fixture(scope="module")
def their_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("azure")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *THEIRS], check=True, timeout=500)
    return python


@contextmanager
def served(command: list[str | Path], env: dict[str, str], port: int, log: Path) -> Iterator[None]:
    whole = {"PATH": os.environ["PATH"], **env}
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=whole, stdout=out, stderr=out)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return ask(port, Asked("GET", "/")).status == 200
        except OSError:
            return False

    try:
        eventually(answers, within_s=60)
        yield
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, asked: Asked) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(asked.method, asked.path, asked.body, asked.headers)
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, fields, answer.read())
    finally:
        connection.close()


def essence(asked: Asked, reply: Reply) -> dict[str, Any]:
    """Return what has to be alike."""
    headers = {n: reply.headers[n] for n in COMPARED_HEADERS if n in reply.headers}
    if "x-request-id" not in asked.headers:  # made up, and the others may stand in for it
        headers = {n: v for n, v in headers.items() if not v.isalnum() or len(v) < 30}
        headers = {n: v for n, v in headers.items() if v.count("-") != 4}
    if "Origin" not in asked.headers:  # theirs names one to who has not asked for any
        headers.pop("access-control-allow-origin", None)
    body: Any = reply.body
    if reply.headers.get("content-type", "").startswith("application/json"):
        body = json.loads(reply.body)
    if reply.status in OWN_WORDS:
        body = sorted(body) if isinstance(body, dict) else body
    if asked.path.startswith("/swagger.json") and reply.status == 200:
        body = schemas(body)
    return {"status": reply.status, "headers": headers, "body": body}


def schemas(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a description says about the script."""
    found = document.get("definitions") or document["components"]["schemas"]
    version = document.get("swagger") or document["openapi"]
    return {"version": version, "in": found["ServiceInput"], "out": found["ServiceOutput"],
            "paths": sorted(document["paths"])}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_request_has_the_same_answer(
    name: str, their_python: Path, tmp_path: Path
) -> None:
    script, requests = REQUESTS[name]
    (tmp_path / "score.py").write_text(script)
    env = {"AML_APP_ROOT": str(tmp_path), "AZUREML_ENTRY_SCRIPT": "score.py"}
    env |= {"SERVICE_PATH_PREFIX": "/api/v1/", "AML_CORS_ORIGINS": "http://a, http://b"}
    ports = free_port(), free_port()
    ours = {**env, "PYTHONPATH": str(HOST_FOLDER), "SKERRY_PORT": str(ports[1])}
    azmlinfsrv = their_python.with_name("azmlinfsrv")
    their_command: list[str | Path] = [azmlinfsrv, "--entry_script", tmp_path / "score.py"]
    with (
        served([*their_command, "--port", str(ports[0])], env, ports[0], tmp_path / "theirs"),
        served([sys.executable, "-m", "skerry_scorer"], ours, ports[1], tmp_path / "ours"),
    ):
        different = []
        for asked in requests:
            theirs, our = (essence(asked, ask(port, asked)) for port in ports)
            if theirs != our:
                different.append(f"{asked}\n  theirs {theirs}\n  ours   {our}")
    assert not different, "\n".join(different)
