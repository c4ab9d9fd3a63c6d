"""The two documents that make layers an image: config and manifest, in OCI's form.

Source: OCI image specification 1.1, ``config.md`` and ``manifest.md``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from skerry_cloud.blobs import Blob, BlobStore
from skerry_cloud.compiler.base import USER_ID
from skerry_cloud.compiler.content import APP_FOLDER, HOST_FOLDER, model_folder
from skerry_cloud.compiler.environment import ENVIRONMENT_FOLDER
from skerry_cloud.compiler.platforms import Platform
from skerry_cloud.compiler.request import (
    MODELS_FOLDER,
    BuildRequest,
    Image,
    Layer,
    files_digest,
)

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
# A real time would give the same module another digest each time it is built.
_CREATED = "1980-01-01T00:00:00Z"


def store_image(
    request: BuildRequest,
    platform: Platform,
    layers: Sequence[Layer],
    reports: Mapping[str, str],
    blobs: BlobStore,
    *,
    python: str,
) -> Image:
    """Store config and manifest for ``layers``, and return the finished image.

    Args:
        request: What it is made of.
        platform: Where it runs.
        layers: Its layers, lowest first.
        reports: Digests of what it says of itself, by annotation.
        blobs: Where it goes.
        python: Path in the image of its Python.
    """
    config = blobs.put(_written(config_of(request, platform, layers, python)))
    annotations = {**_titles(request), **reports}
    manifest = blobs.put(_written(manifest_of(config, layers, annotations)))
    return Image(
        platform.name, manifest.digest, manifest.size, config.digest, config.size, tuple(layers)
    )


def environment_of(request: BuildRequest) -> dict[str, str]:
    """Return the variables that a module starts with."""
    models = f"{APP_FOLDER}/{MODELS_FOLDER}"
    if len(request.models) == 1:
        models = model_folder(request.models[0])
    return {
        **(request.base.variables if request.base else {}),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"/{HOST_FOLDER}:/{ENVIRONMENT_FOLDER}:/{APP_FOLDER}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "AML_APP_ROOT": f"/{APP_FOLDER}",
        "AZUREML_ENTRY_SCRIPT": request.entry_script,
        "AZUREML_MODEL_DIR": f"/{models}",
    }


def entrypoint_of(python: str) -> list[str]:
    """Return the command that a module starts with."""
    return [python, "-m", "skerry_scorer"]


def config_of(
    request: BuildRequest, platform: Platform, layers: Sequence[Layer], python: str
) -> dict[str, Any]:
    """Return the image's config; what a given base says stays, where the module says nothing."""
    base = request.base
    variables = environment_of(request)
    return {
        "architecture": platform.architecture,
        **({"variant": platform.variant} if platform.variant else {}),
        "os": "linux",
        "created": _CREATED,
        "config": {
            "User": f"{USER_ID}:{USER_ID}",
            "WorkingDir": f"/{APP_FOLDER}",
            "ExposedPorts": {"5001/tcp": {}},
            "Entrypoint": entrypoint_of(python),
            "Env": [f"{name}={value}" for name, value in variables.items()],
            "Labels": {
                **(base.labels if base else {}),
                **({_BASE_DIGEST: base.digest} if base else {}),
                **_titles(request),
                "io.skerry.module": str(request.reference),
                "io.skerry.models": " ".join(str(model.reference) for model in request.models),
                "io.skerry.source": files_digest(request.files),
                "io.skerry.scorer-host": "1",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": _CREATED, "created_by": layer.title} for layer in layers],
    }


def manifest_of(
    config: Blob, layers: Sequence[Layer], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Return the image's manifest."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(CONFIG_TYPE, config.digest, config.size),
        "layers": [_descriptor(layer.media_type, layer.digest, layer.size) for layer in layers],
        "annotations": dict(annotations),
    }


def _titles(request: BuildRequest) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": request.name,
        "org.opencontainers.image.version": str(request.version),
    }


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
