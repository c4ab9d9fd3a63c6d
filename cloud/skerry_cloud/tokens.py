"""Secrets that prove who asks: made here, shown once, kept as hashes."""

import hashlib
import hmac
import secrets
from pathlib import Path

from skerry_cloud.durable import write_durably


def new_token() -> str:
    """Return a secret of 256 bits, in 43 characters that need no escaping anywhere."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Return what is kept of a token: its SHA-256 in hex.

    No salt and no slow hash: nobody can guess 256 random bits.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def matches(token: str, expected_hash: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hash_token(token), expected_hash)


def provide_token(path: Path) -> str:
    """Return the token in ``path``, making one at the first start; only its owner can read it.

    Raises:
        OSError: The file cannot be read or written.
    """
    try:
        found = path.read_text("ascii").strip()
    except FileNotFoundError:
        found = ""
    if found:
        return found
    token = new_token()
    write_durably(path, token.encode() + b"\n", mode=0o600)
    return token
