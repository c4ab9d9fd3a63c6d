"""Certificates for the broker: a certificate authority of the installation's own, and one server.

Devices get the authority's certificate when they are flashed, so the server's may be renewed at
any start without touching them.
"""

import ipaddress
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry_cloud.durable import write_durably

_CA_DAYS = 3650
_SERVER_DAYS = 397
_RENEW_DAYS = 60
"""A server certificate that ends sooner is made anew at the next start."""
_CLOCK_SLACK = timedelta(days=1)
_ALWAYS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files that a server speaks TLS with.

    Attributes:
        ca: Certificates to believe, for clients.
        certificate: The server's certificate, with its chain.
        key: The server's private key.
    """

    ca: str
    certificate: str
    key: str


def provide_tls(folder: Path, names: Collection[str], *, now: datetime | None = None) -> TlsFiles:
    """Return certificates from ``folder``, making what is missing, near its end or for other names.

    Args:
        folder: Where keys and certificates are kept; made with mode 0700.
        names: DNS names and IP addresses that clients connect to; the local ones are added.
        now: Time to judge by.

    Raises:
        OSError: The folder cannot be read or written.
        ValueError: A file in it is not what this function wrote.
    """
    now = now or datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_key, ca = _provide_ca(folder, now)
    wanted = frozenset((*names, *_ALWAYS))
    certificate, key = folder / "server.pem", folder / "server.key"
    known, known_key = _load(certificate), _load_key(key)
    # A power cut between the two files leaves a key that does not fit.
    fits = known and known_key and known.public_key() == known_key.public_key()
    if not fits or needs_renewal(known, wanted, ca, now):
        server_key = ec.generate_private_key(ec.SECP256R1())
        made = _sign(_server_request(server_key.public_key(), wanted, now), ca, ca_key)
        write_durably(key, _pem_of(server_key))
        write_durably(certificate, _chain(made, ca), mode=0o644)
    return TlsFiles(str(folder / "ca.pem"), str(certificate), str(key))


def needs_renewal(
    certificate: x509.Certificate | None,
    names: Collection[str],
    ca: x509.Certificate,
    now: datetime,
) -> bool:
    """Return whether a server certificate must be made anew."""
    if certificate is None or certificate.issuer != ca.subject:
        return True
    covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ends_soon = certificate.not_valid_after_utc - now < timedelta(days=_RENEW_DAYS)
    return ends_soon or not set(map(_general_name, names)) <= set(covered)


def _provide_ca(folder: Path, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key_file, file = folder / "ca.key", folder / "ca.pem"
    known = _load(file)
    if known is not None:
        known_key = _load_key(key_file)
        if known_key is None:
            raise FileNotFoundError(f"{key_file} is missing: it belongs to {file}")
        return known_key, known
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(_ca_request(key.public_key(), now), None, key)
    write_durably(key_file, _pem_of(key))
    write_durably(file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return key, certificate


def _ca_request(key: ec.EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
    # A serial in the name keeps two installations' authorities apart in one trust store.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Skerry broker authority"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, os.urandom(8).hex()),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _certificate(name, key, now, _CA_DAYS)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )


def _server_request(
    key: ec.EllipticCurvePublicKey, names: Collection[str], now: datetime
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Skerry broker")])
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in sorted(names)])
    return (
        _certificate(subject, key, now, _SERVER_DAYS)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _certificate(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Devices' clocks run late.
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign(
    request: x509.CertificateBuilder, ca: x509.Certificate | None, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    if ca is not None:
        request = request.issuer_name(ca.subject)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return request.add_extension(issuer, critical=False).sign(key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path}: not an elliptic-curve key")  # noqa: TRY004 - it is the file's value
    return key


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _chain(*certificates: x509.Certificate) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
