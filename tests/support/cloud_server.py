"""A whole server in this process, on loopback, with a compiler that takes no time."""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import make_url

from skerry_cloud import serve
from skerry_cloud.assembly import CompileWith
from skerry_cloud.blobs import BlobStore
from skerry_cloud.builds import Compile, Job
from skerry_cloud.registry.modules import Checked, Image, Layer
from skerry_cloud.settings import Options, Settings
from skerry_contract.errors import InitFailedError
from support.waiting import eventually

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def small_compiler(blobs: BlobStore, caches: Path) -> Compile:
    """Make true OCI images whose layers are the uploaded files themselves.

    A script that holds the word ``raise`` fails as one whose ``init()`` raises.
    """
    del caches

    def compile_image(job: Job, platform: str, progress: Callable[[str], None]) -> Image:
        script = next(f for f in job.order.files if f.path == job.order.entry_script)
        text = blobs.read(script.digest, limit=1_000_000).decode()
        if job.order.check and "raise" in text:
            raise InitFailedError("init() raised", remedy="Mend it.", detail="Traceback …")
        files = [f for model in job.models for f in model.about.files] + list(job.order.files)
        layers = [Layer(f.digest, f.size, "models", reused=False) for f in files]
        progress(f"{len(layers)} layers")
        about = blobs.put(b'{"bomFormat": "CycloneDX", "components": []}')
        about_root = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}
        system, _, machine = platform.partition("/")
        about_image = {"os": system, "architecture": machine, "rootfs": about_root}
        config = blobs.put(json.dumps(about_image).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": config.digest, "size": config.size},
            "layers": [
                {"mediaType": _LAYER, "digest": layer.digest, "size": layer.size}
                for layer in layers
            ],
            "annotations": {"io.skerry.sbom": about.digest},
        }
        stored = blobs.put(json.dumps(manifest).encode())
        checked: Checked = "yes" if job.order.check else "not-asked"
        return Image(stored.digest, stored.size, tuple(layers), checked)

    return compile_image


class CloudServer:
    """A server that is started by ``with`` and has ended when the block is left."""

    def __init__(
        self, data: Path, compile_with: CompileWith = small_compiler, **options: Any
    ) -> None:
        self._compile_with = compile_with
        given = {"port": 0, "broker_port": 0, "broker": "mosquitto", **options}
        chosen = Options(**given)
        database = make_url(chosen.database) if chosen.database else None
        self.settings = Settings(data, chosen, database)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._ready: serve.Ready | None = None
        self.error: BaseException | None = None
        self.token = ""

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self._ready or self.error, within_s=30, why="the server to start")
        if self.error is not None:
            self._thread.join()
            raise self.error
        login = json.loads(Path(self.ready.login).read_bytes())
        self.token = login["token"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the server does not stop"

    @property
    def ready(self) -> serve.Ready:
        assert self._ready is not None
        return self._ready

    @property
    def broker_port(self) -> int:
        return int(self.ready.broker["port"])

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any
    ) -> requests.Response:
        """Send a request; ``body`` is bytes as they are, or anything else as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        bearer = self.token if token is None else token
        headers = {"Authorization": f"Bearer {bearer}", **more.pop("headers", {})}
        timeout_s = more.pop("timeout", 30)
        return requests.request(
            method, self.ready.url + path, data=data, headers=headers, timeout=timeout_s, **more
        )

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = b"") -> Any:
        answer = self.ask("POST", path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def upload(self, data: bytes, path: str) -> dict[str, Any]:
        """Upload bytes and return how a list of files names them."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert self.ask("PUT", f"/v1/blobs/{digest}", data).status_code == 200
        return {"path": path, "digest": digest, "size": len(data)}

    def build(
        self, name: str, script: bytes = b"def run(d): ...", *, within_s: float = 10, **more: Any
    ) -> Any:
        """Build a module and return the build once it has ended."""
        order = {
            "name": name,
            "files": [self.upload(script, "score.py")],
            "entry_script": "score.py",
        }
        build = self.post("/v1/modules", {**order, **more})
        path = f"/v1/builds/{build['id']}"
        return eventually(
            lambda: found if (found := self.get(path))["state"] != "running" else None, within_s
        )

    def add_device(self, device: str) -> Any:
        """Add a device and return its identity."""
        self.post("/v1/devices", {"id": device})
        return self.post(f"/v1/devices/{device}/identity")

    def _run(self) -> None:
        try:
            serve.run(self.settings, self._stop, self._is_ready, self._compile_with)
        except BaseException as error:  # noqa: BLE001 (handed to the test's own thread)
            self.error = error

    def _is_ready(self, ready: serve.Ready) -> None:
        self._ready = ready


def check_ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    """Check one signature with the cryptography library."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
