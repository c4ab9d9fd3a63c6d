"""What a deployment must say explicitly before it is taken."""

from collections.abc import Mapping

from sqlalchemy import Connection

from skerry_cloud.registry.models import find_model
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
        found = [
            f"{one.path} of {reference} ({one.executes_code})"
            for reference in modules[wanted.image].models
            for one in find_model(connection, reference).executes_code
        ]
        if found:
            more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise ManifestError(
                f"{wanted.image} holds files that execute code when they are loaded: "
                f"{', '.join(found[:_NAMED])}{more}",
                ("modules", name),
                remedy="If you trust who made them, add this line to the module: "
                "allow_code_in_models: true",
            )
