"""Built modules: named, versioned images, one per platform."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select, tuple_

from skerry_cloud.clock import Clock
from skerry_cloud.database import (
    Database,
    deployment_modules,
    module_images,
    module_models,
    modules,
    next_number,
)
from skerry_contract.errors import ConflictError, NotFoundError
from skerry_contract.names import Digest, Reference

Checked = Literal["yes", "not-asked", "no-emulator", "emulator-failed", "imported", "unknown"]
"""Whether an image was tried when it was built, or why not; ``unknown`` of older builds."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    Attributes:
        digest: Content address of the compressed layer.
        size: Its length in bytes.
        kind: What it holds: base, environment, host, model or code.
        reused: Whether the cloud had it before this build.
    """

    digest: str
    size: int
    kind: str
    reused: bool


@dataclass(frozen=True, slots=True)
class Image:
    """A module's image for one platform.

    Attributes:
        digest: Content address of its OCI manifest.
        size: Length of that manifest in bytes.
        layers: From the most to the least stable.
        checked: Whether ``init()`` and the golden set ran well, or why they were not judged.
    """

    digest: Digest
    size: int
    layers: tuple[Layer, ...]
    checked: Checked


@dataclass(frozen=True, slots=True)
class Module:
    """One built version of a module.

    Attributes:
        reference: Name and version.
        models: Models it was built from.
        entry_script: Path of its entry script.
        environment: Path of its environment file, or empty.
        images: Image by platform, such as ``linux/amd64``.
        created: When, in seconds since 1970.
    """

    reference: Reference
    models: Sequence[Reference]
    entry_script: str
    environment: str
    images: Mapping[str, Image]
    created: float


class Modules:
    """All built modules."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get(self, which: Reference) -> Module:
        """Return one version.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            return find_module(connection, which)

    def add(self, name: str, images: Mapping[str, Image]) -> Module:
        """Store images that were made elsewhere as the next version of a module."""
        with self._database.write() as connection:
            reference = Reference(name, next_number(connection, "module", name))
            module = Module(reference, [], "", "", images, self._clock())
            insert_module(connection, module)
        return module

    def latest(self) -> list[Module]:
        """Return the latest version of every module, by name."""
        newest = select(modules.c.name, func.max(modules.c.version)).group_by(modules.c.name)
        with self._database.read() as connection:
            wanted = tuple_(modules.c.name, modules.c.version).in_(newest)
            return _modules(connection, connection.execute(_select().where(wanted)))

    def versions(self, name: str) -> list[Module]:
        """Return all versions of one module, latest first.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            rows = connection.execute(_select().where(modules.c.name == name))
            found = _modules(connection, rows)
            if not found:
                raise unknown_module(connection, name)
        return found

    def delete(self, which: Reference) -> None:
        """Remove one version that no deployment uses; its number is not used again.

        Raises:
            NotFoundError: There is none.
            ConflictError: A deployment needs it.
        """
        with self._database.write() as connection:
            find_module(connection, which)
            _check_unused(connection, which)
            for table in (module_models, module_images):
                mine = (table.c.module == which.name) & (table.c.version == which.version)
                connection.execute(table.delete().where(mine))
            mine = (modules.c.name == which.name) & (modules.c.version == which.version)
            connection.execute(modules.delete().where(mine))

    def image_digests(self, name: str) -> dict[str, list[str]]:
        """Return the digests that each tag of a repository stands for: versions, as text."""
        images = module_images.c
        rows = select(images.version, images.digest).where(images.module == name)
        found: dict[str, list[str]] = {}
        with self._database.read() as connection:
            for version, digest in connection.execute(rows.order_by(images.platform)):
                found.setdefault(str(version), []).append(digest)
        return found


def insert_module(connection: Connection, module: Module) -> None:
    """Store a module that was built."""
    mine = {"module": module.reference.name, "version": module.reference.version}
    row = {
        "name": module.reference.name,
        "version": module.reference.version,
        "entry_script": module.entry_script,
        "environment": module.environment,
        "created": module.created,
    }
    connection.execute(modules.insert(), row)
    for position, model in enumerate(module.models):
        made_from = {"position": position, "model": model.name, "model_version": model.version}
        connection.execute(module_models.insert(), {**mine, **made_from})
    for platform, image in module.images.items():
        layers = [asdict(layer) for layer in image.layers]
        facts = {"platform": platform, "digest": image.digest, "size": image.size}
        more = {"layers": layers, "checked": image.checked}
        connection.execute(module_images.insert(), {**mine, **facts, **more})


def find_module(connection: Connection, which: Reference) -> Module:
    """Return one version of a module.

    Raises:
        NotFoundError: There is none; the error names what there is.
    """
    wanted = (modules.c.name == which.name) & (modules.c.version == which.version)
    found = _modules(connection, connection.execute(_select().where(wanted)))
    if not found:
        raise unknown_module(connection, which.name, which)
    return found[0]


def unknown_module(
    connection: Connection, name: str, which: Reference | None = None
) -> NotFoundError:
    """Return the error that says which versions, or else which names, there are."""
    versions = connection.scalars(
        select(modules.c.version).where(modules.c.name == name).order_by(modules.c.version)
    )
    known = [f"{name}:{version}" for version in versions]
    if not known:
        names = select(modules.c.name).distinct().order_by(modules.c.name).limit(20)
        known = list(connection.scalars(names))
    return NotFoundError(
        f"there is no module {which or name}", remedy=f"There is: {', '.join(known) or 'none yet'}."
    )


def _check_unused(connection: Connection, which: Reference) -> None:
    users = deployment_modules.c
    rows = connection.execute(
        select(users.name, users.version).where(
            users.module == which.name, users.module_version == which.version
        )
    )
    needed_by = ", ".join(f"{name}:{version}" for name, version in rows)
    if needed_by:
        raise ConflictError(
            f"module {which} is deployed by {needed_by}", remedy="Delete these deployments first."
        )


def _select() -> Any:
    return select(modules).order_by(modules.c.name, modules.c.version.desc())


def _modules(connection: Connection, rows: Iterable[Row[Any]]) -> list[Module]:
    return [_module(connection, row) for row in rows]


def _module(connection: Connection, row: Row[Any]) -> Module:
    made_from = module_models.c
    parts = connection.execute(
        select(made_from.model, made_from.model_version)
        .where(made_from.module == row.name, made_from.version == row.version)
        .order_by(made_from.position)
    )
    images = module_images.c
    built = connection.execute(
        select(module_images)
        .where(images.module == row.name, images.version == row.version)
        .order_by(images.platform)
    )
    return Module(
        Reference(row.name, row.version),
        [Reference(name, version) for name, version in parts],
        row.entry_script,
        row.environment,
        {found.platform: _image(found) for found in built},
        row.created,
    )


def _image(row: Row[Any]) -> Image:
    layers = tuple(Layer(**layer) for layer in row.layers)
    return Image(Digest(row.digest), row.size, layers, row.checked)
