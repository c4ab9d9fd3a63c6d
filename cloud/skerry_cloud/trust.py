"""The director: whose key says which device runs what.

Documents are TUF metadata, made and signed by python-tuf; devices check them with their own small
verifier (``skerry_contract.envelope``), which tests hold against python-tuf.
"""

import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import (  # type: ignore[attr-defined] # public, but not marked so
    CryptoSigner,
)
from tuf.api.metadata import (  # type: ignore[attr-defined] # public, but not marked so
    Metadata,
    Targets,
)

from skerry_cloud.durable import write_durably
from skerry_contract import canonical
from skerry_contract.commands import MAX_REQUEST_BYTES, Command
from skerry_contract.commands import write_signed as write_command
from skerry_contract.desired import MAX_ENVELOPE_BYTES, Desired, write_signed
from skerry_contract.envelope import Key, KeyValue, Role, Trust
from skerry_contract.errors import ContractError, TrustError


class Director:
    """Signs desired documents with one Ed25519 key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._signer = CryptoSigner(key)
        public = key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self._key = Key(KeyValue(public.hex()))

    @property
    def trust(self) -> Trust:
        """What a device pins when it is flashed."""
        keyid = self._key.keyid
        return Trust({keyid: self._key}, {"targets": Role((keyid,))})

    def sign(self, desired: Desired) -> bytes:
        """Return the signed envelope that says ``desired``.

        Raises:
            ContractError: It would be larger than a device reads.
        """
        metadata = Metadata(Targets.from_dict(write_signed(desired)))
        metadata.sign(self._signer)
        envelope = {"schema": 1, "director": {"targets": metadata.to_dict()}}
        data = json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()
        if len(data) > MAX_ENVELOPE_BYTES:
            raise ContractError(
                f"{len(data)} bytes for {desired.device}, at most {MAX_ENVELOPE_BYTES} allowed",
                subject="desired",
                remedy="Name fewer modules, or shorten their env and inputs.",
            )
        return data

    def sign_command(self, command: Command) -> bytes:
        """Return the signed request that asks for ``command``.

        Raises:
            ContractError: It would be larger than a device reads, or cannot be signed.
        """
        signed = write_command(command)
        signature = self._signer.sign(canonical.encode(signed))
        signatures = [{"keyid": signature.keyid, "sig": signature.signature}]
        request = {"schema": 1, "command": {"signatures": signatures, "signed": signed}}
        data = json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()
        if len(data) > MAX_REQUEST_BYTES:
            raise ContractError(
                f"{len(data)} bytes, at most {MAX_REQUEST_BYTES} allowed", subject=command.type
            )
        return data


def provide_director(folder: Path) -> Director:
    """Return the director whose key lies in ``folder``, making the key at the first start.

    Raises:
        TrustError: The key file is damaged; nothing is overwritten.
        OSError: The folder cannot be read or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "director.pem"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        write_durably(path, _pem(key), mode=0o600)
        return Director(key)
    try:
        loaded = serialization.load_pem_private_key(data, password=None)
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise _damaged(path)
    return Director(loaded)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _damaged(path: Path) -> TrustError:
    return TrustError(
        f"{path} holds no Ed25519 key",
        remedy="Restore it from a backup. A new key means flashing every device again.",
    )
