"""The bill of materials of one image, in CycloneDX's form; a pure function of what is in it.

It holds no time and no chance, so that the same image always has the same one.
Source: CycloneDX 1.6 (ECMA-424), JSON; package URLs (purl) for ``deb`` and ``pypi``.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from skerry_cloud.compiler.inventory import Inventory, Package
from skerry_cloud.compiler.request import BuildRequest, Layer, ModelFiles, files_digest
from skerry_contract import __version__

SBOM_TYPE = "application/vnd.cyclonedx+json"
_MAX_NAMED = 100
"""Files of a model that are named one by one; its hash covers all of them."""
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def sbom_of(request: BuildRequest, layers: Sequence[Layer], found: Inventory) -> dict[str, Any]:
    """Return the bill of materials.

    Args:
        request: What the image was made of.
        layers: Its layers, lowest first.
        found: What is installed in them.
    """
    module = {
        "type": "container",
        "bom-ref": f"module:{request.reference}",
        "name": request.name,
        "version": str(request.version),
        "properties": [
            _property("platform", request.platform),
            *(_property(f"layer:{layer.title}", layer.digest) for layer in layers),
        ],
    }
    packages = {_key(one): one for one in found.packages}
    bom: dict[str, Any] = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [_tool()]},
            "component": module,
        },
        "components": [
            *(_model(one) for one in request.models),
            _code(request),
            _host(),
            *(_package(one, found.system) for one in found.packages),
        ],
        "dependencies": list(_dependencies(module["bom-ref"], request, packages)),
    }
    written = json.dumps(bom, sort_keys=True).encode()
    number = uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(written).hexdigest())
    return {**bom, "serialNumber": f"urn:uuid:{number}"}


def purl(package: Package, system: str) -> str:
    """Return a package's URL, such as ``pkg:deb/debian/zlib1g@1.2?arch=amd64&distro=debian-12``.

    Args:
        package: Which one.
        system: Whose package it is, if it is no Python package: ``debian-12``.
    """
    version = quote(package.version, safe="")
    if package.kind == "pypi":
        return f"pkg:pypi/{package.name}@{version}"
    name = quote(package.name, safe="")
    vendor = system.partition("-")[0] or "debian"
    distro = f"&distro={quote(system, safe='')}" if system else ""
    return f"pkg:deb/{vendor}/{name}@{version}?arch={package.architecture}{distro}"


def _model(model: ModelFiles) -> dict[str, Any]:
    framework = " ".join(filter(None, (model.framework, model.framework_version)))
    properties = [_property("framework", framework)] if framework else []
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{model.reference}",
        "name": model.name,
        "version": str(model.version),
        "hashes": [_sha256(files_digest(model.files))],
        "properties": [
            *properties,
            *(_property(f"file:{file.path}", file.digest) for file in model.files[:_MAX_NAMED]),
        ],
    }


def _code(request: BuildRequest) -> dict[str, Any]:
    return {
        "type": "application",
        "bom-ref": "scorer-code",
        "name": f"{request.name} scorer code",
        "version": str(request.version),
        "hashes": [_sha256(files_digest(request.files))],
        "properties": [_property("entry-script", request.entry_script)],
    }


def _host() -> dict[str, Any]:
    licences = [{"license": {"id": "Apache-2.0"}}]
    return {**_tool(), "bom-ref": "scorer-host", "name": "skerry-scorer", "licenses": licences}


def _tool() -> dict[str, Any]:
    return {"type": "application", "name": "skerry", "version": __version__}


def _package(package: Package, system: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _key(package),
        "name": package.name,
        "version": package.version,
        "purl": purl(package, system),
    }
    if package.hashes:
        component["hashes"] = [_sha256(digits) for digits in package.hashes]
    if package.spdx:
        component["licenses"] = [{"expression": package.licences[0]}]
    elif package.licences:
        component["licenses"] = [{"license": {"name": name}} for name in package.licences]
    elif package.kind == "deb":
        component["properties"] = [_property("terms", f"usr/share/doc/{package.name}/copyright")]
    return component


def _dependencies(
    module: Any, request: BuildRequest, packages: Mapping[str, Package]
) -> Iterable[dict[str, Any]]:
    models = [f"model:{model.reference}" for model in request.models]
    yield {"ref": module, "dependsOn": [*models, "scorer-code", "scorer-host", *packages]}
    by_name = {(one.kind, one.name): key for key, one in packages.items()}
    for key, package in packages.items():
        needed = (by_name.get((package.kind, name), "") for name in package.depends)
        yield {"ref": key, "dependsOn": sorted({other for other in needed if other} - {key})}


def _key(package: Package) -> str:
    return f"{package.kind}:{package.name}@{package.version}"


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"skerry:{name}", "value": value}


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}
