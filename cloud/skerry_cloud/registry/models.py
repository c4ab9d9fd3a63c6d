"""Registered models: named, versioned sets of files that never change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, select, tuple_

from skerry_cloud.blobs import BlobStore
from skerry_cloud.clock import Clock
from skerry_cloud.database import Database, model_files, models, module_models, next_number
from skerry_cloud.registry.files import File, check_files
from skerry_contract.errors import ConflictError, NotFoundError
from skerry_contract.names import Reference, check_name


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """What is registered as the next version of a name.

    Attributes:
        name: What the model is called.
        files: Its files, uploaded already.
        description: For people.
        tags: For people and for searching.
        properties: Facts, such as a metric of the training.
        framework: What it was made with.
        framework_version: And with which version of that.
    """

    name: str
    files: Sequence[File]
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    framework: str = ""
    framework_version: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One registered version of a model.

    Attributes:
        reference: Name and version.
        about: What was registered.
        created: When, in seconds since 1970.
    """

    reference: Reference
    about: NewModel
    created: float

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.about.files)


class Models:
    """All registered models."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    def register(self, new: NewModel) -> Model:
        """Store ``new`` as the next version of its name.

        Raises:
            NameInvalidError: The name cannot be used.
            ModelError: The list of files is empty or wrong.
            NotFoundError: A file's bytes were not uploaded.
        """
        check_name(new.name)
        check_files(new.files, self._blobs, owner=f"model {new.name}")
        with self._database.write() as connection:
            version = next_number(connection, "model", new.name)
            model = Model(Reference(new.name, version), new, self._clock())
            _insert(connection, model)
        return model

    def get(self, which: Reference) -> Model:
        """Return one version.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            return find_model(connection, which)

    def latest(self) -> list[Model]:
        """Return the latest version of every model, by name."""
        newest = select(models.c.name, func.max(models.c.version)).group_by(models.c.name)
        with self._database.read() as connection:
            wanted = tuple_(models.c.name, models.c.version).in_(newest)
            return _models(connection, connection.execute(_select().where(wanted)))

    def versions(self, name: str) -> list[Model]:
        """Return all versions of one model, latest first.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            rows = connection.execute(_select().where(models.c.name == name))
            found = _models(connection, rows)
            if not found:
                raise unknown_model(connection, name)
        return found

    def delete(self, which: Reference) -> None:
        """Remove one version that no module was built from; its number is not used again.

        Raises:
            NotFoundError: There is none.
            ConflictError: A module needs it.
        """
        with self._database.write() as connection:
            find_model(connection, which)
            users = connection.execute(
                select(module_models.c.module, module_models.c.version)
                .where(
                    module_models.c.model == which.name,
                    module_models.c.model_version == which.version,
                )
                .distinct()
            )
            needed_by = ", ".join(f"{name}:{version}" for name, version in users)
            if needed_by:
                raise ConflictError(
                    f"model {which} is part of {needed_by}", remedy="Delete these modules first."
                )
            files = model_files.c
            connection.execute(
                model_files.delete().where(
                    files.model == which.name, files.version == which.version
                )
            )
            connection.execute(
                models.delete().where(
                    models.c.name == which.name, models.c.version == which.version
                )
            )


def find_model(connection: Connection, which: Reference) -> Model:
    """Return one version of a model.

    Raises:
        NotFoundError: There is none; the error names what there is.
    """
    wanted = (models.c.name == which.name) & (models.c.version == which.version)
    found = _models(connection, connection.execute(_select().where(wanted)))
    if not found:
        raise unknown_model(connection, which.name, which)
    return found[0]


def unknown_model(
    connection: Connection, name: str, which: Reference | None = None
) -> NotFoundError:
    """Return the error that says which versions, or else which names, there are."""
    versions = connection.scalars(
        select(models.c.version).where(models.c.name == name).order_by(models.c.version)
    )
    known = [f"{name}:{version}" for version in versions]
    if not known:
        names = select(models.c.name).distinct().order_by(models.c.name).limit(20)
        known = list(connection.scalars(names))
    return NotFoundError(
        f"there is no model {which or name}", remedy=f"There is: {', '.join(known) or 'none yet'}."
    )


def _select() -> Any:
    return select(models).order_by(models.c.name, models.c.version.desc())


def _models(connection: Connection, rows: Iterable[Row[Any]]) -> list[Model]:
    return [_model(row, _files(connection, row.name, row.version)) for row in rows]


def _files(connection: Connection, name: str, version: int) -> tuple[File, ...]:
    mine = (model_files.c.model == name) & (model_files.c.version == version)
    rows = connection.execute(select(model_files).where(mine).order_by(model_files.c.path))
    return tuple(File(row.path, row.digest, row.size) for row in rows)


def _model(row: Row[Any], files: tuple[File, ...]) -> Model:
    about = NewModel(
        name=row.name,
        files=files,
        description=row.description,
        tags=row.tags,
        properties=row.properties,
        framework=row.framework,
        framework_version=row.framework_version,
    )
    return Model(Reference(row.name, row.version), about, row.created)


def _insert(connection: Connection, model: Model) -> None:
    about, version = model.about, model.reference.version
    row = {
        "name": about.name,
        "version": version,
        "description": about.description,
        "tags": dict(about.tags),
        "properties": dict(about.properties),
        "framework": about.framework,
        "framework_version": about.framework_version,
        "created": model.created,
    }
    connection.execute(models.insert(), row)
    files = [
        {
            "model": about.name,
            "version": version,
            "path": file.path,
            "digest": file.digest,
            "size": file.size,
        }
        for file in about.files
    ]
    connection.execute(model_files.insert(), files)
