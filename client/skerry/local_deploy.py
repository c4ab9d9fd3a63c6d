"""Models and a scorer as a local web service."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from skerry.deploying import Order
from skerry.docker_engine import DockerEngine
from skerry.inference import Source
from skerry.local.interpreter import own_python, provide
from skerry.local.places import Places
from skerry.local.ports import free_port
from skerry.local.record import Record
from skerry.local.service import LocalService, services
from skerry.local_image import provide_image
from skerry.workspace import Workspace
from skerry_contract.errors import (
    ConflictError,
    ContractError,
    ManifestError,
    ModelError,
    NetworkError,
    ScorerError,
)

if TYPE_CHECKING:
    from skerry.model import Model
    from skerry.webservice import Webservice

SCORE_S = 300.0
"""Seconds that one answer may take."""
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class LocalConfiguration:
    """Deploy as a process of this machine, or in a container of its Docker.

    Attributes:
        port: TCP port on loopback; None for a free one.
        container: Whether it is to be a container.
    """

    port: int | None = None
    container: bool = False

    def __post_init__(self) -> None:
        """Refuse a port that is none."""
        if self.port is not None and not (
            isinstance(self.port, int) and 1 <= self.port <= _MAX_PORT
        ):
            raise ManifestError(f"port {self.port!r:.40}: expected 1 to {_MAX_PORT}")
        if not isinstance(self.container, bool):
            raise ManifestError(f"container {self.container!r:.40}: expected true or false")

    def deploy(self, order: Order) -> "Webservice":
        """Start the service; return before it is ready."""
        from skerry.webservice import LocalWebservice  # noqa: PLC0415 - it imports this module

        places = Places.standard()
        service = LocalService(places.services / order.name)
        if service.exists() and not order.overwrite:
            raise ConflictError(
                f"there is a local service {order.name}",
                remedy="Pass overwrite=True (--overwrite), or delete it first.",
            )
        for note in order.source.notes:
            order.say(note)
        chosen = _model_places(order.workspace, places, order.models)
        python, image = _host(places, order, in_container=self.container)
        record = Record(
            name=order.name,
            port=self.port or _port(places, service),
            source=str(order.source.folder),
            entry_script=order.source.entry_script,
            python=python,
            image=image,
            models=chosen,
            references=_references(order.models),
            files=order.source.files,
            env=dict(order.source.env),
        )
        _check_port_is_ours(places, record)
        service.deploy(record)
        return LocalWebservice(order.workspace, order.name)


def changed(
    record: Record,
    workspace: Workspace | None,
    models: "Sequence[Model | str | Path] | None",
    source: Source | None,
) -> Record:
    """Return ``record`` with other models, another scorer, or both; None stays as it is."""
    places = Places.standard()
    if models is not None:
        chosen = [Path(one) if isinstance(one, str) else one for one in models]
        where = _model_places(workspace, places, chosen)
        record = replace(record, models=where, references=_references(chosen))
    if source is not None:
        order = Order(record.name, (), source, workspace)
        python, image = _host(places, order, in_container=bool(record.image))
        record = replace(
            record,
            source=str(source.folder),
            entry_script=source.entry_script,
            python=python,
            image=image,
            files=source.files,
            env=dict(source.env),
        )
    return record


def score(url: str, data: str | bytes) -> Any:
    """Post one input and return the answer: JSON decoded, anything else as text.

    Raises:
        ScorerError: It was answered with another status than 200.
        NetworkError: It was not answered.
    """
    body = data.encode() if isinstance(data, str) else data
    try:
        with requests.Session() as http:
            http.trust_env = False  # loopback is reached through no proxy
            kind = {"Content-Type": "application/json"}
            answer = http.post(url, data=body, headers=kind, timeout=SCORE_S)
    except requests.RequestException as error:
        remedy = "Is it running? See: skerry service list."
        raise NetworkError(f"{url} does not answer: {error}", remedy=remedy) from error
    if answer.status_code != requests.codes.ok:
        raise ScorerError(
            f"{url} answered with status {answer.status_code}",
            remedy="Its log says more: get_logs(), or 'skerry service logs'.",
            detail=answer.text[:4000],
        )
    try:
        return answer.json()
    except requests.JSONDecodeError:
        return answer.text


def _host(places: Places, order: Order, *, in_container: bool) -> tuple[str, str]:
    """Return what runs the host: a Python, or an image; the other is empty."""
    if not in_container:
        return _python(places, order), ""
    engine = DockerEngine.here()
    image = provide_image(engine, order.workspace, order.source, order.say)
    return "", image


def _python(places: Places, order: Order) -> str:
    given = order.source.python
    if given is None:
        return str(provide(order.source.requirements, places.environments, order.say))
    return str(own_python(given))


def _port(places: Places, service: LocalService) -> int:
    """Return the port that the service has already, else a free one that no other one wants."""
    wanted = _ports(places)
    return wanted.get(service.name) or free_port(set(wanted.values()))


def _check_port_is_ours(places: Places, record: Record) -> None:
    """Refuse the port of another service, which may not have begun to listen yet."""
    for name, port in _ports(places).items():
        if port == record.port and name != record.name:
            raise ConflictError(
                f"port {port} belongs to the local service {name}", remedy="Name another one."
            )


def _ports(places: Places) -> dict[str, int]:
    found = {}
    for one in services(places.services):
        try:
            found[one.name] = one.record().port
        except ContractError:
            continue  # a damaged record claims nothing
    return found


def _model_places(
    workspace: Workspace | None, places: Places, models: "Sequence[Model | Path]"
) -> dict[str, str]:
    found: dict[str, str] = {}
    for model in models:
        if isinstance(model, Path):
            path = model.resolve()
            if not path.exists():
                raise ModelError(f"there is no model at {model}", remedy="Is the path right?")
            found[f"{path.stem}/0/{path.name}"] = str(path)
            continue
        where = workspace or model.workspace
        files = model.with_files().files
        found[f"{model.name}/{model.version}"] = str(places.model(where.api, files))
    return found


def _references(models: "Sequence[Model | Path]") -> tuple[str, ...]:
    return tuple(str(one.resolve()) if isinstance(one, Path) else one.id for one in models)
