"""What the broker programs are told, without running them."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509

from skerry_cloud.broker import TlsFiles, mosquitto, nats, provide_tls
from skerry_cloud.broker.accounts import AccountBook, Login, hashes_of
from skerry_cloud.broker.child import end_leftover
from skerry_cloud.broker.engine import Account, Change, Site
from skerry_cloud.broker.rights import SERVICE, VIEWER, Rights, device_rights
from skerry_cloud.broker.running import accounts_of
from skerry_cloud.durable import write_durably
from skerry_contract.errors import ContractError, NameInvalidError
from skerry_contract.topics import TO_DEVICE

SITE = Site(Path("/var/lib/b"), "127.0.0.1", 1883, None, Login("_control", "secret"))
TLS = TlsFiles("/t/ca.pem", "/t/server.pem", "/t/server.key")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def account(rights: Rights) -> Account:
    return Account("porch-camera", hashes_of("p" * 43), rights, client_id="porch-camera")


def test_a_device_writes_nothing_that_the_cloud_writes() -> None:
    rights = device_rights("home", "porch-camera")
    assert not set(rights.read) & set(rights.write)
    assert {f"skerry/v1/home/porch-camera/{tail}" for tail in TO_DEVICE} <= set(rights.read)
    assert all(t.startswith("skerry/v1/home/porch-camera/") for t in rights.read + rights.write)


@pytest.mark.parametrize(("fleet", "device"), [("home", "+"), ("#", "porch-camera"), ("home", "a")])
def test_rights_are_refused_to_ids_that_are_patterns(fleet: str, device: str) -> None:
    with pytest.raises(NameInvalidError):
        device_rights(fleet, device)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - a value to read, nothing is bound
        ("::", "::1"),
        ("192.0.2.7", "192.0.2.7"),
        ("localhost", "localhost"),
    ],
)
def test_this_machine_reaches_the_broker_where_it_listens(host: str, local: str) -> None:
    assert replace(SITE, host=host).local_host == local


def test_mosquitto_drops_root_only_where_it_has_no_other_folder_to_write() -> None:
    as_root, as_user = (
        mosquitto.config_of(SITE, "/plugin.so", Path("/var/lib/b/security"), is_root=is_root)
        for is_root in (True, False)
    )
    assert "user root" in as_root
    assert "user" not in as_user


def test_mosquitto_sends_small_packets_at_once() -> None:
    text = mosquitto.config_of(SITE, "/plugin.so", Path("/var/lib/b/security"), is_root=False)
    assert "set_tcp_nodelay true" in text.splitlines()


def test_mosquitto_speaks_tls_on_its_one_listener() -> None:
    text = mosquitto.config_of(
        replace(SITE, tls=TLS), "/plugin.so", Path("/var/lib/b/security"), is_root=False
    )
    lines = text.splitlines()
    assert lines[0] == "listener 1883 127.0.0.1"
    assert {"certfile /t/server.pem", "keyfile /t/server.key"} <= set(lines[1:4])


def test_mosquitto_holds_a_device_to_its_client_id_and_allows_nothing_by_default() -> None:
    security = mosquitto.security_of([account(device_rights("home", "porch-camera"))])
    assert security["clients"][0]["clientid"] == "porch-camera"
    allowed = [kind for kind, open_ in security["defaultACLAccess"].items() if open_]
    assert allowed == ["unsubscribe"]


def test_a_removed_device_is_forgotten_by_mosquitto_and_a_changed_one_learnt_anew() -> None:
    rights = device_rights("home", "porch-camera")
    gone = mosquitto.commands_of(Change("porch-camera", None, rights))
    changed = mosquitto.commands_of(Change("porch-camera", "p" * 43, rights))
    assert [c["command"] for c in gone] == ["deleteClient", "deleteRole"]
    assert [c["command"] for c in changed[2:]] == ["createRole", "createClient"]
    assert changed[3]["clientid"] == "porch-camera"


@pytest.mark.parametrize(
    ("topic_filter", "subjects"),
    [
        ("skerry/v1/#", ["skerry.v1.>", "skerry.v1"]),
        ("skerry/v1/+/porch/state", ["skerry.v1.*.porch.state"]),
        ("cmd/+/+/res", ["cmd.*.*.res"]),
    ],
)
def test_mqtt_filters_become_nats_subjects(topic_filter: str, subjects: list[str]) -> None:
    assert nats.subjects_of(topic_filter) == subjects


def test_nats_denies_everything_to_whom_nothing_is_allowed() -> None:
    config = nats.config_of(SITE, [account(Rights()), account(VIEWER)], (2, 14))
    nobody, viewer = (user["permissions"] for user in config["authorization"]["users"])
    assert nobody == {"subscribe": {"deny": [">"]}, "publish": {"deny": [">"]}}
    assert viewer["publish"] == {"deny": [">"]}


def test_nats_lifts_its_limit_of_consumers_where_it_has_one() -> None:
    def limits(version: tuple[int, int]) -> object:
        return nats.config_of(SITE, [], version)["jetstream"].get("limits")

    assert limits((2, 14)) is None
    assert limits((2, 15)) == {"default_max_consumers": 1_000_000}


def test_nats_lets_nobody_in_but_by_mqtt() -> None:
    config = nats.config_of(replace(SITE, host="192.0.2.7"), [account(SERVICE)], (2, 14))
    assert config["listen"] == "127.0.0.1:-1"
    assert config["authorization"]["users"][0]["allowed_connection_types"] == ["MQTT"]


def test_accounts_are_saved_as_hashes_that_only_the_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    book = AccountBook(path)
    book.put("porch-camera", "p" * 43)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "p" * 43 not in path.read_text()
    known = AccountBook(path)
    assert (known.service, known.viewer) == (book.service, book.viewer)
    assert bcrypt.checkpw(b"p" * 43, known.devices["porch-camera"].bcrypt.encode())
    known.remove("porch-camera")
    known.remove("porch-camera")
    assert AccountBook(path).devices == {}


def test_broken_account_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    path.write_text('{"service": 1}')
    with pytest.raises(ContractError, match=r"accounts\.json: service"):
        AccountBook(path)


def test_every_account_of_the_book_gets_its_rights(tmp_path: Path) -> None:
    book = AccountBook(tmp_path / "accounts.json")
    book.put("porch-camera", "p" * 43)
    rights = {a.username: (a.rights, a.client_id) for a in accounts_of(book, "home")}
    assert rights == {
        "_service": (SERVICE, None),
        "_viewer": (VIEWER, None),
        "porch-camera": (device_rights("home", "porch-camera"), "porch-camera"),
    }


def test_a_password_that_would_not_count_as_a_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 72 bytes, got 73"):
        hashes_of("p" * 73)


def test_secrets_do_not_show_in_what_is_printed() -> None:
    login = Login("porch-camera", "p" * 43)
    shown = f"{login} {account(VIEWER)} {Change('porch-camera', 'p' * 43, VIEWER)}"
    assert "ppp" not in shown
    assert "$2b$" not in shown


def test_a_durable_write_replaces_the_whole_file_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"first", mode=0o644)
    write_durably(path, b"second")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"second", 0o600)
    with pytest.raises(IsADirectoryError):
        write_durably(tmp_path, b"third")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))


def test_another_program_with_the_number_of_a_leftover_broker_is_left_alone(tmp_path: Path) -> None:
    me = Path("/proc/self/stat").read_text().split()[0]
    for content in (f"{me} /usr/sbin/mosquitto", "x y", "", "999999999 /usr/sbin/mosquitto"):
        (tmp_path / "pid").write_text(content)
        end_leftover(tmp_path)


class TestTls:
    def test_keys_are_the_owners_and_certificates_for_the_names(self, tmp_path: Path) -> None:
        files = provide_tls(tmp_path / "tls", ["broker.example", "192.0.2.7"], now=NOW)
        for secret in (tmp_path / "tls" / "ca.key", Path(files.key)):
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        names = _names(files)
        assert {"broker.example", "localhost", "192.0.2.7", "127.0.0.1", "::1"} == names

    def test_nothing_is_made_anew_while_it_is_good(self, tmp_path: Path) -> None:
        files = provide_tls(tmp_path, ["broker.example"], now=NOW)
        before = Path(files.certificate).read_bytes()
        provide_tls(tmp_path, ["broker.example"], now=NOW + timedelta(days=300))
        assert Path(files.certificate).read_bytes() == before

    @pytest.mark.parametrize(
        ("names", "days"),
        [
            pytest.param(["broker.example"], 340, id="its end is near"),
            pytest.param(["broker.example"], 1000, id="it has ended"),
            pytest.param(["other.example"], 0, id="it is for another name"),
        ],
    )
    def test_the_server_is_renewed_under_the_same_authority(
        self, tmp_path: Path, names: list[str], days: int
    ) -> None:
        later = NOW + timedelta(days=days)
        files = provide_tls(tmp_path, ["broker.example"], now=NOW)
        ca, before = Path(files.ca).read_bytes(), _server(files)
        after = _server(provide_tls(tmp_path, names, now=later))
        assert after.serial_number != before.serial_number
        assert after.not_valid_after_utc > later + timedelta(days=365)
        assert Path(files.ca).read_bytes() == ca
        after.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))

    def test_a_key_that_does_not_fit_after_a_power_cut_is_made_anew(self, tmp_path: Path) -> None:
        files = provide_tls(tmp_path / "one", [], now=NOW)
        other = provide_tls(tmp_path / "two", [], now=NOW)
        Path(files.key).write_bytes(Path(other.key).read_bytes())
        before = _server(files)
        again = provide_tls(tmp_path / "one", [], now=NOW)
        assert _server(again).serial_number != before.serial_number

    def test_an_authority_without_its_key_is_not_replaced_behind_the_devices_back(
        self, tmp_path: Path
    ) -> None:
        provide_tls(tmp_path, [], now=NOW)
        (tmp_path / "ca.key").unlink()
        with pytest.raises(FileNotFoundError, match=r"ca\.key is missing"):
            provide_tls(tmp_path, ["other.example"], now=NOW)

    def test_a_key_that_was_lost_is_made_anew_with_its_certificate(self, tmp_path: Path) -> None:
        files = provide_tls(tmp_path, [], now=NOW)
        Path(files.key).unlink()
        before = _server(files)
        assert _server(provide_tls(tmp_path, [], now=NOW)).serial_number != before.serial_number


def _server(files: TlsFiles) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())


def _names(files: TlsFiles) -> set[str]:
    names = _server(files).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}
