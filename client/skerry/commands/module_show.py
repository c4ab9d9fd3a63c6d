"""``skerry module show``: one version of a module, and what its images say of themselves."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from skerry.answers import Module
from skerry.commands.arguments import REFERENCE
from skerry.images import reports
from skerry.images.documents import ModuleImages, PlatformImage
from skerry.images.source import CloudBlobs, chosen, module_images
from skerry.output import Output, facts, printable, short, size_text
from skerry.session import Session, with_session
from skerry_contract import shape
from skerry_contract.names import Reference

_CHECKED = {
    "not-asked": "no: nobody asked for it",
    "no-emulator": "no: the server cannot run this platform",
    "emulator-failed": "no: it crashed or hung under an emulator",
    "imported": "no: it was imported",
}
"""What ``checked`` means to people, where the word does not say it."""


@click.command(
    epilog="Example: skerry module show sentiment-scorer:1 --licences --platform linux/amd64"
)
@click.argument("which", metavar="NAME:VERSION", type=REFERENCE)
@click.option("--sbom", "part", flag_value="sbom", help="Its bill of materials, CycloneDX JSON.")
@click.option("--licences", "part", flag_value="licences", help="Its packages by licence.")
@click.option("--provenance", "part", flag_value="provenance", help="How it was made, SLSA JSON.")
@click.option("--lock", "part", flag_value="lock", help="Its Python packages, with hashes.")
@click.option("--platform", help="Whose image is meant, if there are several.")
@with_session
def show(session: Session, which: Reference, part: str | None, platform: str | None) -> None:
    """Show one version of a module: its images, their layers, and how they are started."""
    found = module_images(session.api, which)
    if part is None:
        module = session.api.module(which)
        value = {**shape.write(module), "images": _values(module, found)}
        session.output.result(
            value, _about(module), *_images(session.output, module, found, platform)
        )
        return
    image = chosen(found, platform)
    _SHOWN[part](session.output, image, CloudBlobs(session.api, which.name))


def _show_document(output: Output, kind: str, image: PlatformImage, blobs: CloudBlobs) -> None:
    value = json.loads(reports.report(image, kind, blobs))
    output.result(value, printable(json.dumps(value, indent=2, ensure_ascii=False)))


def _show_sbom(output: Output, image: PlatformImage, blobs: CloudBlobs) -> None:
    _show_document(output, reports.SBOM, image, blobs)


def _show_provenance(output: Output, image: PlatformImage, blobs: CloudBlobs) -> None:
    _show_document(output, reports.PROVENANCE, image, blobs)


def _show_licences(output: Output, image: PlatformImage, blobs: CloudBlobs) -> None:
    found = reports.licences(reports.report(image, reports.SBOM, blobs))
    rows = [(licence, ", ".join(packages)) for licence, packages in found.items()]
    output.result({"licences": found}, output.table(("LICENCE", "PACKAGES"), rows))


def _show_lock(output: Output, image: PlatformImage, blobs: CloudBlobs) -> None:
    text = reports.report(image, reports.LOCK, blobs).decode("utf-8", "replace")
    output.result({"platform": image.platform, "lock": text}, printable(text.rstrip("\n")))


_SHOWN = {
    "sbom": _show_sbom,
    "provenance": _show_provenance,
    "licences": _show_licences,
    "lock": _show_lock,
}


def _about(module: Module) -> str:
    return facts(
        (
            ("module", f"{module.name}:{module.version}"),
            ("models", " ".join(module.models)),
            ("entry script", module.entry_script),
            ("environment", module.environment),
            ("created", module.created),
        )
    )


def _values(module: Module, found: ModuleImages) -> Mapping[str, Any]:
    """Return for programs what the server says of each image, and what the image says."""
    values = {}
    for image in found.images:
        start = image.start
        values[image.platform] = {
            **shape.write(module.images[image.platform]),
            "config": image.manifest.config.digest,
            "user": start.User,
            "entrypoint": list(start.Entrypoint or ()),
            "command": list(start.Cmd or ()),
            "working_dir": start.WorkingDir,
            "env": list(start.Env or ()),
            "ports": sorted(start.ExposedPorts or ()),
            "labels": dict(start.Labels or {}),
            "reports": {one.name: one.content.digest for one in image.artifacts},
        }
    return values


def _images(
    output: Output, module: Module, found: ModuleImages, platform: str | None
) -> Iterator[Any]:
    if found.index is not None:
        yield f"\nindex  {found.index.digest}"
    for image in found.images:
        if platform in (None, image.platform):
            yield f"\n{image.platform}  {image.document.digest}"
            built = module.images[image.platform]
            yield facts((("checked", _CHECKED.get(built.checked, built.checked)),))
            yield _start(image)
            rows = [
                (one.kind, size_text(one.size), short(one.digest), "reused" if one.reused else "")
                for one in built.layers
            ]
            yield output.table(("LAYER", "SIZE", "DIGEST", ""), rows)


def _start(image: PlatformImage) -> str:
    start = image.start
    return facts(
        (
            ("config", short(image.manifest.config.digest)),
            ("user", start.User),
            ("entrypoint", " ".join((*(start.Entrypoint or ()), *(start.Cmd or ())))),
            ("ports", " ".join(start.ExposedPorts or ())),
            *((f"label {name}", text) for name, text in sorted((start.Labels or {}).items())),
            *((one.name, short(one.content.digest)) for one in image.artifacts),
        )
    )
