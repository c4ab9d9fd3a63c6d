"""The director's documents, held against the device's verifier and against python-tuf."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined] # not marked as public
from tuf.api.metadata import Metadata

from skerry_cloud.trust import Director, provide_director
from skerry_contract import shape
from skerry_contract.desired import Desired, ModuleSpec
from skerry_contract.envelope import verify
from skerry_contract.errors import ContractError, SignatureError, TrustError
from skerry_contract.manifest import FolderInput, RunSettings
from skerry_contract.names import Digest
from support.cloud_server import check_ed25519


def desired(env: dict[str, str] | None = None) -> Desired:
    run = RunSettings(env=env or {}, inputs={"frames": FolderInput("frames", "*.png")})
    return Desired(
        "home",
        "porch-camera",
        7,
        datetime(2026, 11, 22, 12, tzinfo=UTC),
        datetime(2026, 12, 22, 12, tzinfo=UTC),
        "faces:2",
        {"detector": ModuleSpec("face:3", Digest("sha256:" + "a" * 64), 512, run)},
    )


@pytest.fixture(scope="module")
def director(tmp_path_factory: pytest.TempPathFactory) -> Director:
    return provide_director(tmp_path_factory.mktemp("keys"))


def device_accepts(director: Director, document: bytes) -> Desired:
    return verify(
        document,
        trust=director.trust,
        fleet="home",
        device="porch-camera",
        check=check_ed25519,
    )


def tuf_accepts(director: Director, document: bytes) -> None:
    (key,) = director.trust.keys.values()
    metadata: Metadata[Any] = Metadata.from_dict(json.loads(document)["director"]["targets"])
    parsed = SSlibKey.from_dict(key.keyid, copy.deepcopy(shape.write(key)))
    signature = metadata.signatures[key.keyid]
    parsed.verify_signature(signature, metadata.signed_bytes)


def test_the_device_and_tuf_accept_what_the_director_signs(director: Director) -> None:
    document = director.sign(desired())
    assert device_accepts(director, document) == desired()
    tuf_accepts(director, document)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.from_regex("[A-Z]{1,8}", fullmatch=True),
        # Half surrogate pairs and NUL never get past the manifest.
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30),
    )
)
def test_any_text_signs_to_the_same_bytes_on_both_sides(env: dict[str, str]) -> None:
    director = Director(Ed25519PrivateKey.generate())
    document = director.sign(desired(env))
    assert device_accepts(director, document).modules["detector"].run.env == env
    tuf_accepts(director, document)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'"version":7', b'"version":8', id="another version"),
        pytest.param(b'"length":512', b'"length":513', id="another length"),
        pytest.param(b"aaaaaaaaaa", b"aaaaaaaaab", id="another digest"),
        pytest.param(b"*.png", b"*.jpg", id="another setting"),
    ],
)
def test_a_changed_document_is_refused_by_both(director: Director, old: bytes, new: bytes) -> None:
    document = director.sign(desired())
    changed = document.replace(old, new, 1)
    assert changed != document
    with pytest.raises(SignatureError):
        device_accepts(director, changed)
    with pytest.raises(UnverifiedSignatureError):
        tuf_accepts(director, changed)


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first = provide_director(folder)
    assert provide_director(folder).trust == first.trust
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_damaged_key_is_never_replaced_by_a_new_one(tmp_path: Path) -> None:
    provide_director(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"damaged")
    with pytest.raises(TrustError, match="holds no Ed25519 key"):
        provide_director(tmp_path)
    assert file.read_bytes() == b"damaged"


def test_a_document_that_no_device_would_read_is_not_signed(director: Director) -> None:
    many = {f"V{n}": "x" * 4000 for n in range(20)}
    with pytest.raises(ContractError, match="bytes for porch-camera"):
        director.sign(desired(many))
