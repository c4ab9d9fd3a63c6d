"""How an input is let in at its broker: whom it trusts, and how it proves who it is.

Files are read anew for each connection, so that a password or a certificate may be replaced while
the module runs; one that is not there yet is waited for like a broker that is not.
"""

import ssl
from pathlib import Path
from typing import NamedTuple

from skerry_scorer.settings.inputs import Broker

MAX_FILE_BYTES = 64 * 1024
"""Largest file that is read for it."""


class Access(NamedTuple):
    """What one connection shows and asks for.

    Attributes:
        user: User name, or "" for none.
        password: Its password, or "".
        tls: What checks the broker's certificate and shows our own, or None for no TLS.
    """

    user: str
    password: str
    tls: ssl.SSLContext | None


def access_to(broker: Broker) -> Access:
    """Return what a new connection to a broker needs.

    Raises:
        OSError: A file cannot be read, or holds no certificate or key.
        ValueError: It is too long, or no text.
    """
    password = broker.password
    if broker.password_file:
        password = _read(broker.password_file).rstrip("\r\n")
    return Access(broker.user, password, _tls(broker) if broker.tls else None)


def _tls(broker: Broker) -> ssl.SSLContext:
    trusted = _read(broker.ca_file) if broker.ca_file else broker.ca
    context = ssl.create_default_context(cadata=trusted or None)
    if broker.certificate_file:
        # A key with a passphrase would be asked for at a terminal that is not there.
        files = (broker.certificate_file, broker.key_file)
        try:
            context.load_cert_chain(*files, lambda: "")
        except OSError as error:  # which names no file
            raise OSError(f"{' and '.join(files)}: {error}") from error
    return context


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{path}: more than {MAX_FILE_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8") from error
