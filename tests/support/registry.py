"""Debian's docker-registry on loopback, and a token server that it believes."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import bcrypt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509 import load_pem_x509_certificate

from support.certificates import Certified
from support.ports import free_port, listens
from support.programs import need
from support.waiting import eventually

USER, PASSWORD = "pusher", "a: secret"


@contextmanager
def own_registry(folder: Path, **sections: Any) -> Iterator[str]:
    """Yield ``host:port`` of a registry; ``sections`` are more of its configuration."""
    port = free_port()
    http = {"addr": f"127.0.0.1:{port}", "secret": "x" * 16, **sections.pop("http", {})}
    storage = {"filesystem": {"rootdirectory": str(folder / "blobs")}}
    config = {"version": 0.1, "storage": storage, "http": http, **sections}
    file = folder / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    program = need("docker-registry", "docker-registry")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", file], stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or listens(port), 30, why="the registry")
        assert process.poll() is None, (folder / "log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def basic_auth(folder: Path) -> dict[str, Any]:
    """Return the section that lets ``USER`` in and nobody else."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    return {"auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}}


@dataclass
class TokenServer:
    """Gives out tokens to ``USER``; ``asked`` holds the queries."""

    url: str
    section: dict[str, Any]
    asked: list[dict[str, list[str]]] = field(default_factory=list)


@contextmanager
def token_server(certified: Certified) -> Iterator[TokenServer]:
    """Yield a token server whose certificate a registry may be told to believe."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{server.server_address[1]}/token"
    token = {"realm": url, "service": "tests", "issuer": "tests"}
    yielded = TokenServer(url, {"auth": {"token": {**token, "rootcertbundle": str(certified.ca)}}})
    server.RequestHandlerClass = _handler(yielded, certified)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield yielded
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(state: TokenServer, certified: Certified) -> type[BaseHTTPRequestHandler]:
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            state.asked.append(query)
            known = self.headers.get("Authorization") == f"Basic {pair}"
            answer = {"token": _token(query, certified)} if known else {}
            data = json.dumps(answer).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


def _token(query: dict[str, list[str]], certified: Certified) -> str:
    """Return a JWT that grants what was asked for, for half a minute."""
    kind, name, actions = query["scope"][0].split(":")
    now = int(time.time())
    certificate = load_pem_x509_certificate(Path(certified.certificate).read_bytes())
    chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    header = {"typ": "JWT", "alg": "ES256", "x5c": [chain]}
    claims = {
        "iss": "tests",
        "sub": USER,
        "aud": "tests",
        "exp": now + 30,
        "nbf": now - 5,
        "iat": now,
        "jti": str(now),
        "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
    }
    signed = ".".join(_text(json.dumps(part).encode()) for part in (header, claims))
    key = serialization.load_pem_private_key(Path(certified.key).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    pair = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_text(b''.join(part.to_bytes(32, 'big') for part in pair))}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
