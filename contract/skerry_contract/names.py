"""How things are called: one alphabet for every name that ends up in a topic, path or label.

A name never holds a slash, a dot, a plus or a hash sign, so it is one level of an MQTT topic, one
component of a path and one part of a container's label without any escaping.
"""

import re
from dataclasses import dataclass
from typing import NewType

from skerry_contract.errors import NameInvalidError

Digest = NewType("Digest", str)
"""Content address, ``sha256:`` and 64 lower-case hex digits."""

DEVICE_ID = "[a-z0-9][a-z0-9-]{2,62}"
"""Device and fleet ids: no longer than a DNS label or a certificate's common name may be."""
NAME = "[a-z0-9][a-z0-9-]{0,62}"
"""Models, modules, deployments, inputs and streams."""
MODULE = f"(?!event$){NAME}"
"""Modules on a device: telemetry of one called ``event`` would look like the device's events."""
DIGEST = "sha256:[0-9a-f]{64}"
REFERENCE = f"{NAME}:[1-9][0-9]{{0,8}}"
"""A name with an integer version, ``sentiment:1``."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A named thing at one version, written ``name:version``."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


def check_device_id(text: str) -> str:
    """Return ``text`` if it can be the id of a device or a fleet.

    Raises:
        NameInvalidError: It cannot.
    """
    return _check(text, DEVICE_ID, "id", "3 to 63 of a-z, 0-9 and -, and no - in front")


def check_name(text: str) -> str:
    """Return ``text`` if it can name a model, module, deployment, input or stream.

    Raises:
        NameInvalidError: It cannot.
    """
    return _check(text, NAME, "name", "1 to 63 of a-z, 0-9 and -, and no - in front")


def check_digest(text: str) -> Digest:
    """Return ``text`` if it is a SHA-256 content address.

    Raises:
        NameInvalidError: It is not.
    """
    return Digest(_check(text, DIGEST, "digest", "'sha256:' and 64 of 0-9 and a-f"))


def parse_reference(text: str) -> Reference:
    """Read ``name:version``.

    Raises:
        NameInvalidError: It is spelled otherwise.
    """
    _check(text, REFERENCE, "reference", "'name:version', such as sentiment:1")
    name, _, version = text.partition(":")
    return Reference(name, int(version))


def _check(text: str, pattern: str, what: str, rule: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        raise NameInvalidError(f"{shown!r} is no {what}", remedy=f"Use {rule}.")
    return text
