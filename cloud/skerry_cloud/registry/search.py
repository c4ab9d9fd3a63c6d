"""Lists of models: what is asked for, and a page of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, or_

from skerry_cloud.database import Database, models
from skerry_cloud.registry.models import Model, models_of, select_models, unknown_model
from skerry_contract.names import parse_model_reference

PAGE = 1000
"""Most models that one answer holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """Which models are wanted; all that is said must hold.

    Attributes:
        name: Only versions of this one.
        tags: Tags as ``key`` or ``key=value``.
        properties: Properties likewise.
        framework: What they were made with, whatever the case of its letters.
        run_id: The run that made them.
        archived: Whether archived versions are wanted, too.
        latest: Of the versions that are left, only the latest of each name; None if that was not
            said, which counts as no.
    """

    name: str = ""
    tags: Sequence[str] = ()
    properties: Sequence[str] = ()
    framework: str = ""
    run_id: str = ""
    archived: bool = False
    latest: bool | None = None


@dataclass(frozen=True, slots=True)
class ModelPage:
    """Some of the models that were asked for, by name, latest version first.

    Attributes:
        models: The models.
        next: Asks for what follows them; empty if nothing does.
    """

    models: Sequence[Model]
    next: str


def search(
    database: Database, wanted: ModelFilter, *, after: str = "", limit: int = PAGE
) -> ModelPage:
    """Return the models that a filter lets pass.

    Args:
        database: Where they are.
        wanted: Which ones.
        after: What an earlier page gave as ``next``.
        limit: At most so many, from 1 to ``PAGE``.

    Raises:
        NotFoundError: There is no model of the name that the filter names.
    """
    with database.read() as connection:
        rows = list(_rows(connection, wanted, after, limit + 1))
        if wanted.name and not after and not rows:
            _check_known(connection, wanted.name)
        found = models_of(connection, rows[:limit])
    more = len(rows) > limit
    return ModelPage(found, str(found[-1].reference) if more else "")


def _rows(
    connection: Connection, wanted: ModelFilter, after: str, limit: int
) -> Iterator[Row[Any]]:
    query = select_models()
    if wanted.name:
        query = query.where(models.c.name == wanted.name)
    if not wanted.archived:
        query = query.where(models.c.archived.is_(None))
    skipped = ""
    if after:
        start = parse_model_reference(after)
        later = and_(models.c.name == start.name, models.c.version < (start.version or 0))
        query = query.where(or_(models.c.name > start.name, later))
        skipped = start.name if wanted.latest else ""
    for row in connection.execute(query):
        if row.name != skipped and _fits(row, wanted):
            yield row
            limit -= 1
            skipped = row.name if wanted.latest else ""
        if not limit:
            return


def _fits(row: Row[Any], wanted: ModelFilter) -> bool:
    framework = wanted.framework.casefold()
    return (
        all(_holds(row.tags, one) for one in wanted.tags)
        and all(_holds(row.properties, one) for one in wanted.properties)
        and framework in ("", row.framework.casefold())
        and wanted.run_id in ("", row.more.get("run_id"))
    )


def _holds(labels: Mapping[str, str], text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _check_known(connection: Connection, name: str) -> None:
    row = connection.execute(select_models().where(models.c.name == name).limit(1)).first()
    if row is None:
        raise unknown_model(connection, name)
