"""What a deployment must say explicitly before it is taken."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection

from skerry_cloud.registry.models import Model, find_model
from skerry_cloud.registry.modules import Module
from skerry_contract.errors import ManifestError
from skerry_contract.manifest import Manifest

_NAMED = 5
"""Files that the error names."""


def check_code_in_models(
    connection: Connection, manifest: Manifest, modules: Mapping[str, Module]
) -> None:
    """Refuse models that can execute code when they are loaded, unless the manifest allows them.

    Args:
        connection: Where the models are.
        manifest: What is to be deployed.
        modules: The built module of each ``image`` that the manifest names.

    Raises:
        ManifestError: Naming the module, the files and why.
    """
    for name, wanted in manifest.modules.items():
        if wanted.allow_code_in_models:
            continue
        models = [find_model(connection, which) for which in modules[wanted.image].models]
        found = [line for model in models for line in _dangers(model)]
        if found:
            more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise ManifestError(
                f"{wanted.image} holds files that execute code when they are loaded: "
                f"{', '.join(found[:_NAMED])}{more}",
                ("modules", name),
                remedy="'skerry model show' says why. If you trust who made them, add this "
                "line to the module: allow_code_in_models: true",
            )


def _dangers(model: Model) -> Iterator[str]:
    if not model.digest:
        yield f"{model.reference} (it was registered before files were examined)"
    for one in model.executes_code:
        yield f"{one.path} of {model.reference}"
