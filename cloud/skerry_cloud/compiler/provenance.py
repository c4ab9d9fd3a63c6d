"""How an image came about, in SLSA's form; it holds no time, so that it can be made again.

Source: SLSA provenance v1, and the in-toto statement v1 around it.
"""

from collections.abc import Sequence
from typing import Any

from skerry_cloud.compiler.request import BuildRequest, Layer, files_digest
from skerry_contract import __version__

PREDICATE = "https://slsa.dev/provenance/v1"
PROVENANCE_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_BUILD = "urn:skerry:build:module:1"
_BUILDER = "urn:skerry:compiler"


def predicate_of(request: BuildRequest, layers: Sequence[Layer], lock: str) -> dict[str, Any]:
    """Return what was asked for, what it was made of, and who made it.

    Args:
        request: What was asked for.
        layers: What came out, lowest first.
        lock: Digest of the environment's lock; empty without one.
    """
    materials = [
        *(_material(f"model:{one.reference}", files_digest(one.files)) for one in request.models),
        _material("scorer folder", files_digest(request.files)),
        *([_material("environment.lock", lock)] if lock else []),
        *([_material("base image", request.base.digest)] if request.base else []),
        *(_material(one.title, one.digest) for one in layers if one.kind == "base"),
    ]
    return {
        "buildDefinition": {
            "buildType": _BUILD,
            "externalParameters": {
                "module": str(request.reference),
                "platform": request.platform,
                "models": [str(model.reference) for model in request.models],
                "entryScript": request.entry_script,
                "environment": request.environment,
                **({"base": request.base.digest} if request.base else {}),
            },
            "resolvedDependencies": materials,
        },
        "runDetails": {
            "builder": {"id": _BUILDER, "version": {"skerry": __version__}},
            "metadata": {"invocationId": f"{request.reference} {request.platform}"},
        },
    }


def statement_of(image: str, name: str, predicate: Any) -> dict[str, Any]:
    """Return the predicate as said of one image.

    Args:
        image: Digest of its manifest.
        name: What it is called.
        predicate: What ``predicate_of`` returned.
    """
    digest = {"sha256": image.removeprefix("sha256:")}
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": digest}],
        "predicateType": PREDICATE,
        "predicate": predicate,
    }


def _material(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
