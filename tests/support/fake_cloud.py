"""A working stand-in for the cloud's HTTP API, in memory: what ``docs/api.md`` says."""

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support.findings import told_of

TOKEN = "people-token"
KEY = {"keyval": {"public": "00" * 32}, "keytype": "ed25519", "scheme": "ed25519"}
TRUST = {"keys": {"ab" * 32: KEY}, "roles": {"targets": {"keyids": ["ab" * 32], "threshold": 1}}}


class RefusalError(Exception):
    def __init__(self, status: int, code: str, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.document = {"error": {"code": code, "text": text, "remedy": remedy, "detail": ""}}


@dataclass
class FakeCloud:
    """All state, and what tests look at or arrange.

    ``trouble`` is a list of statuses that the next requests are answered with, before any work.
    """

    fleet: str = "home"
    url: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    modules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    builds: dict[str, dict[str, Any]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    deployments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    telemetry: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    trouble: list[int] = field(default_factory=list)
    build_error: dict[str, Any] | None = None
    ca: str = ""
    identities: int = 0

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        for pattern, call in self._routes():
            found = re.fullmatch(pattern, f"{method} {path}")
            if found:
                return call(query, body, *found.groups())
        raise RefusalError(404, "NOT_FOUND", f"there is no {method} {path}")

    def _routes(self) -> list[tuple[str, Callable[..., Any]]]:
        return [
            ("GET /v1/info", self._info),
            ("HEAD /v1/blobs/(.+)", self._get_blob),
            ("GET /v1/blobs/(.+)", self._get_blob),
            ("PUT /v1/blobs/(.+)", self._put_blob),
            ("POST /v1/models", self._register),
            ("GET /v1/models(?:/([^/]+))?", self._list_models),
            ("(GET|DELETE) /v1/models/([^/]+)/([^/]+)", self._one_model),
            ("POST /v1/modules", self._build),
            ("GET /v1/builds/([^/]+)", self._get_build),
            ("GET /v1/modules(?:/([^/]+))?", self._list_modules),
            ("(GET|DELETE) /v1/modules/([^/]+)/([^/]+)", self._one_module),
            ("POST /v1/devices", self._add_device),
            ("GET /v1/devices", self._list_devices),
            ("(GET|DELETE) /v1/devices/([^/]+)", self._one_device),
            ("POST /v1/devices/([^/]+)/identity", self._identity),
            ("POST /v1/deployments", self._push),
            ("GET /v1/deployments", self._list_deployments),
            ("(GET|DELETE) /v1/deployments/([^/]+)/([^/]+)", self._one_deployment),
            ("GET /v1/telemetry", self._telemetry),
        ]

    def _info(self, _query: Any, _body: bytes) -> Any:
        return {
            "version": "0.1.0",
            "fleet": self.fleet,
            "broker": {"host": "127.0.0.1", "port": 1883, "tls": False},
            "trust": TRUST,
        }

    def _get_blob(self, _query: Any, _body: bytes, digest: str) -> bytes:
        if digest not in self.blobs:
            raise RefusalError(404, "NOT_FOUND", f"there is no blob {digest}")
        return self.blobs[digest]

    def _put_blob(self, _query: Any, body: bytes, digest: str) -> Any:
        found = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if found != digest:
            raise RefusalError(400, "DIGEST", f"{digest}: the bytes hash to {found}")
        self.blobs[digest] = body
        return {"digest": digest, "size": len(body)}

    def _register(self, _query: Any, body: bytes) -> Any:
        new = json.loads(body)
        self._check_files(new["files"])
        size = sum(one["size"] for one in new["files"])
        findings = told_of(new["files"], self.blobs)
        return self._next(self.models, new["name"], {**new, "size": size, "findings": findings})

    def _check_files(self, files: list[dict[str, Any]]) -> None:
        for one in files:
            if len(self.blobs.get(one["digest"], b"")) != one["size"]:
                raise RefusalError(404, "NOT_FOUND", f"{one['path']} was not uploaded")

    def _next(self, kept: dict[str, list[dict[str, Any]]], name: str, new: Any) -> Any:
        versions = kept.setdefault(name, [])
        made = {**new, "version": len(versions) + 1, "created": "2026-01-02T03:04:05Z"}
        versions.append(made)
        return made

    def _list_models(self, _query: Any, _body: bytes, name: str | None) -> Any:
        return {"models": self._list(self.models, "model", name)}

    def _list(self, kept: dict[str, list[dict[str, Any]]], what: str, name: str | None) -> Any:
        if name is None:
            return [versions[-1] for versions in kept.values() if versions]
        if name not in kept:
            raise RefusalError(404, "NOT_FOUND", f"there is no {what} {name}")
        return kept[name][::-1]

    def _one_model(self, _q: Any, _body: bytes, method: str, name: str, version: str) -> Any:
        users = [
            f"{module['name']}:{module['version']}"
            for versions in self.modules.values()
            for module in versions
            if f"{name}:{version}" in module["models"]
        ]
        if method == "DELETE" and users:
            raise RefusalError(409, "CONFLICT", f"model {name}:{version} is part of {users[0]}")
        return self._one(self.models, method, name, version)

    def _one(
        self, kept: dict[str, list[dict[str, Any]]], method: str, name: str, version: str
    ) -> Any:
        for one in kept.get(name, []):
            if version in (str(one["version"]), "latest"):
                if method == "DELETE":
                    kept[name].remove(one)
                return one
        raise RefusalError(404, "NOT_FOUND", f"there is no {name}:{version}")

    def _build(self, _query: Any, body: bytes) -> Any:
        order = json.loads(body)
        self._check_files(order["files"])
        build = f"b{len(self.builds) + 1}"
        lines = [{"n": 1, "text": f"building {order['name']}"}, {"n": 2, "text": "resolving"}]
        self.builds[build] = {"id": build, "order": order, "log": lines, "looks": 0}
        return {"id": build, "state": "running", "log": []}

    def _get_build(self, query: dict[str, str], _body: bytes, build: str) -> Any:
        kept = self.builds[build]
        kept["looks"] += 1
        after = int(query.get("after", 0))
        log = [line for line in kept["log"] if line["n"] > after]
        if kept["looks"] == 1:
            return {"id": build, "state": "running", "log": log[:1]}
        if self.build_error is not None:
            return {"id": build, "state": "failed", "log": log, "error": self.build_error}
        if "module" not in kept:
            order = kept["order"]
            layers = [{"digest": "sha256:" + "1" * 64, "size": 9, "kind": "base", "reused": True}]
            image = {"digest": "sha256:" + "2" * 64, "size": 9, "layers": layers}
            images = dict.fromkeys(order["platforms"], image)
            kept["module"] = self._next(self.modules, order["name"], {**order, "images": images})
        return {"id": build, "state": "succeeded", "log": log, "module": kept["module"]}

    def _list_modules(self, _query: Any, _body: bytes, name: str | None) -> Any:
        return {"modules": self._list(self.modules, "module", name)}

    def _one_module(self, _q: Any, _body: bytes, method: str, name: str, version: str) -> Any:
        return self._one(self.modules, method, name, version)

    def _add_device(self, _query: Any, body: bytes) -> Any:
        new = json.loads(body)
        if new["id"] in self.devices:
            raise RefusalError(409, "CONFLICT", f"device {new['id']} is known already")
        self.devices[new["id"]] = {**new, "presence": "unknown", "events": []}
        return self.devices[new["id"]]

    def _list_devices(self, _query: Any, _body: bytes) -> Any:
        return {"devices": list(self.devices.values())}

    def _one_device(self, _query: Any, _body: bytes, method: str, device: str) -> Any:
        if device not in self.devices:
            raise RefusalError(404, "NOT_FOUND", f"there is no device {device}")
        return self.devices.pop(device) if method == "DELETE" else self.devices[device]

    def _identity(self, query: Any, body: bytes, device: str) -> Any:
        self._one_device(query, body, "GET", device)
        self.identities += 1
        broker = {"host": "127.0.0.1", "port": 1883, "tls": bool(self.ca)}
        about = {"schema": 1, "fleet": self.fleet, "device": device, "broker": broker}
        about |= {"cloud": {"url": self.url}, "runtime": "auto", "heartbeat_s": 60}
        return {
            "device": about,
            "trust": TRUST,
            "token": f"secret-{self.identities}",
            "ca": self.ca,
        }

    def _push(self, _query: Any, body: bytes) -> Any:
        try:
            manifest = json.loads(body)
        except ValueError:
            error = "manifest: line 3, column 5: modules.cam: unknown field"
            raise RefusalError(422, "MANIFEST", error, "See docs/manifest.md.") from None
        devices = [
            {"device": device, "presence": "online", "phase": "idle"}
            for device in manifest["target"]["devices"]
        ]
        new = {"name": manifest["name"], "devices": devices, "manifest": body.decode()}
        return self._next(self.deployments, manifest["name"], new)

    def _list_deployments(self, _query: Any, _body: bytes) -> Any:
        return {"deployments": self._list(self.deployments, "deployment", None)}

    def _one_deployment(self, _q: Any, _body: bytes, method: str, name: str, version: str) -> Any:
        return self._one(self.deployments, method, name, version)

    def _telemetry(self, query: dict[str, str], _body: bytes) -> Any:
        wanted = {key: query[key] for key in ("device", "module", "stream") if key in query}
        limit = int(query.get("limit", 100))
        if not 1 <= limit <= 1000:
            raise RefusalError(422, "CONTRACT", "limit: not from 1 to 1000")
        found = [
            (number, item)
            for number, item in enumerate(self.telemetry, 1)
            if all(item[key] == value for key, value in wanted.items())
        ]
        if "after" in query:
            found = [pair for pair in found if pair[0] > int(query["after"])][:limit]
        else:
            found = found[-limit:]
        last = found[-1][0] if found else int(query.get("after", len(self.telemetry)))
        return {"items": [item for _, item in found], "next": last}


@contextmanager
def fake_cloud(tls: ssl.SSLContext | None = None) -> Iterator[FakeCloud]:
    """Yield a cloud that serves on a free port of loopback."""
    cloud = FakeCloud()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cloud))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    cloud.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(cloud: FakeCloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            cloud.requests.append(f"{self.command} {parts.path}")
            try:
                status, answer = 200, self._answer(parts.path, dict(parse_qsl(parts.query)), body)
            except RefusalError as refusal:
                status, answer = refusal.status, refusal.document
            raw = isinstance(answer, bytes)
            data = answer if raw else json.dumps(answer).encode()
            self.send_response(status)
            kind = "application/octet-stream" if raw else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _answer(self, path: str, query: dict[str, str], body: bytes) -> Any:
            if cloud.trouble:
                raise RefusalError(cloud.trouble.pop(0), "INTERNAL", "the fake is in trouble")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise RefusalError(
                    401, "UNAUTHORIZED", "the token is not known", "Flash the device anew."
                )
            return cloud.answer(self.command, path, query, body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 (http.server's names)

        def log_message(self, *_args: object) -> None:
            pass

    return Handler
