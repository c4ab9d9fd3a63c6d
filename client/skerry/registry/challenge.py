"""What a registry asks for when it answers 401; reading only.

Source: RFC 9110, section 11.6.1; "Token Authentication Specification" of the distribution project.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+|(?=,)|$)")
_PARAMETER = re.compile(
    r'\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))'
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate.

    Attributes:
        scheme: In lower case: ``basic`` or ``bearer``.
        parameters: Such as ``realm``, ``service`` and ``scope``.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> list[Challenge]:
    """Return the challenges of a ``WWW-Authenticate`` header; what cannot be read ends the list."""
    found = []
    rest = header[:8192]
    while scheme := _SCHEME.match(rest):
        rest = rest[scheme.end() :]
        parameters = {}
        while parameter := _PARAMETER.match(rest):
            name, quoted, bare = parameter.groups()
            value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[name.lower()] = value
            rest = rest[parameter.end() :]
        found.append(Challenge(scheme[1].lower(), parameters))
        rest = rest.lstrip(" ,")
    return found
