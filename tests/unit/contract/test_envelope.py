"""The signed envelope: what is obeyed, and everything that is not."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import (  # type: ignore[attr-defined] # it has no __all__
    CryptoSigner,
    SSlibKey,
)

from skerry_contract import canonical, desired, envelope, shape
from skerry_contract.desired import MAX_ENVELOPE_BYTES, Desired, ModuleSpec
from skerry_contract.envelope import Key, KeyValue, Role, Trust
from skerry_contract.errors import (
    ContractError,
    ExpiredError,
    RollbackError,
    SignatureError,
    WrongDeviceError,
)
from skerry_contract.manifest import FolderInput, RunSettings
from skerry_contract.names import Digest

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = RunSettings(env={"NAME": 'é"\\\n'}, inputs={"frames": FolderInput("frames")})
SPEC = ModuleSpec("faces:3", Digest(f"sha256:{'ab' * 32}"), 512, RUN)
WANTED = Desired(
    "home", "porch-camera", 7, NOW, NOW + timedelta(days=30), "porch:2", {"faces": SPEC}
)


class Signer:
    """A key pair made from one number, the same each time."""

    def __init__(self, seed: int) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.key = Key(KeyValue(self._private.public_key().public_bytes_raw().hex()))

    def sign(self, signed: Mapping[str, Any]) -> dict[str, str]:
        return self.sign_bytes(canonical.encode(signed))

    def sign_bytes(self, message: bytes) -> dict[str, str]:
        return {"keyid": self.key.keyid, "sig": self._private.sign(message).hex()}


ONE, TWO, STRANGER = Signer(1), Signer(2), Signer(3)


def trusting(*signers: Signer, threshold: int = 1) -> Trust:
    keys = {signer.key.keyid: signer.key for signer in signers}
    return Trust(keys, {"targets": Role(tuple(keys), threshold)})


def check(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def sealed(signed: Any, *signatures: dict[str, str], **more: Any) -> bytes:
    targets = {"signatures": list(signatures), "signed": signed}
    return shape.dump({"schema": 1, "director": {"targets": targets}, **more})


def signed_by(*signers: Signer, wanted: Desired = WANTED, **more: Any) -> bytes:
    signed = {**desired.write_signed(wanted), **more}
    return sealed(signed, *(signer.sign(signed) for signer in signers))


def opened(
    data: bytes, trust: Trust, *, fleet: str = "home", device: str = "porch-camera"
) -> Desired:
    return envelope.verify(data, trust=trust, fleet=fleet, device=device, check=check)


def test_a_document_that_a_pinned_key_signed_is_read_whole() -> None:
    assert opened(signed_by(ONE), trusting(ONE)) == WANTED


def test_a_document_signed_by_more_than_needed_is_read() -> None:
    assert opened(signed_by(STRANGER, TWO, ONE), trusting(ONE)) == WANTED


def test_an_unsigned_document_is_refused() -> None:
    with pytest.raises(SignatureError, match="signed by nobody; 1 of the keys"):
        opened(signed_by(), trusting(ONE))


def test_a_document_of_another_key_is_refused_with_both_named() -> None:
    with pytest.raises(SignatureError) as caught:
        opened(signed_by(STRANGER), trusting(ONE, TWO))
    assert f"signed by {STRANGER.key.keyid[:12]}" in caught.value.text
    assert ONE.key.keyid[:12] in caught.value.text
    assert "flash" in caught.value.remedy


def test_a_signature_under_the_id_of_another_key_is_refused() -> None:
    signed = desired.write_signed(WANTED)
    forged = {**STRANGER.sign(signed), "keyid": ONE.key.keyid}
    with pytest.raises(SignatureError):
        opened(sealed(signed, forged), trusting(ONE))


def test_a_key_that_is_known_but_not_of_the_role_is_refused() -> None:
    trust = Trust(trusting(ONE, TWO).keys, {"targets": Role((ONE.key.keyid,))})
    with pytest.raises(SignatureError):
        opened(signed_by(TWO), trust)


def test_a_pinned_key_whose_id_is_not_its_own_never_counts() -> None:
    trust = Trust({"0" * 64: ONE.key}, {"targets": Role(("0" * 64,))})
    signed = desired.write_signed(WANTED)
    with pytest.raises(SignatureError):
        opened(sealed(signed, {**ONE.sign(signed), "keyid": "0" * 64}), trust)


def test_two_of_two_must_be_two_different_keys() -> None:
    trust = trusting(ONE, TWO, threshold=2)
    assert opened(signed_by(ONE, TWO), trust) == WANTED
    for signers in ([ONE], [ONE, ONE], [ONE, STRANGER], [TWO, TWO, TWO]):
        with pytest.raises(SignatureError, match="2 of the keys"):
            opened(signed_by(*signers), trust)


def test_the_same_key_under_two_ids_counts_once() -> None:
    other_id = "f" * 64
    trust = Trust(
        {ONE.key.keyid: ONE.key, other_id: ONE.key},
        {"targets": Role((ONE.key.keyid, other_id), threshold=2)},
    )
    signed = desired.write_signed(WANTED)
    signature = ONE.sign(signed)
    with pytest.raises(SignatureError):
        opened(sealed(signed, signature, {**signature, "keyid": other_id}), trust)


@given(st.integers(0, len(signed_by(ONE)) * 8 - 1))
def test_no_flipped_bit_changes_what_is_obeyed(bit: int) -> None:
    data = bytearray(signed_by(ONE))
    data[bit // 8] ^= 1 << bit % 8
    try:
        found = opened(bytes(data), trusting(ONE))
    except (ContractError, SignatureError):
        return
    assert found == WANTED


def test_no_flipped_bit_inside_what_is_signed_is_overlooked() -> None:
    data = signed_by(ONE)
    start = data.index(b'"signed":') + len(b'"signed":')
    for bit in range(start * 8, (len(data) - 3) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ContractError, SignatureError)):
            opened(bytes(damaged), trusting(ONE))


@pytest.mark.parametrize(("fleet", "device"), [("home", "attic"), ("work", "porch-camera")])
def test_a_document_for_somebody_else_is_refused(fleet: str, device: str) -> None:
    with pytest.raises(WrongDeviceError, match="the document is for home/porch-camera"):
        opened(signed_by(ONE), trusting(ONE), fleet=fleet, device=device)


def test_what_is_signed_may_say_more_than_this_version_understands() -> None:
    assert opened(signed_by(ONE, x_later={"a": [1]}), trusting(ONE)) == WANTED


def test_what_was_added_after_signing_is_refused() -> None:
    signed = desired.write_signed(WANTED)
    with pytest.raises(SignatureError):
        opened(sealed({**signed, "x_later": 1}, ONE.sign(signed)), trusting(ONE))


def test_new_keys_beside_the_directors_are_left_for_later_versions() -> None:
    signed = desired.write_signed(WANTED)
    data = sealed(signed, ONE.sign(signed), release={"targets": {}})
    assert opened(data, trusting(ONE)) == WANTED


@pytest.mark.parametrize("value", ["0.5", "1.0", "1e3", "-0.0"])
def test_a_fraction_in_what_is_signed_is_refused_by_name(value: str) -> None:
    data = signed_by(ONE, x_later=12345).replace(b"12345", value.encode())
    with pytest.raises(ContractError, match=r"float .* cannot be signed"):
        opened(data, trusting(ONE))


def test_half_a_surrogate_pair_in_what_is_signed_is_refused() -> None:
    data = signed_by(ONE, x_later="@@").replace(b"@@", rb"\ud800")
    with pytest.raises(ContractError, match="not JSON"):
        opened(data, trusting(ONE))


def test_an_envelope_above_the_limit_is_not_even_parsed() -> None:
    data = signed_by(ONE)
    padded = data + b" " * (MAX_ENVELOPE_BYTES - len(data))
    assert opened(padded, trusting(ONE)) == WANTED
    with pytest.raises(ContractError, match="65537 bytes, at most 65536 allowed"):
        opened(padded + b" ", trusting(ONE))


@pytest.mark.parametrize("data", [b"", b"null", b"{}", b"[]", b'{"director":{}}', b"\xff" * 100])
def test_what_is_no_envelope_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(ContractError, match=r"^desired: "):
        opened(data, trusting(ONE))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("_type", "root", "_type: expected one of targets"),
        ("spec_version", "2.0.0", "spec_version: expected TUF version 1.x"),
        ("version", 0, "version: must be at least 1"),
        ("version", 2**53 + 1, "version: must be at most"),
        ("version", True, "version: expected a whole number"),
        ("expires", "2030-01-01", "expires: expected a UTC time"),
        ("expires", "2030-01-01T00:00:00Z\n", "expires: "),
        ("expires", "2030-02-30T00:00:00Z", "is no time"),
        ("x_time", "2030-01-01T00:00:60Z", "is no time"),
        ("x_device", "porch/camera", "x_device: expected an id"),
        ("targets", {"event": {}}, "targets.event: expected a name"),
        ("targets", {"../x": {}}, "targets.../x: expected a name"),
        ("targets", {"a": {}}, "targets.a.length: is missing"),
    ],
)
def test_a_wrong_field_is_refused_even_if_it_was_signed(name: str, value: Any, told: str) -> None:
    with pytest.raises(ContractError) as caught:
        opened(signed_by(ONE, **{name: value}), trusting(ONE))
    assert told in str(caught.value)


# --- freshness --------------------------------------------------------------------------------


def test_a_version_that_grows_or_stays_is_fresh() -> None:
    for seen in (0, 6, 7):
        envelope.check_fresh(WANTED, seen_version=seen, now=NOW)


def test_a_version_below_what_was_seen_is_a_rollback() -> None:
    with pytest.raises(RollbackError, match="desired version 7 came after 8"):
        envelope.check_fresh(WANTED, seen_version=8, now=NOW)


def test_a_document_is_good_until_the_very_second_it_expires() -> None:
    envelope.check_fresh(WANTED, seen_version=7, now=WANTED.expires - timedelta(seconds=1))
    with pytest.raises(ExpiredError, match="expired at"):
        envelope.check_fresh(WANTED, seen_version=7, now=WANTED.expires)


def test_an_expired_rollback_is_told_as_a_rollback() -> None:
    with pytest.raises(RollbackError):
        envelope.check_fresh(WANTED, seen_version=8, now=WANTED.expires)


# --- keys, and what others make of them -------------------------------------------------------


@given(st.binary(min_size=32, max_size=32))
def test_a_key_has_the_same_id_as_in_tuf(seed: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    theirs = SSlibKey.from_crypto(private.public_key())
    ours = Key(KeyValue(private.public_key().public_bytes_raw().hex()))
    assert ours.keyid == theirs.keyid
    assert shape.write(ours) == theirs.to_dict()


def test_what_a_tuf_signer_signs_is_accepted() -> None:
    signer = CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
    signed = desired.write_signed(WANTED)
    signature = signer.sign(canonical.encode(signed)).to_dict()
    assert opened(sealed(signed, signature), trusting(ONE)) == WANTED


def test_trust_is_written_and_read_alike() -> None:
    trust = trusting(ONE, TWO, threshold=2)
    assert shape.parse(Trust, shape.dump(trust), max_bytes=10_000) == trust


# --- the signed part --------------------------------------------------------------------------


def test_the_signed_part_has_the_form_of_tuf_targets() -> None:
    signed = desired.write_signed(WANTED)
    assert (signed["_type"], signed["spec_version"], signed["version"]) == ("targets", "1.0.31", 7)
    assert signed["expires"] == "2030-02-01T03:04:05Z"
    target = signed["targets"]["faces"]
    assert (target["length"], target["hashes"]) == (512, {"sha256": "ab" * 32})
    assert json.loads(canonical.encode(signed).replace(b"\n", b"\\n")) == signed


def test_a_revision_depends_on_digest_and_settings_alone() -> None:
    other_digest = Digest(f"sha256:{hashlib.sha256(b'x').hexdigest()}")
    same = ModuleSpec("faces:4", SPEC.digest, 513, RUN)
    assert same.revision == SPEC.revision
    assert ModuleSpec("faces:3", other_digest, 512, RUN).revision != SPEC.revision
    assert ModuleSpec("faces:3", SPEC.digest, 512, RunSettings()).revision != SPEC.revision


def test_the_order_of_variables_does_not_change_a_revision() -> None:
    one = ModuleSpec("a:1", SPEC.digest, 1, RunSettings(env={"A": "1", "B": "2"}))
    two = ModuleSpec("a:1", SPEC.digest, 1, RunSettings(env={"B": "2", "A": "1"}))
    assert one.revision == two.revision
