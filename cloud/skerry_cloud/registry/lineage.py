"""Who needs a model, and what was made from it."""

from sqlalchemy import Connection, select

from skerry_cloud.database import builds, deployment_modules, models, module_models
from skerry_contract.errors import ConflictError
from skerry_contract.names import Reference


def derived(connection: Connection, which: Reference) -> tuple[str, ...]:
    """Return the models whose parent is ``which``, as ``name:version``."""
    children = select(models.c.name, models.c.version).where(models.c.parent == str(which))
    rows = connection.execute(children.order_by(models.c.name, models.c.version))
    return tuple(f"{name}:{version}" for name, version in rows)


def check_unused(connection: Connection, which: Reference) -> None:
    """Refuse to let go of a model that something needs.

    Raises:
        ConflictError: A module, and so perhaps a deployment, or a build that runs; naming them.
    """
    modules = _modules(connection, which)
    if modules:
        deployed = sorted({name for module in modules for name in _deployments(connection, module)})
        text = f"model {which} is part of {', '.join(modules)}"
        if deployed:
            raise ConflictError(
                f"{text}, deployed by {', '.join(deployed)}",
                remedy="Delete these deployments and modules first, or archive the model.",
            )
        raise ConflictError(text, remedy="Delete these modules first, or archive the model.")
    running = select(builds.c.module, builds.c.version, builds.c.order)
    for name, version, order in connection.execute(running.where(builds.c.state == "running")):
        if str(which) in order["models"]:
            raise ConflictError(
                f"model {which} is being built into {name}:{version}",
                remedy="Wait until the build has ended.",
            )


def _modules(connection: Connection, which: Reference) -> list[str]:
    users = module_models.c
    rows = connection.execute(
        select(users.module, users.version)
        .where(users.model == which.name, users.model_version == which.version)
        .distinct()
        .order_by(users.module, users.version)
    )
    return [f"{name}:{version}" for name, version in rows]


def _deployments(connection: Connection, module: str) -> list[str]:
    name, _, version = module.partition(":")
    users = deployment_modules.c
    rows = connection.execute(
        select(users.name, users.version).where(
            users.module == name, users.module_version == int(version)
        )
    )
    return [f"{name}:{version}" for name, version in rows]
