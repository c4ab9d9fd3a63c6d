"""Topics of a broker that lets in only whom it knows: TLS, certificates, users and passwords."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from support.agent_socket import Listen
from support.certificates import Certified, certify, certify_client
from support.mosquitto import Mosquitto
from support.programs import need
from support.scorer_host import MakeHost, ScorerHost, eventually

pytestmark = pytest.mark.integration

LENGTH = "def init(): ...\ndef run(data): return len(data)\n"


@dataclass(frozen=True)
class Guarded:
    """A broker that wants a certificate, a user and a password, and who may have them."""

    mosquitto: Mosquitto
    server: Certified
    client: Certified
    folder: Path

    def password(self, user: str, password: str) -> None:
        """Let the broker know a user's password from its next start on."""
        file = self.folder / "passwords"
        create = [] if file.exists() else ["-c"]
        program = need("mosquitto_passwd", "mosquitto")
        subprocess.run([program, *create, "-b", file, user, password], check=True, timeout=20)

    def publish(self, payload: str) -> None:
        program = need("mosquitto_pub", "mosquitto-clients")
        tls = ["--cafile", str(self.server.ca), "--cert", str(self.client.certificate)]
        where = ["-h", self.mosquitto.host, "-p", str(self.mosquitto.port), "-q", "1"]
        who = ["--key", str(self.client.key), "-u", "writer", "-P", "of the writer"]
        command = [
            program,
            *where,
            *tls,
            *who,
            "-t",
            "sensors/a/raw",
            "-m",
            payload,
        ]
        subprocess.run(command, check=True, timeout=30)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    server = certify(tmp_path / "authority")
    client = certify_client(tmp_path / "authority", "yard")
    broker = Mosquitto(
        tmp_path,
        "allow_anonymous false",
        f"password_file {tmp_path}/passwords",
        f"cafile {server.ca}",
        f"certfile {server.certificate}",
        f"keyfile {server.key}",
        "require_certificate true",
    )
    made = Guarded(broker, server, client, tmp_path)
    made.password("writer", "of the writer")
    made.password("yard", "of the yard")
    broker.start()
    yield made
    broker.stop()


@pytest.fixture
def secrets(tmp_path: Path, guarded: Guarded) -> Path:
    """The input's own folder, with all that the host has to show."""
    folder = tmp_path / "aside"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(guarded.server.ca.read_bytes())
    (folder / "yard.pem").write_bytes(guarded.client.certificate.read_bytes())
    (folder / "yard-key.pem").write_bytes(guarded.client.key.read_bytes())
    (folder / "password").write_text("of the yard\n")
    return folder


def subscribed(host: ScorerHost, guarded: Guarded, secrets: Path, **other: str) -> ScorerHost:
    broker: dict[str, Any] = {
        "host": guarded.mosquitto.host,
        "port": guarded.mosquitto.port,
        "tls": True,
        "ca_file": "ca.pem",
        "certificate_file": "yard.pem",
        "key_file": "yard-key.pem",
        "user": "yard",
        "password_file": "password",
        **other,
    }
    topic = {"topic": "sensors/+/raw", "broker": broker, "aside": str(secrets)}
    host.settings(inputs={"raw": topic})
    host.ready().request("POST", "/skerry/serve")
    return host


def told(host: ScorerHost, words: str) -> None:
    eventually(lambda: words in host.log.read_text())


def test_secrets_of_files_let_it_in_and_stay_out_of_the_log(
    make_host: MakeHost, listen: Listen, guarded: Guarded, secrets: Path
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    subscribed(host, guarded, secrets)
    told(host, "input raw: connected")
    guarded.publish("12345")
    eventually(lambda: agent.items)
    assert agent.items[0]["data"]["result"] == 5
    assert "of the yard" not in host.log.read_text()
    assert "PRIVATE" not in host.log.read_text()


def test_a_password_that_is_replaced_holds_from_the_next_connection_on(
    make_host: MakeHost, listen: Listen, guarded: Guarded, secrets: Path
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    subscribed(host, guarded, secrets)
    told(host, "input raw: connected")
    guarded.mosquitto.stop()
    guarded.password("yard", "another one")
    guarded.mosquitto.start()
    told(host, "the broker refuses: Not authorized")
    (secrets / "password").write_text("another one")
    guarded.publish("while it was away")  # the broker has kept the session
    eventually(lambda: agent.items)
    assert agent.items[0]["data"]["result"] == 17


def test_a_file_that_comes_later_is_waited_for(
    make_host: MakeHost, listen: Listen, guarded: Guarded, secrets: Path
) -> None:
    key = (secrets / "yard-key.pem").read_bytes()
    (secrets / "yard-key.pem").unlink()
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    subscribed(host, guarded, secrets)
    told(host, f"{secrets}/yard-key.pem: [Errno 2] No such file or directory")
    assert host.score(b"12").json == 2
    (secrets / "yard-key.pem").write_bytes(key)
    told(host, "input raw: connected")
    guarded.publish("1")
    eventually(lambda: agent.items)


def test_a_broker_of_another_authority_gets_neither_password_nor_certificate(
    make_host: MakeHost, listen: Listen, guarded: Guarded, secrets: Path, tmp_path: Path
) -> None:
    other = certify(tmp_path / "other")
    (secrets / "ca.pem").write_bytes(other.ca.read_bytes())
    host = make_host(LENGTH)
    listen(host.run_dir)
    subscribed(host, guarded, secrets)
    told(host, "CERTIFICATE_VERIFY_FAILED")
    assert "input raw: connected" not in host.log.read_text()
    assert "as yard" not in (tmp_path / "bare.log").read_text()


def test_a_client_of_another_authority_is_not_let_in(
    make_host: MakeHost, listen: Listen, guarded: Guarded, secrets: Path, tmp_path: Path
) -> None:
    certify(tmp_path / "other")
    other = certify_client(tmp_path / "other", "yard")
    host = make_host(LENGTH)
    listen(host.run_dir)
    certificate = {"certificate_file": str(other.certificate), "key_file": str(other.key)}
    subscribed(host, guarded, secrets, **certificate)
    told(host, f"input raw: {guarded.mosquitto.host}:{guarded.mosquitto.port}: ")
    assert "input raw: connected" not in host.log.read_text()


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(
    make_host: MakeHost, listen: Listen, guarded: Guarded, secrets: Path
) -> None:
    key = serialization.load_pem_private_key(guarded.client.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"a passphrase")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    (secrets / "locked.pem").write_bytes(key.private_bytes(*form, locked))
    host = make_host(LENGTH)
    listen(host.run_dir)
    subscribed(host, guarded, secrets, key_file=str(secrets / "locked.pem"))
    told(host, "locked.pem: ")
    assert host.score(b"12").json == 2
