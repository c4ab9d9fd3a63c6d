"""Builds: one module at a time is compiled in the background, and its log can be followed.

Between builds, the same thread tidies up what is left of them and of deleted things.
"""

import logging
import queue
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from sqlalchemy import Connection, func, select, update

from skerry_cloud import space
from skerry_cloud.blobs import BlobStore
from skerry_cloud.clock import Clock
from skerry_cloud.database import Database, build_lines, builds, next_number
from skerry_cloud.registry.files import MAX_FILES, File, check_files
from skerry_cloud.registry.imports import read_image
from skerry_cloud.registry.models import Model, find_model, find_to_build
from skerry_cloud.registry.modules import Image, Module, find_module, insert_module
from skerry_contract import shape
from skerry_contract.errors import (
    ConflictError,
    DatabaseError,
    EnvironmentFileError,
    NoSpaceError,
    NotFoundError,
    ScorerError,
    SkerryError,
)
from skerry_contract.manifest import ModelText, Name
from skerry_contract.messages import MAX_DETAIL_CHARS
from skerry_contract.names import DIGEST, Reference, parse_model_reference
from skerry_contract.pyproject import split_choice
from skerry_contract.shape import Size, Text

log = logging.getLogger(__name__)

MAX_WAITING = 100
"""Builds that may wait for their turn."""
MAX_LINES = 10_000
"""Lines of a log that are kept."""
MAX_LINE_CHARS = 4000
_TIDY_EVERY_S = 3600.0
_STORE_PAUSE_S = 5.0
"""Between two tries to store why a build failed, while disk or database refuse."""
PAGE_LINES = 1000
"""Lines that one answer holds."""

State = Literal["running", "succeeded", "failed"]
_Platform = Annotated[str, Text(r"linux/[a-z0-9]+(/[a-z0-9]+)?", 40, "an OCI platform")]
_DigestText = Annotated[str, Text(DIGEST, 71, "'sha256:' and 64 hex digits")]
_Path = Annotated[str, Text(max_length=1024)]


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """What is to be built, as the next version of its name.

    Attributes:
        name: What the module is called.
        files: The scorer's folder, uploaded already.
        entry_script: Path of the entry script among ``files``.
        models: Models as ``name:version``, ``name@sha256:…``, or ``name`` for the latest.
        environment: Path of the environment file among ``files``; empty for none. Extras and
            groups of a project follow in brackets: ``pyproject.toml[serve]``.
        platforms: OCI platforms to build for.
        check: Whether to run ``init()`` and the golden set while building.
        base: Digest of the manifest of the image to build on, by platform; it was uploaded with
            its config and layers. Empty for Skerry's own base.
    """

    name: Name
    files: Annotated[tuple[File, ...], Size(0, MAX_FILES)]
    entry_script: _Path
    models: Annotated[tuple[ModelText, ...], Size(0, 100)] = ()
    environment: _Path = ""
    platforms: Annotated[
        tuple[_Platform, ...],
        Size(1, 8),
    ] = ("linux/amd64",)
    check: bool = True
    base: Annotated[Mapping[str, _DigestText], Size(0, 8)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """An order with all that it refers to.

    Attributes:
        reference: Name and version of the module to be.
        order: What was asked for.
        models: The models it names.
    """

    reference: Reference
    order: BuildOrder
    models: Sequence[Model]


Compile = Callable[[Job, str, Callable[[str], None]], Image]
"""Called as ``(job, platform, progress)``; stores the image's blobs and says what it made."""


@dataclass(frozen=True, slots=True)
class Build:
    """A module in the making.

    Attributes:
        id: What it is asked for by.
        reference: Name and version of the module.
        state: How it stands.
        log: Lines by number, those that were asked for.
        module: What came out, once it succeeded and as long as it is not deleted.
        error: Why it failed: code, text, remedy and detail.
        created: When it was ordered, in seconds since 1970.
    """

    id: str
    reference: Reference
    state: State
    created: float
    log: Mapping[int, str] = field(default_factory=dict)
    module: Module | None = None
    error: Mapping[str, Any] | None = None


class Builds:
    """Orders, runs and remembers builds; ``start`` begins to work them off, ``stop`` ends it.

    Raises:
        Nothing of a build: what it raises is stored with it.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        compile_image: Compile,
        tidy: Callable[[], object],
        clock: Clock,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._compile = compile_image
        self._tidy = tidy
        self._clock = clock
        self._waiting: queue.Queue[tuple[str, Job] | Literal["tidy"] | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="builds", daemon=True)

    def start(self) -> None:
        """Give up what an earlier process left unfinished, and begin to work."""
        error = ConflictError(
            "the server was restarted during the build", remedy="Start the build again."
        )
        with self._database.read() as connection:
            left = list(connection.scalars(select(builds.c.id).where(builds.c.state == "running")))
        for build in left:
            self._finish(build, "failed", error)
        self.tidy_soon()
        self._thread.start()

    def tidy_soon(self) -> None:
        """Tidy up once the builds that wait now are done."""
        self._waiting.put("tidy")

    def stop(self, *, within_s: float) -> bool:
        """End after the build that is under way; return whether that was in time.

        What still waited or runs on is given up at the next start.
        """
        self._stopping.set()
        self._waiting.put(None)
        if self._thread.ident is not None:
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def order(self, order: BuildOrder) -> Build:
        """Take an order and return the build that will carry it out.

        Raises:
            ModelError, ScorerError, NotFoundError: The order names what is not there.
            EnvironmentFileError: A platform has no base, or one of another platform.
            ContractError: A base is no image that a device could unpack.
            ConflictError: Too many builds are waiting already.
        """
        check_files(order.files, self._blobs, owner=f"module {order.name}")
        _check_scripts(order)
        _check_base(order, self._blobs)
        with self._database.write() as connection:
            named = [parse_model_reference(text) for text in order.models]
            models = [find_to_build(connection, which) for which in named]
            # From here on the order says which versions are meant, whatever is registered later.
            order = replace(order, models=tuple(str(model.reference) for model in models))
            _check_room(connection)
            version = next_number(connection, "module", order.name)
            build = Build(
                secrets.token_hex(8), Reference(order.name, version), "running", self._clock()
            )
            row = {
                "id": build.id,
                "module": order.name,
                "version": version,
                "state": build.state,
                "order": shape.write(order),
                "created": build.created,
            }
            connection.execute(builds.insert(), row)
        self._waiting.put((build.id, Job(build.reference, order, models)))
        return build

    def get(self, build: str, *, after: int = 0) -> Build:
        """Return a build and up to ``PAGE_LINES`` lines of its log that follow line ``after``.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            row = connection.execute(select(builds).where(builds.c.id == build)).one_or_none()
            if row is None:
                raise NotFoundError(f"there is no build {build}")
            lines = connection.execute(
                select(build_lines.c.n, build_lines.c.text)
                .where(build_lines.c.build == build, build_lines.c.n > after)
                .order_by(build_lines.c.n)
                .limit(PAGE_LINES)
            )
            reference = Reference(row.module, row.version)
            module = None
            if row.state == "succeeded":
                try:
                    module = find_module(connection, reference)
                except NotFoundError:
                    module = None  # deleted since
            found = {row.n: row.text for row in lines}
            return Build(row.id, reference, row.state, row.created, found, module, row.error)

    # --- the worker's thread -------------------------------------------------------------------

    def _work(self) -> None:
        while (item := self._next()) is not None and not self._stopping.is_set():
            if item == "tidy":
                self._tidy_up()
                continue
            build, job = item
            try:
                with space.told(f"{job.reference} cannot be built"):
                    self._run(build, job)
            except SkerryError as error:
                self._fail(build, error)
            except Exception as error:
                # The worker outlives whatever one build does.
                log.exception("build %s of %s", build, job.reference)
                text = f"the build of {job.reference} broke: {type(error).__name__}: {error}"
                self._fail(build, SkerryError(text, remedy="See the server's log."))

    def _next(self) -> tuple[str, Job] | Literal["tidy"] | None:
        try:
            return self._waiting.get(timeout=_TIDY_EVERY_S)
        except queue.Empty:
            return "tidy"

    def _tidy_up(self) -> None:
        try:
            self._tidy()
        except Exception:
            # The worker outlives this, too.
            log.exception("tidying up")

    def _run(self, build: str, job: Job) -> None:
        lines = _Lines(self._database, build)
        images = {}
        for platform in job.order.platforms:
            lines.add(f"building {job.reference} for {platform}")
            images[platform] = self._compile(job, platform, lines.add)
        references = [model.reference for model in job.models]
        order = job.order
        module = Module(
            job.reference,
            references,
            order.entry_script,
            order.environment,
            images,
            self._clock(),
        )
        with self._database.write() as connection:
            for reference in references:
                find_model(connection, reference)  # it may have been deleted meanwhile
            insert_module(connection, module)
            mine = builds.c.id == build
            done = {"state": "succeeded", "finished": self._clock()}
            connection.execute(update(builds).where(mine).values(done))

    def _fail(self, build: str, error: SkerryError) -> None:
        """Store why a build failed, as soon as the disk has room and the database answers."""
        while True:
            try:
                return self._finish(build, "failed", error)
            except (NoSpaceError, DatabaseError) as why:
                log.error("build %s has failed, which cannot be stored: %s", build, why)  # noqa: TRY400 (its text says it all)
                if self._stopping.wait(_STORE_PAUSE_S):
                    return None

    def _finish(self, build: str, state: State, error: SkerryError) -> None:
        told = {
            "code": error.code,
            "text": error.text,
            "remedy": error.remedy,
            "detail": error.detail[-MAX_DETAIL_CHARS:],
        }
        values = {"state": state, "error": told, "finished": self._clock()}
        with self._database.write() as connection:
            connection.execute(update(builds).where(builds.c.id == build).values(values))


class _Lines:
    """The log of one build."""

    def __init__(self, database: Database, build: str) -> None:
        self._database = database
        self._build = build
        self._n = 0

    def add(self, text: str) -> None:
        """Store one line; those above the limit are passed over, and the last one says so."""
        self._n += 1
        if self._n > MAX_LINES:
            return
        kept = "… the rest of this log was not kept" if self._n == MAX_LINES else text
        row = {"build": self._build, "n": self._n, "text": kept[:MAX_LINE_CHARS]}
        with self._database.write() as connection:
            connection.execute(build_lines.insert(), row)


def _check_scripts(order: BuildOrder) -> None:
    paths = [file.path for file in order.files]
    environment, _ = split_choice(order.environment)
    for role, path in (("entry script", order.entry_script), ("environment", environment)):
        if path not in paths and (path or role == "entry script"):
            raise ScorerError(
                f"module {order.name}: there is no {role} {path!r}",
                remedy=f"These files were sent: {', '.join(sorted(paths)[:20])}.",
            )


def _check_base(order: BuildOrder, blobs: BlobStore) -> None:
    if order.base and set(order.base) != set(order.platforms):
        raise EnvironmentFileError(
            f"module {order.name} is built for {', '.join(order.platforms)}, "
            f"and its base is for {', '.join(sorted(order.base))}",
            remedy="Name a base for each platform, and for no other.",
        )
    for platform, digest in order.base.items():
        of = read_image(digest, blobs, runs=False).platform
        # Images for arm64 may name the only variant that there is.
        if of not in (platform, f"{platform}/v8"):
            raise EnvironmentFileError(
                f"the base {digest} is for {of}, not for {platform}",
                remedy=f"Name an image for {platform}.",
            )


def _check_room(connection: Connection) -> None:
    running = select(func.count()).select_from(builds).where(builds.c.state == "running")
    waiting = connection.scalar(running) or 0
    if waiting >= MAX_WAITING:
        raise ConflictError(f"{waiting} builds are waiting", remedy="Try again when some are done.")
