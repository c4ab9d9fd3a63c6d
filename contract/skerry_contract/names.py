"""How things are called: one alphabet for every name that ends up in a topic, path or label.

Models alone have a wider one, that of Azure ML: their names end up in paths only. Any other name
never holds a slash, a dot, a plus or a hash sign, so it is one level of an MQTT topic, one
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
"""Modules, deployments, inputs and streams."""
MODULE = f"(?!event$){NAME}"
"""Modules on a device: telemetry of one called ``event`` would look like the device's events."""
DIGEST = "sha256:[0-9a-f]{64}"
REFERENCE = f"{NAME}:[1-9][0-9]{{0,8}}"
"""A name with an integer version, ``sentiment:1``."""
MODEL_NAME = r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}"
"""Models, as Azure ML names them; it is one component of a path, and never ``.`` or ``..``."""
MODEL_REFERENCE = rf"{MODEL_NAME}(:([1-9][0-9]{{0,8}}|latest)|@{DIGEST})?"
"""A model: ``name:version``, ``name@sha256:…``, and ``name`` or ``name:latest``."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A named thing at one version, written ``name:version``."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True, order=True)
class ModelReference:
    """A model as it was asked for: at a version, with a content, or the latest.

    Attributes:
        name: What it is called.
        version: Its version, or None for what follows.
        digest: Digest of its content; empty for the latest version.
    """

    name: str
    version: int | None = None
    digest: str = ""

    @property
    def which(self) -> str:
        """The version, the digest or ``latest``: what stands behind the name in a URL."""
        return str(self.version or self.digest or "latest")

    def __str__(self) -> str:
        return f"{self.name}{'@' if self.digest else ':'}{self.which}"


def check_device_id(text: str) -> str:
    """Return ``text`` if it can be the id of a device or a fleet.

    Raises:
        NameInvalidError: It cannot.
    """
    return _check(text, DEVICE_ID, "id", "3 to 63 of a-z, 0-9 and -, and no - in front")


def check_name(text: str) -> str:
    """Return ``text`` if it can name a module, deployment, input or stream.

    Raises:
        NameInvalidError: It cannot.
    """
    return _check(text, NAME, "name", "1 to 63 of a-z, 0-9 and -, and no - in front")


def check_model_name(text: str) -> str:
    """Return ``text`` if it can name a model.

    Raises:
        NameInvalidError: It cannot.
    """
    rule = "1 to 255 of letters, digits, -, . and _, and a letter or digit in front"
    return _check(text, MODEL_NAME, "name of a model", rule)


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


def parse_model_reference(text: str) -> ModelReference:
    """Read ``name:version``, ``name@sha256:…``, ``name:latest`` or ``name``.

    Raises:
        NameInvalidError: It is spelled otherwise.
    """
    rule = "'name:version', such as sentiment:1, 'name@sha256:…', or 'name' for the latest"
    _check(text, MODEL_REFERENCE, "reference to a model", rule)
    name, at, digest = text.partition("@")
    if at:
        return ModelReference(name, digest=digest)
    name, _, version = text.partition(":")
    return ModelReference(name, None if version in ("", "latest") else int(version))


def _check(text: str, pattern: str, what: str, rule: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        raise NameInvalidError(f"{shown!r} is no {what}", remedy=f"Use {rule}.")
    return text
