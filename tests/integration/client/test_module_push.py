"""Pushing to Debian's docker-registry, and reading back with skopeo."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from skerry.api import Api
from skerry.images.documents import ModuleImages, digest_of
from skerry.images.source import CloudBlobs, module_images
from skerry.login import Login
from skerry.registry.address import parse_address
from skerry.registry.authorization import Authorization
from skerry.registry.connection import Connection
from skerry.registry.push import Push
from skerry.transport import Transport
from skerry_contract.errors import NetworkError
from skerry_contract.names import Reference
from support.cable import Cable
from support.certificates import certify
from support.doubler import Doubler
from support.registry import PASSWORD, USER, basic_auth, own_registry, token_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def push(doubler: Doubler, *arguments: object, stdin: str = "") -> Any:
    said = doubler.skerry.ok("module", "push", *arguments, "--output", "json", stdin=stdin)
    return json.loads(said)


def digest_there(doubler: Doubler, image: str, *options: str) -> str:
    return str(json.loads(doubler.skopeo("inspect", *options, f"docker://{image}"))["Digest"])


def images_of(doubler: Doubler, version: int) -> tuple[ModuleImages, CloudBlobs]:
    api = Api(Transport(Login(doubler.server.ready.url, doubler.server.token)))
    return module_images(api, Reference("doubler", version)), CloudBlobs(api, "doubler")


def test_a_pushed_image_has_its_digest_and_only_what_lacks_is_sent(
    doubler: Doubler, tmp_path: Path
) -> None:
    with own_registry(tmp_path) as host:
        first = push(doubler, "doubler:1", f"{host}/team/doubler")
        assert (first["digest"], first["present"]) == (doubler.digest, 0)
        assert (
            digest_there(doubler, f"{host}/team/doubler:1", "--tls-verify=false") == doubler.digest
        )
        # Copying reads every byte and checks each digest and diff id against it.
        source = f"docker://{host}/team/doubler:1"
        doubler.skopeo("copy", "--src-tls-verify=false", source, f"dir:{tmp_path}/copied")
        again = push(doubler, "doubler:1", f"{host}/team/doubler:latest")
        assert (again["sent"], again["digest"]) == (0, doubler.digest)
        other = push(doubler, "doubler:2", f"{host}/team/doubler", "--mount", "team/doubler")
        assert other["present"] > 0
        mounted = push(doubler, "doubler:1", f"{host}/else/doubler", "--mount", "team/doubler")
        assert mounted["sent"] == 0
        tags = json.loads(
            doubler.skopeo("list-tags", "--tls-verify=false", f"docker://{host}/team/doubler")
        )
        assert {"1", "2", "latest"} <= set(tags["Tags"])


def test_several_platforms_are_pushed_as_an_index(doubler: Doubler, tmp_path: Path) -> None:
    with own_registry(tmp_path) as host:
        pushed = push(doubler, "doubler:2", f"{host}/doubler")
        raw = doubler.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/doubler:2")
        assert digest_of(raw.encode()) == pushed["digest"]
        source = f"docker://{host}/doubler:2"
        doubler.skopeo("copy", "--all", "--src-tls-verify=false", source, f"dir:{tmp_path}/copied")


def test_what_an_image_says_of_itself_is_pushed_and_listed(
    doubler: Doubler, tmp_path: Path
) -> None:
    with own_registry(tmp_path) as host:
        for _ in range(2):  # listing again does not list twice
            assert push(doubler, "doubler:1", f"{host}/doubler")["artifacts"] == 3
        # This registry has no list of referrers, so there is one by a tag.
        tag = doubler.digest.replace(":", "-")
        accept = {"Accept": "application/vnd.oci.image.index.v1+json"}
        url = f"http://{host}/v2/doubler/manifests"
        listed = requests.get(f"{url}/{tag}", headers=accept, timeout=10).json()["manifests"]
        assert {one["artifactType"] for one in listed} == {
            "application/vnd.cyclonedx+json",
            "application/vnd.in-toto+json",
            "application/vnd.skerry.lock.v1+txt",
        }
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        for one in listed:
            got = requests.get(f"{url}/{one['digest']}", headers=accept, timeout=10)
            assert got.json()["subject"]["digest"] == doubler.digest


def test_a_password_comes_from_stdin_the_environment_or_a_docker_login(
    doubler: Doubler, tmp_path: Path
) -> None:
    with own_registry(tmp_path, **basic_auth(tmp_path)) as host:
        to = f"{host}/doubler"
        refused = doubler.skerry("module", "push", "doubler:1", to)
        assert refused.returncode == 3
        assert "docker login" in refused.stderr
        push(
            doubler, "doubler:1", to, "--username", USER, "--password-stdin", stdin=PASSWORD + "\n"
        )
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": pair}}}))
        for variables in (
            {"DOCKER_CONFIG": str(tmp_path)},
            {"SKERRY_REGISTRY_USERNAME": USER, "SKERRY_REGISTRY_PASSWORD": PASSWORD},
        ):
            done = subprocess.run(
                [sys.executable, "-m", "skerry", "module", "push", "doubler:1", to],
                env={**doubler.skerry.env, **variables},
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        creds = ("--creds", f"{USER}:{PASSWORD}", "--tls-verify=false")
        assert digest_there(doubler, f"{to}:1", *creds) == doubler.digest


def test_a_token_is_fetched_where_the_registry_asks_for_one(
    doubler: Doubler, tmp_path: Path
) -> None:
    with (
        token_server(certify(tmp_path / "issuer")) as tokens,
        own_registry(tmp_path, **tokens.section) as host,
    ):
        who = ("--username", USER, "--password-stdin")
        pushed = push(doubler, "doubler:1", f"{host}/team/doubler", *who, stdin=PASSWORD)
        assert pushed["digest"] == doubler.digest
        assert tokens.asked[0]["scope"] == ["repository:team/doubler:pull,push"]
        wrong = doubler.skerry("module", "push", "doubler:1", f"{host}/x", *who, stdin="wrong")
        assert wrong.returncode == 3
        assert "no token" in wrong.stderr
        creds = ("--creds", f"{USER}:{PASSWORD}", "--tls-verify=false")
        assert digest_there(doubler, f"{host}/team/doubler:1", *creds) == doubler.digest


def test_a_registry_with_tls_is_believed_by_its_own_authority_only(
    doubler: Doubler, tmp_path: Path
) -> None:
    made = certify(tmp_path / "tls")
    tls = {"tls": {"certificate": str(made.certificate), "key": str(made.key)}}
    with own_registry(tmp_path, http=tls) as host:
        pushed = push(doubler, "doubler:1", f"{host}/doubler", "--ca", made.ca)
        assert pushed["digest"] == doubler.digest
        other = certify(tmp_path / "other")
        refused = doubler.skerry("module", "push", "doubler:1", f"{host}/doubler", "--ca", other.ca)
        assert refused.returncode == 3
        assert "--ca" in refused.stderr


def test_a_connection_that_breaks_is_taken_up_again(doubler: Doubler, tmp_path: Path) -> None:
    found, blobs = images_of(doubler, 1)
    with own_registry(tmp_path) as host, Cable(int(host.partition(":")[2])) as cable:
        address = parse_address(f"127.0.0.1:{cable.port}/doubler", "1")
        connection = Connection(
            f"http://{address.host}",
            Authorization(None, "", plain=True),
            pause=lambda _seconds: cable.mend(),
        )

        class Breaking(Push):
            breaks = 3

            def _send(self, where: str, piece: bytes, at: int) -> tuple[int, str]:
                if at and Breaking.breaks:
                    Breaking.breaks -= 1
                    cable.cut()
                return super()._send(where, piece, at)

        send = Breaking(connection, address, blobs, chunk_bytes=1024 * 1024)
        pushed = send(found, lambda _count: None)
        assert Breaking.breaks == 0
        assert pushed.sent > 1024 * 1024
        assert digest_there(doubler, f"{host}/doubler:1", "--tls-verify=false") == doubler.digest


def test_a_registry_that_is_not_there_is_told(doubler: Doubler) -> None:
    connection = Connection(
        "http://127.0.0.1:9", Authorization(None, "", plain=True), pause=lambda _seconds: None
    )
    found, blobs = images_of(doubler, 1)
    with pytest.raises(NetworkError, match="cannot be reached"):
        Push(connection, parse_address("127.0.0.1:9/x", "1"), blobs)(found, lambda _count: None)
