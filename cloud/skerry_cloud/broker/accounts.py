"""The accounts of a broker, kept in a file as hashes that every broker program understands.

The file is the truth: a broker's own account files are made anew from it at every start, so that
another program can take over with all devices known.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import bcrypt

from skerry_cloud.durable import write_durably
from skerry_contract import shape
from skerry_contract.names import DEVICE_ID
from skerry_contract.shape import Range, Size, Text

_MAX_FILE_BYTES = 64 * 1024 * 1024
# Passwords here are random and long, so slow hashing would protect nothing and cost every connect.
_PBKDF2_ITERATIONS = 101
_BCRYPT_ROUNDS = 4
_MAX_PASSWORD_BYTES = 72
"""What bcrypt reads of a password."""
_DEVICE_ID = Text(DEVICE_ID, 63, "a device id")


@dataclass(frozen=True, slots=True)
class Login:
    """A name and password that a client connects with.

    Names that begin with an underscore are not device ids, so no device can be called like one
    of the broker's own accounts.
    """

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PasswordHashes:
    """One password, hashed in the ways that the brokers check.

    Attributes:
        bcrypt: For nats-server.
        pbkdf2: PBKDF2-SHA512 in Base64, for mosquitto.
        salt: Of ``pbkdf2``, in Base64.
        iterations: Of ``pbkdf2``.
    """

    bcrypt: Annotated[str, Text(max_length=100)] = field(repr=False)
    pbkdf2: Annotated[str, Text(max_length=100)] = field(repr=False)
    salt: Annotated[str, Text(max_length=100)] = field(repr=False)
    iterations: Annotated[int, Range(1, 10_000_000)] = _PBKDF2_ITERATIONS


@dataclass(frozen=True, slots=True)
class AccountFile:
    """Everything that outlives the broker's process.

    Attributes:
        service: What the cloud connects with.
        viewer: What people connect with, to read.
        devices: Password hashes by device id.
        schema: Version of this format.
    """

    service: Login
    viewer: Login
    devices: Annotated[Mapping[str, PasswordHashes], Size(0, 1_000_000, _DEVICE_ID)] = field(
        default_factory=dict
    )
    schema: Literal[1] = 1


class AccountBook:
    """The saved accounts of one broker; each change is on disk before the method returns."""

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``, or make it with new passwords for service and viewer.

        Raises:
            ContractError: The file is not what this version wrote.
            OSError: The file cannot be read or written.
        """
        self._path = path
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            self._save(AccountFile(_new_login("_service"), _new_login("_viewer")))
        else:
            self._saved = shape.parse(
                AccountFile, data, max_bytes=_MAX_FILE_BYTES, subject=str(path)
            )

    @property
    def service(self) -> Login:
        """What the cloud connects with."""
        return self._saved.service

    @property
    def viewer(self) -> Login:
        """What people connect with, to read."""
        return self._saved.viewer

    @property
    def devices(self) -> Mapping[str, PasswordHashes]:
        """Password hashes by device id."""
        return self._saved.devices

    def put(self, device: str, password: str) -> None:
        """Add a device, or replace its password; at most 72 bytes, random."""
        self._save(replace(self._saved, devices={**self.devices, device: hashes_of(password)}))

    def remove(self, device: str) -> None:
        """Forget a device; harmless if it is not known."""
        rest = {name: known for name, known in self.devices.items() if name != device}
        self._save(replace(self._saved, devices=rest))

    def _save(self, accounts: AccountFile) -> None:
        write_durably(self._path, shape.dump(accounts))
        self._saved = accounts


def hashes_of(password: str) -> PasswordHashes:
    """Hash a random password of at most 72 bytes.

    Raises:
        ValueError: It is longer; the rest would not count.
    """
    secret = password.encode()
    if len(secret) > _MAX_PASSWORD_BYTES:
        raise ValueError(f"a password has at most {_MAX_PASSWORD_BYTES} bytes, got {len(secret)}")
    salt = os.urandom(12)
    derived = hashlib.pbkdf2_hmac("sha512", secret, salt, _PBKDF2_ITERATIONS)
    return PasswordHashes(
        bcrypt.hashpw(secret, bcrypt.gensalt(_BCRYPT_ROUNDS)).decode(),
        base64.b64encode(derived).decode(),
        base64.b64encode(salt).decode(),
    )


def new_password() -> str:
    """Return a random password of 256 bits."""
    return secrets.token_urlsafe(32)


def _new_login(username: str) -> Login:
    return Login(username, new_password())
