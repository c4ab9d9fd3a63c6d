"""Registered models: named, versioned sets of files that never change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, select, update

from skerry_cloud.blobs import BlobStore
from skerry_cloud.clock import Clock
from skerry_cloud.compiler.request import FileEntry, files_digest
from skerry_cloud.database import Database, model_files, models, next_number
from skerry_cloud.formats import Finding, examine
from skerry_cloud.registry.archive import unpack
from skerry_cloud.registry.files import File, check_files
from skerry_cloud.registry.lineage import check_unused, derived
from skerry_cloud.registry.new_model import ModelChange, NewModel
from skerry_contract import shape
from skerry_contract.errors import ConflictError, ModelError, NotFoundError
from skerry_contract.names import (
    Digest,
    ModelReference,
    Reference,
    check_model_name,
    parse_model_reference,
)


@dataclass(frozen=True, slots=True)
class Model:
    """One registered version of a model.

    Attributes:
        reference: Name and version.
        about: What was registered, and what was changed since.
        created: When, in seconds since 1970.
        created_by: Who registered it.
        digest: Digest of its content: that of its files' paths and digests (``files_digest``).
        findings: What its files are, told from their bytes.
        archived: When it was archived, in seconds since 1970; None if it is not.
        derived: Models whose parent it is; only ``get`` fills it in.
    """

    reference: Reference
    about: NewModel
    created: float
    created_by: str = ""
    digest: str = ""
    findings: Sequence[Finding] = ()
    archived: float | None = None
    derived: Sequence[str] = ()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.about.files)

    @property
    def executes_code(self) -> list[Finding]:
        """The files that can execute code when they are loaded."""
        return [one for one in self.findings if one.executes_code]


class Models:
    """All registered models."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    def register(self, new: NewModel, by: str = "") -> Model:
        """Store ``new`` as the next version of its name; ``by`` is who asks.

        Raises:
            NameInvalidError: The name cannot be used.
            ModelError: The list of files is empty or wrong, or a file is refused.
            NotFoundError: A file's bytes were not uploaded, or there is no such parent.
        """
        check_model_name(new.name)
        owner = f"model {new.name}"
        check_files(new.files, self._blobs, owner=owner)
        samples = [one for one in (new.sample_input, new.sample_output) if one]
        for sample in samples:
            check_files([sample], self._blobs, owner=f"a sample of {owner}")
        if new.unpack:
            new = replace(new, files=self._unpacked(new, owner))
        examined = examine(new.files, self._blobs.open, owner=owner)
        new = _with_mlflow(new, examined.mlflow)
        if new.framework_version and not new.framework:
            raise ModelError(f"{owner} has the version of a framework, but no framework")
        with self._database.write() as connection:
            if new.parent:
                parent = find_model(connection, parse_model_reference(new.parent)).reference
                new = replace(new, parent=str(parent))
            version = next_number(connection, "model", new.name)
            model = Model(
                Reference(new.name, version),
                new,
                self._clock(),
                by,
                _digest(new.files),
                examined.findings,
            )
            _insert(connection, model)
        return model

    def get(self, which: Reference | ModelReference) -> Model:
        """Return one version, with what was made from it.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            found = find_model(connection, which)
            return replace(found, derived=derived(connection, found.reference))

    def change(self, which: Reference | ModelReference, change: ModelChange) -> Model:
        """Change what may change of a model, and return it.

        Raises:
            NotFoundError: There is none.
            ConflictError: A property exists already.
        """
        with self._database.write() as connection:
            found = find_model(connection, which)
            row = _changed(found, change)
            connection.execute(update(models).where(_is(found.reference)).values(row))
        return self.get(found.reference)

    def archive(self, which: Reference | ModelReference, *, archived: bool) -> Model:
        """Hide a version from lists and new builds, or bring it back; what runs is untouched.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.write() as connection:
            found = find_model(connection, which)
            when = (found.archived or self._clock()) if archived else None
            row = {"archived": when}
            connection.execute(update(models).where(_is(found.reference)).values(row))
        return self.get(found.reference)

    def delete(self, which: Reference | ModelReference) -> None:
        """Remove one version that nothing needs; its number is not used again.

        Raises:
            NotFoundError: There is none.
            ConflictError: A module or a build needs it.
        """
        with self._database.write() as connection:
            found = find_model(connection, which).reference
            check_unused(connection, found)
            files = model_files.c
            mine = (files.model == found.name) & (files.version == found.version)
            connection.execute(model_files.delete().where(mine))
            connection.execute(models.delete().where(_is(found)))

    def _unpacked(self, new: NewModel, owner: str) -> tuple[File, ...]:
        if len(new.files) != 1:
            raise ModelError(
                f"{owner} is to be unpacked, and has {len(new.files)} files",
                remedy="Give the one archive.",
            )
        return unpack(new.files[0], self._blobs, owner=owner)


def find_model(connection: Connection, which: Reference | ModelReference) -> Model:
    """Return one version of a model: the latest that is not archived where none is named.

    Raises:
        NotFoundError: There is none; the error names what there is.
    """
    wanted = models.c.name == which.name
    if which.version:
        wanted &= models.c.version == which.version
    elif isinstance(which, ModelReference) and which.digest:
        wanted &= models.c.digest == which.digest
    else:
        wanted &= models.c.archived.is_(None)
    found = models_of(connection, connection.execute(select_models().where(wanted).limit(1)))
    if not found:
        raise unknown_model(connection, which.name, which)
    return found[0]


def find_to_build(connection: Connection, which: ModelReference) -> Model:
    """Return a model that a module may be built from.

    Raises:
        NotFoundError: There is none.
        ConflictError: It is archived.
    """
    found = find_model(connection, which)
    if found.archived is not None:
        raise ConflictError(
            f"model {found.reference} is archived",
            remedy=f"Restore it first: skerry model restore {found.reference}",
        )
    return found


def unknown_model(connection: Connection, name: str, which: object = None) -> NotFoundError:
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


def select_models() -> Any:
    """Return the query for models, by name, latest version first."""
    return select(models).order_by(models.c.name, models.c.version.desc())


def models_of(connection: Connection, rows: Iterable[Row[Any]]) -> list[Model]:
    """Return the models of rows that ``select_models`` found."""
    return [_model(row, _files(connection, row.name, row.version)) for row in rows]


def _is(which: Reference) -> Any:
    return (models.c.name == which.name) & (models.c.version == which.version)


def _files(connection: Connection, name: str, version: int) -> tuple[File, ...]:
    mine = (model_files.c.model == name) & (model_files.c.version == version)
    rows = connection.execute(select(model_files).where(mine).order_by(model_files.c.path))
    return tuple(File(row.path, row.digest, row.size) for row in rows)


def _digest(files: Sequence[File]) -> str:
    return files_digest([FileEntry(one.path, Digest(one.digest), one.size) for one in files])


def _with_mlflow(new: NewModel, said: Finding | None) -> NewModel:
    """Add what MLflow says of a model to what was not given."""
    if said is None:
        return new
    facts = {key: value for key, value in said.facts.items() if not key.startswith("framework")}
    known = {f"mlflow.{key.removeprefix('mlflow_')}": value for key, value in facts.items()}
    framework, version = new.framework, new.framework_version
    if not framework:
        framework = said.facts.get("framework", "")
        version = said.facts.get("framework_version", "")
    return replace(
        new,
        properties={**known, **new.properties},
        run_id=new.run_id or said.facts.get("run_id", ""),
        framework=framework,
        framework_version=version,
    )


def _changed(model: Model, change: ModelChange) -> dict[str, Any]:
    for key, value in change.add_properties.items():
        if model.about.properties.get(key, value) != value:
            raise ConflictError(
                f"model {model.reference} has the property {key} already, and none changes",
                remedy="Use a tag for what changes, or register a new version.",
            )
    tags = {**(model.about.tags if change.tags is None else change.tags), **change.add_tags}
    row: dict[str, Any] = {
        "tags": {key: value for key, value in tags.items() if key not in change.remove_tags},
        "properties": {**model.about.properties, **change.add_properties},
    }
    if change.description is not None:
        row["description"] = change.description
    return row


_MORE = (
    "unpack",
    "sample_input",
    "sample_output",
    "resources",
    "datasets",
    "run_id",
    "experiment_name",
)
"""Fields of a new model that stand in one column."""


def _model(row: Row[Any], files: tuple[File, ...]) -> Model:
    given = {
        "name": row.name,
        "files": [shape.write(file) for file in files],
        "description": row.description,
        "tags": row.tags,
        "properties": row.properties,
        "framework": row.framework,
        "framework_version": row.framework_version,
        "parent": row.parent or None,
        **row.more,
    }
    findings = tuple(shape.read(Finding, one) for one in row.findings)
    about = shape.read(NewModel, given)
    reference = Reference(row.name, row.version)
    return Model(reference, about, row.created, row.created_by, row.digest, findings, row.archived)


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
        "created_by": model.created_by,
        "digest": model.digest,
        "parent": about.parent or "",
        "more": {name: shape.write(getattr(about, name)) for name in _MORE},
        "findings": [shape.write(one) for one in model.findings],
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
