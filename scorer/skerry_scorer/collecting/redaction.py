"""Takes named fields out of collected data, or hides their values."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from skerry_scorer.settings.data import Redaction


class Redactor:
    """Takes out or replaces the values of named fields.

    Args:
        redact: What becomes of which field.
        key: Secret that hashes depend on: the same value is recognised, and cannot be guessed.
    """

    def __init__(self, redact: Mapping[str, Redaction], key: bytes) -> None:
        self._redact = redact
        self._key = key

    def value(self, name: str, value: Any) -> Any:
        """Return what stands for the value of a field: "" if it is dropped."""
        how = self._redact.get(name)
        if how is None:
            return self.nested(value)
        return "" if how == "drop" else self._hashed(value)

    def nested(self, value: Any) -> Any:
        """Return a JSON value without what is dropped at any depth."""
        if isinstance(value, dict):
            return {
                name: self.value(str(name), inner)
                for name, inner in value.items()
                if self._redact.get(str(name)) != "drop"
            }
        if isinstance(value, list | tuple):
            return [self.nested(inner) for inner in value]
        return value

    def _hashed(self, value: Any) -> str:
        digest = hmac.new(self._key, repr(value).encode("utf-8", "replace"), hashlib.sha256)
        return digest.hexdigest()[:16]
