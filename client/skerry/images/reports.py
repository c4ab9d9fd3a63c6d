"""What an image says of itself, and the licences in its bill of materials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from skerry.images.documents import PlatformImage
from skerry.images.source import MAX_REPORT_BYTES, CloudBlobs
from skerry_contract import shape
from skerry_contract.errors import NotFoundError
from skerry_contract.shape import Size, Text

SBOM = "application/vnd.cyclonedx+json"
PROVENANCE = "application/vnd.in-toto+json"
LOCK = "application/vnd.skerry.lock.v1+txt"
UNSTATED = "not stated"
"""Stands for the licence of what names none in a form that a program can read."""

_Long = Annotated[str, Text(max_length=10_000)]
_MANY = Size(0, 100_000)


@dataclass(frozen=True, slots=True)
class _License:
    name: _Long = ""
    id: _Long = ""


@dataclass(frozen=True, slots=True)
class _Choice:
    license: _License | None = None
    expression: _Long = ""

    @property
    def text(self) -> str:
        return self.expression or (self.license.id or self.license.name if self.license else "")


@dataclass(frozen=True, slots=True)
class _Component:
    name: _Long
    version: _Long = ""
    licenses: Annotated[tuple[_Choice, ...], Size(0, 1000)] = ()


@dataclass(frozen=True, slots=True)
class _Bom:
    components: Annotated[tuple[_Component, ...], _MANY]


def report(image: PlatformImage, kind: str, blobs: CloudBlobs) -> bytes:
    """Return what an image says of itself, checked.

    Args:
        image: Which image.
        kind: What about, as a media type.
        blobs: Where it is.

    Raises:
        NotFoundError: It says nothing of that kind.
    """
    for artifact in image.artifacts:
        if artifact.kind == kind:
            return blobs.read(artifact.content, max_bytes=MAX_REPORT_BYTES)
    raise NotFoundError(
        f"the image {image.document.digest} carries no {kind}",
        remedy="Images made elsewhere, or by an older server, carry none; a lock needs an "
        "environment.",
    )


def licences(sbom: bytes) -> Mapping[str, Sequence[str]]:
    """Return ``name version`` of every component by licence; what names none comes last.

    Raises:
        ContractError: It is no bill of materials.
    """
    bom = shape.parse(_Bom, sbom, max_bytes=MAX_REPORT_BYTES, subject="bill of materials")
    found: dict[str, list[str]] = {}
    for component in bom.components:
        called = f"{component.name} {component.version}".strip()
        texts = [choice.text for choice in component.licenses if choice.text]
        for text in texts or [UNSTATED]:
            found.setdefault(text, []).append(called)
    last = {UNSTATED: found.pop(UNSTATED)} if UNSTATED in found else {}
    return {**{text: sorted(found[text]) for text in sorted(found)}, **last}
