"""The signed envelope around a desired document.

An envelope carries signed metadata by repository and role, as Uptane has it: today one document,
``director`` / ``targets``. Each document has TUF's form, ``{"signatures": […], "signed": {…}}``.
More roles (timestamp, snapshot, roots) and the second repository (``release``) are new keys beside
it; nothing that stands here moves.

Checking has an order that costs an attacker as much as possible and us as little: size, form,
signature, and only then what the document says.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from skerry_contract import canonical, shape
from skerry_contract.desired import MAX_ENVELOPE_BYTES, Desired, read_signed
from skerry_contract.errors import (
    ExpiredError,
    RollbackError,
    SignatureError,
    WrongDeviceError,
)
from skerry_contract.shape import Range, Size, Text

KeyId = Annotated[str, Text("[0-9a-f]{64}", 64, "64 hex digits")]

VerifyEd25519 = Callable[[bytes, bytes, bytes], bool]
"""Called as ``(public_key, signature, message)``; 32, 64 and any number of bytes."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """Public half of a key.

    Attributes:
        public: Ed25519 public key, 32 bytes in hex.
    """

    public: Annotated[str, Text("[0-9a-f]{64}", 64, "64 hex digits")]


@dataclass(frozen=True, slots=True)
class Key:
    """A public key in TUF's form (specification 1.0.31, section 4.2)."""

    keyval: KeyValue
    keytype: Literal["ed25519"] = "ed25519"
    scheme: Literal["ed25519"] = "ed25519"

    @property
    def keyid(self) -> str:
        """SHA-256 of the key's canonical form, in hex."""
        return hashlib.sha256(canonical.encode(shape.write(self))).hexdigest()


@dataclass(frozen=True, slots=True)
class Role:
    """Which keys may sign, and how many of them must.

    Attributes:
        keyids: Ids of the trusted keys.
        threshold: Number of different keys that must have signed.
    """

    keyids: Annotated[tuple[KeyId, ...], Size(1, 16)]
    threshold: Annotated[int, Range(1, 16)] = 1


@dataclass(frozen=True, slots=True)
class Trust:
    """What a device pins when it is flashed: the form of TUF root metadata's keys and roles.

    Attributes:
        keys: Trusted public keys by id.
        roles: Who may sign as what; the director's ``targets`` is the one that is read today.
    """

    keys: Annotated[Mapping[str, Key], Size(1, 64)]
    roles: Annotated[Mapping[str, Role], Size(1, 16)]


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature over the canonical form of ``signed``.

    Attributes:
        keyid: Which key made it.
        sig: Ed25519 signature, 64 bytes in hex.
    """

    keyid: KeyId
    sig: Annotated[str, Text("[0-9a-f]{128}", 128, "128 hex digits")]


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """Signed metadata of one role.

    Attributes:
        signatures: Signatures, of different keys.
        signed: What they sign; read only after they were checked.
    """

    signatures: Annotated[tuple[Signature, ...], Size(0, 16)]
    signed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Director:
    """Metadata that says which device runs what.

    Attributes:
        targets: The desired document of one device.
    """

    targets: SignedDocument


@dataclass(frozen=True, slots=True)
class Envelope:
    """Payload of the ``desired`` topic.

    Attributes:
        director: Metadata of the online repository.
        schema: Version of this format.
    """

    director: Director
    schema: Literal[1] = 1


def verify(data: bytes, *, trust: Trust, fleet: str, device: str, check: VerifyEd25519) -> Desired:
    """Return what an envelope says, if a trusted key signed it for this device.

    Whether it is fresh is for ``check_fresh``: a document that was accepted once is verified again
    after a reboot, however old it is by then.

    Args:
        data: The envelope as it came.
        trust: Keys pinned at flash.
        fleet: Fleet of this device.
        device: Id of this device.
        check: Verifies one Ed25519 signature.

    Raises:
        ContractError: It is no envelope, or what was signed has a wrong field.
        SignatureError: Too few trusted keys signed it.
        WrongDeviceError: It was signed for another device or fleet.
    """
    envelope = shape.parse(Envelope, data, max_bytes=MAX_ENVELOPE_BYTES, subject="desired")
    document = envelope.director.targets
    check_signed(document, trust, check, subject=f"desired document for {device}")
    desired = read_signed(document.signed)
    if (desired.fleet, desired.device) != (fleet, device):
        raise WrongDeviceError(
            f"this is {fleet}/{device}, the document is for {desired.fleet}/{desired.device}"
        )
    return desired


def check_signed(
    document: SignedDocument, trust: Trust, check: VerifyEd25519, *, subject: str
) -> None:
    """Refuse a document that too few keys of the director have signed.

    Raises:
        SignatureError: Naming ``subject``, and who signed.
    """
    role = trust.roles["targets"]
    good = _signers(document, trust, role, check)
    if len(good) < role.threshold:
        given = ", ".join(s.keyid[:12] for s in document.signatures) or "nobody"
        raise SignatureError(
            f"{subject}: signed by {given}; {role.threshold} of the keys "
            f"pinned at flash ({', '.join(k[:12] for k in role.keyids)}) must have signed it",
            remedy="If the cloud's key was replaced on purpose, flash the device again.",
        )


def check_fresh(desired: Desired, *, seen_version: int, now: datetime) -> None:
    """Refuse a verified document that is older than what was seen, or past its time.

    Args:
        desired: A verified document.
        seen_version: Highest version that this device has ever accepted, 0 for none.
        now: The device's best idea of the time.

    Raises:
        RollbackError: Its version is lower than ``seen_version``.
        ExpiredError: It expired before ``now``.
    """
    if desired.version < seen_version:
        raise RollbackError(
            f"{desired.device}: desired version {desired.version} came after {seen_version}"
        )
    if now >= desired.expires:
        raise ExpiredError(
            f"{desired.device}: desired version {desired.version} expired at {desired.expires}, "
            f"and it is {now}",
            remedy="Push the deployment again, or set the device's clock.",
        )


def _signers(document: SignedDocument, trust: Trust, role: Role, check: VerifyEd25519) -> set[str]:
    """Return the public keys of ``role`` that signed; a key with two ids counts once."""
    message = canonical.encode(document.signed)
    found = set()
    for signature in document.signatures:
        key = trust.keys.get(signature.keyid)
        if key is None or signature.keyid not in role.keyids or key.keyid != signature.keyid:
            continue
        public = key.keyval.public
        if check(bytes.fromhex(public), bytes.fromhex(signature.sig), message):
            found.add(public)
    return found
