"""What the head of an HTTP answer says: where its body begins, when to come back, who to ask.

No I/O. Sources: RFC 9110, sections 10.2.3 (Retry-After), 11.6.1 (WWW-Authenticate) and 14
(ranges); the distribution project's "Token Authentication Specification".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

MOST_RETRY_AFTER_S = 3600.0
"""Longest pause that a server can ask for."""
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')


def starts_at(header: str, offset: int, size: int) -> bool:
    """Return whether a ``Content-Range`` is just what was asked for.

    Args:
        header: Its value.
        offset: First byte that was asked for.
        size: Bytes of the whole; the range must lead to its end.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return False
    first, last, total = match.groups()
    return int(first) == offset and int(last) == size - 1 and total in ("*", str(size))


def retry_after_s(header: str, now: datetime) -> float:
    """Return the seconds that ``Retry-After`` asks for, 0 if it says nothing that is understood.

    Args:
        header: Its value: seconds, or a date.
        now: The time, with its zone.
    """
    text = header.strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return min(MOST_RETRY_AFTER_S, float(text))
    try:
        then = parsedate_to_datetime(text)
        return min(MOST_RETRY_AFTER_S, max(0.0, (then - now).total_seconds()))
    except (TypeError, ValueError, OverflowError):
        return 0.0


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry wants to see before it answers.

    Attributes:
        scheme: ``basic`` or ``bearer``.
        parameters: Such as ``realm``, ``service`` and ``scope``.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenge_of(header: str) -> Challenge | None:
    """Return the first challenge of ``WWW-Authenticate`` that can be met, or None."""
    for match in re.finditer(r"(?:^|,\s*)(basic|bearer)(?:\s+|$)", header[:4096], re.IGNORECASE):
        parameters = {}
        place = match.end()
        while found := _PARAMETER.match(header[:4096], place):
            value = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
            parameters[found[1].lower()] = value
            place = found.end()
            while place < len(header) and header[place] in ", ":
                place += 1
        return Challenge(match[1].lower(), parameters)
    return None
