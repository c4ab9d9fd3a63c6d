"""Take secrets out of what leaves the device for people to read.

What is known to be secret goes by its value, wherever it stands; what looks like a secret goes by
its form. A setting whose name speaks of a secret goes with any value, and so does every variable of
a module's environment: nobody can know which of them are secrets.
"""

import re
from collections.abc import Iterable
from typing import Any

REMOVED = "[removed]"
SHORTEST_SECRET = 4
"""Values that are shorter stand for themselves too often to be taken out of text."""

_NAMES = re.compile(r"(?i)pass(word|wd|phrase)?$|secret|token|credential|private|api_?key|auth")
_WHOLE = frozenset({"env"})
_FORMS = (
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
    ),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
    re.compile(r"(?i)(?<=bearer )[a-z0-9._~+/=-]{6,}"),
    re.compile(r"(?i)(?<=basic )[a-z0-9+/=]{6,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(
        r"(?i)(?<![a-z])((?:[a-z0-9_]*(?:password|passwd|secret|token|api_?key|credential)"
        r"[a-z0-9_]*)[\"']?\s*[=:]\s*[\"']?)([^\s\"',;&}]+)"
    ),
)


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` without ``secrets``, and without what has the form of one."""
    for secret in sorted({one for one in secrets if len(one) >= SHORTEST_SECRET}, key=len)[::-1]:
        text = text.replace(secret, REMOVED)
    for form in _FORMS[:-1]:
        text = form.sub(REMOVED, text)
    return _FORMS[-1].sub(rf"\g<1>{REMOVED}", text)


def redact_value(value: Any) -> Any:
    """Return a JSON value without the values of settings that speak of secrets."""
    if isinstance(value, dict):
        return {name: _redact_pair(name, one) for name, one in value.items()}
    if isinstance(value, list):
        return [redact_value(one) for one in value]
    return value


def secrets_in(value: Any) -> set[str]:
    """Return the texts that ``redact_value`` takes out of a JSON value."""
    if isinstance(value, list):
        return set().union(*(secrets_in(one) for one in value))
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for name, one in value.items():
        found |= set(_texts(one)) if _is_secret(name) else secrets_in(one)
    return found


def _redact_pair(name: str, value: Any) -> Any:
    if not _is_secret(name):
        return redact_value(value)
    if isinstance(value, dict):
        return dict.fromkeys(value, REMOVED)
    return REMOVED


def _is_secret(name: str) -> bool:
    return name in _WHOLE or _NAMES.search(name) is not None


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
