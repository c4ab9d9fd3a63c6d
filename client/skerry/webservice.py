"""What is deployed: web services on this machine, and modules on devices.

``LocalWebservice`` and ``EdgeModule`` each have a ``deploy_configuration()``, and ``Model.deploy``
takes either, so that changing the target means changing the configuration only.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from skerry.edge_module import EdgeConfiguration, Fleet
from skerry.elsewhere import Elsewhere, stand_in
from skerry.explained import explained
from skerry.inference import InferenceConfig
from skerry.local.answers import Failure
from skerry.local.places import Places
from skerry.local.service import INIT_S, LocalService, services
from skerry.local_deploy import LocalConfiguration, changed, score
from skerry.model_choice import refuse
from skerry.workspace import Workspace
from skerry_contract.errors import NotFoundError
from skerry_contract.names import Reference, check_name

__all__ = ["EdgeModule", "LocalWebservice", "Webservice"]

_DEPLOY = "Model.deploy(ws, name, models, inference_config, deployment_config) deploys."
_NO_KEYS = "It takes no keys: a local service listens on loopback only, and modules need no port."
_ON_DEVICES = (
    "It runs on devices: feed it through inputs=…, read 'skerry telemetry tail', and see "
    "'skerry device show' for what fails."
)
ROLLOUT_S = 1800.0
"""Seconds that a rollout may take unless the caller says otherwise."""
Show = Callable[[str], object]


class Webservice:
    """One thing that is deployed, wherever: of the name, whichever kind it is of, or of a kind.

    Args:
        workspace: The server, or None where none is needed.
        name: What it is called.

    Raises:
        NotFoundError: There is none of that name.
    """

    compute_type: ClassVar[str] = ""

    def __new__(cls, workspace: Workspace | None, name: str, *_more: Any, **_named: Any) -> Self:
        """Return an object of the kind that the service is of, where the kind is not said."""
        kind: type[Any] = cls
        if cls is Webservice:
            kind = _kind_of(workspace, check_name(name))
        made: Self = object.__new__(kind)
        return made

    def __init__(self, workspace: Workspace | None, name: str) -> None:
        self.workspace = workspace
        self.name = check_name(name)

    @staticmethod
    def list(
        workspace: Workspace | None = None,
        compute_type: str | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
    ) -> "list[Webservice]":
        """Return the web services of this machine, by name.

        Args:
            workspace: The server that their models are registered on, for what is done with them.
            compute_type: ``local``, or another for none of them.
            model_name: Only those that have this model, in whichever version.
            model_id: Only those that have this one, such as ``sentiment:1``.
        """
        if (compute_type or "local").lower() != "local":
            return []
        found = [LocalWebservice(workspace, one.name) for one in services(_folder().services)]
        return [
            one
            for one in found
            if (model_id is None or model_id in one.models)
            and (model_name is None or model_name in {m.partition(":")[0] for m in one.models})
        ]

    @property
    def state(self) -> str:
        """What it is like at this moment, in one word."""
        raise NotImplementedError

    def wait_for_deployment(
        self,
        show_output: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        timeout_sec: float | None = None,
    ) -> None:
        """Wait until it is deployed.

        Raises:
            SkerryError: It cannot be deployed; the error says why.
            DeadlineError: It takes longer than ``timeout_sec``.
        """
        raise NotImplementedError

    def delete(self) -> None:
        """End it."""
        raise NotImplementedError

    def update_deployment_state(self) -> None:
        """Look how it is; ``state`` does so by itself."""
        _ = self.state

    @staticmethod
    def deserialize(workspace: Workspace | None, webservice_payload: Mapping[str, Any]) -> Any:
        """Return the service that ``serialize`` has told of, as it is now.

        Raises:
            NotFoundError: It was deleted since.
        """
        name = check_name(str(webservice_payload.get("name", "")))
        return _kind_of(workspace, name)(workspace, name)

    deploy = Elsewhere(_DEPLOY)
    deploy_from_image = Elsewhere("Name the image in a manifest: 'skerry deployment push'.")
    deploy_from_model = Elsewhere(_DEPLOY)
    deploy_local_from_model = Elsewhere(_DEPLOY)
    get_keys = Elsewhere(_NO_KEYS)
    get_token = Elsewhere(_NO_KEYS)
    regen_key = Elsewhere(_NO_KEYS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class LocalWebservice(Webservice):
    """A web service on this machine: a process, or a container, that outlives who deployed it.

    ``state`` is ``deploying``, ``running``, ``failed``, ``unknown`` or ``deleted``.

    Args:
        workspace: The server that its models are registered on; None where none is needed.
        name: What it is called.
        must_exist: Whether it must have been deployed.

    Raises:
        NotFoundError: It was not, and must have been.
    """

    compute_type = "LOCAL"

    def __init__(
        self,
        workspace: Workspace | None,
        name: str,
        must_exist: bool = True,  # noqa: FBT001, FBT002 - the original's parameter
    ) -> None:
        super().__init__(workspace, name)
        if must_exist:
            self._service.record()

    @staticmethod
    def deploy_configuration(
        port: int | None = None, *, container: bool = False
    ) -> LocalConfiguration:
        """Return the configuration of a web service on this machine.

        Args:
            port: TCP port on loopback; a free one unless given.
            container: Whether it runs in a container of this machine's Docker, on the base that
                modules have, instead of as a plain process; then a server must build the image.
        """
        return LocalConfiguration(port, container)

    @property
    def state(self) -> str:
        """What it is like at this moment, in one word."""
        return self._service.state()

    @property
    def port(self) -> int:
        """TCP port on loopback."""
        return self._service.record().port

    @property
    def scoring_uri(self) -> str:
        """Where to post what is to be scored."""
        return f"http://localhost:{self.port}/score"

    @property
    def swagger_uri(self) -> str:
        """Where its API is described."""
        return f"http://localhost:{self.port}/swagger.json"

    @property
    def models(self) -> "list[str]":
        """Its models, as ``name:version`` or as paths."""
        return [*self._service.record().references]

    @property
    def created_time(self) -> datetime:
        """When it was deployed, in UTC."""
        return datetime.fromtimestamp(self._service.record().created, UTC)

    @property
    def error(self) -> str | None:
        """Why it does not run, in one line; None if it does, or may yet."""
        told = self.failure()
        return told.text if told else None

    @explained()
    def wait_for_deployment(
        self,
        show_output: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        timeout_sec: float | None = None,
    ) -> None:
        """Wait until ``init()`` has returned.

        Args:
            show_output: Whether what the process writes is shown meanwhile.
            timeout_sec: Seconds that it may take.

        Raises:
            InitFailedError: The script cannot be imported, or ``init()`` raised.
            DeadlineError: It takes longer; it goes on trying.
        """
        self._service.wait(deadline_s=timeout_sec or INIT_S, show=_shown_by(show_output))

    @explained()
    def run(self, input_data: str | bytes) -> Any:
        """Post one input and return what ``run()`` answered.

        Args:
            input_data: The body: JSON text, or bytes as they are.

        Raises:
            ScorerError: It answered with another status than 200.
            NetworkError: It does not answer.
        """
        return score(self.scoring_uri, input_data)

    def get_logs(self, num_lines: int = 5000, raw: bool = False, init: bool = False) -> str:  # noqa: FBT001, FBT002 - the original's parameters
        """Return the last lines that it wrote.

        Args:
            num_lines: How many.
            raw: Accepted and without effect, like ``init``: there is one log, and it is text.
            init: See ``raw``.
        """
        del raw, init
        return self._service.last_lines(num_lines)

    @explained()
    def reload(self, wait: bool = True) -> None:  # noqa: FBT001, FBT002 - the original's parameter
        """Serve the scorer's files as they are now; until they work, what serves goes on.

        Args:
            wait: Accepted and without effect: when this returns, the new code answers.

        Raises:
            InitFailedError: They do not work; what served before goes on.
        """
        del wait
        self._service.reload()

    @explained()
    def update(
        self,
        models: "list[Any] | None" = None,
        inference_config: InferenceConfig | None = None,
        deployment_config: LocalConfiguration | None = None,
        wait: bool = True,  # noqa: FBT001, FBT002 - the original's parameter
        image_config: None = None,
    ) -> None:
        """Serve other models, another scorer or on another port; what is None stays.

        Args:
            models: Registered models, or paths.
            inference_config: The scorer and its environment.
            deployment_config: The port; whether it is a container stays as it is.
            wait: Accepted and without effect, as with ``reload``.
            image_config: Refused: an older name of ``inference_config``.

        Raises:
            InitFailedError: The new one cannot serve; what served before goes on, unless the port
                is another.
        """
        del wait
        refuse("Pass it as inference_config.", image_config=image_config)
        source = inference_config.resolve() if inference_config else None
        record = changed(self._service.record(), self.workspace, models, source)
        port = deployment_config.port if deployment_config else None
        if port is None or port == record.port:
            self._service.renew(record)
        else:
            self._service.move(record, port)

    def delete(
        self,
        delete_cache: bool = True,  # noqa: FBT001, FBT002 - the original's parameter
        delete_image: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        delete_volume: bool = True,  # noqa: FBT001, FBT002 - the original's parameter
    ) -> None:
        """End its process and forget it; harmless to repeat.

        Args:
            delete_cache: Accepted and without effect, like the next two: its folder goes, and what
                other services use as well, stays.
            delete_image: See ``delete_cache``.
            delete_volume: See ``delete_cache``.
        """
        del delete_cache, delete_image, delete_volume
        self._service.delete()

    deploy_to_cloud = Elsewhere(
        "Model.deploy(…) with EdgeModule.deploy_configuration(…) sends the same to devices."
    )

    def failure(self) -> Failure | None:
        """Return why it does not run; None if it does, or may yet."""
        return self._service.failure() if self.state == "failed" else None

    def serialize(self) -> dict[str, Any]:
        """Return what there is to know about it, as JSON values."""
        record = self._service.record()
        return {
            "name": self.name,
            "state": self.state,
            "computeType": "LOCAL",
            "port": record.port,
            "scoringUri": self.scoring_uri,
            "swaggerUri": self.swagger_uri,
            "models": list(record.references),
            "entryScript": record.entry_script,
            "source": record.source,
            "python": record.python,
            "image": record.image,
        }

    @property
    def _service(self) -> LocalService:
        return LocalService(_folder().services / self.name)


class EdgeModule(Webservice):
    """A module on devices, by a deployment of its own.

    ``state`` is ``Transitioning`` while a device is under way, ``Healthy`` when all devices run it,
    ``Failed`` when one refused it, and ``deleted``.

    Args:
        workspace: The server.
        name: Name of the deployment and of its module.
    """

    compute_type = "EDGE"

    def __init__(self, workspace: Workspace, name: str) -> None:
        super().__init__(workspace, name)
        self._fleet = Fleet(workspace.api, self.name)

    @staticmethod
    def deploy_configuration(
        devices: "list[str] | tuple[str, ...]",
        platforms: "list[str] | tuple[str, ...]" = (),
        **settings: Any,
    ) -> EdgeConfiguration:
        """Return the configuration of a module on devices.

        Args:
            devices: Ids of the devices.
            platforms: What to build for; what the devices report unless given.
            settings: Fields of a module in a deployment manifest: ``inputs``, ``resources``,
                ``env``, ``restart``, ``probe``, … (``docs/manifest.md``).

        Raises:
            ContractError: A setting is unknown or wrong.
        """
        return EdgeConfiguration.checked(devices, platforms, settings)

    @property
    def state(self) -> str:
        """What it is like at this moment, in one word."""
        return self._fleet.state()

    @property
    def devices(self) -> Mapping[str, str]:
        """How far each device is, by its id: ``pulling``, ``committed``, ``refused``, …."""
        return {one.device: one.phase for one in self._fleet.latest().devices}

    @explained()
    def wait_for_deployment(
        self,
        show_output: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        timeout_sec: float | None = None,
    ) -> None:
        """Wait until every device runs it.

        Args:
            show_output: Whether each device's steps are shown as they come.
            timeout_sec: Seconds that it may take.

        Raises:
            RuntimeFailedError: A device refused it; what ran there goes on.
            DeadlineError: A device is not there in time; it stays wanted.
        """
        self._fleet.wait(timeout_sec or ROLLOUT_S, _shown_by(show_output) or (lambda _text: None))

    @property
    def error(self) -> str | None:
        """Why a device refused it, in one line; None if none did."""
        told = (one.failure for one in self._fleet.latest().devices)
        return next((failure.text for failure in told if failure), None)

    @explained()
    def update(
        self,
        models: "list[Any] | None" = None,
        inference_config: InferenceConfig | None = None,
        deployment_config: EdgeConfiguration | None = None,
    ) -> None:
        """Build its next version, and send that to its devices; ``wait_for_deployment`` follows it.

        Args:
            models: Registered models; those that it has unless given.
            inference_config: The scorer and its environment, which must be given.
            deployment_config: Devices and settings; those that it has unless given.

        Raises:
            ScorerError: No ``inference_config`` was given, or the scorer cannot work.
        """
        from skerry.model import Model  # noqa: PLC0415 - it imports this module

        workspace = self.workspace
        assert workspace is not None  # noqa: S101 - it was made with one
        told = self._fleet.told()
        chosen = models or [Model(workspace, id=one) for one in self._fleet.models(told)]
        config = deployment_config or told.configuration
        Model.deploy(workspace, self.name, chosen, inference_config, config, overwrite=True)

    def serialize(self) -> dict[str, Any]:
        """Return what there is to know about it, as JSON values."""
        found = self._fleet.latest()
        return {
            "name": self.name,
            "state": self.state,
            "computeType": self.compute_type,
            "version": found.version,
            "createdTime": found.created,
            "devices": dict(self.devices),
        }

    run = Elsewhere(_ON_DEVICES)
    get_logs = Elsewhere(_ON_DEVICES)
    reload = Elsewhere("update(inference_config=…) sends the scorer's files as they are now.")
    scoring_uri = Elsewhere(_ON_DEVICES, attribute=True)
    swagger_uri = Elsewhere(_ON_DEVICES, attribute=True)

    def delete(self) -> None:
        """Withdraw it from its devices."""
        found = self._fleet.latest()
        self._fleet.api.delete_deployment(Reference(found.name, found.version))


def _kind_of(workspace: Workspace | None, name: str) -> type[Webservice]:
    """Return which kind of service has a name.

    Raises:
        NotFoundError: None.
    """
    if LocalService(_folder().services / name).exists():
        return LocalWebservice
    if workspace is not None and Fleet(workspace.api, name).exists():
        return EdgeModule
    raise NotFoundError(
        f"there is no service {name}",
        remedy="See 'skerry service list' and 'skerry deployment list'.",
    )


def __getattr__(name: str) -> Any:
    """Stand in for Azure ML's other services, which say what to use instead."""
    return stand_in(name, __name__)


def _folder() -> Places:
    return Places.standard()


def _shown_by(show_output: bool) -> Show | None:  # noqa: FBT001 - as it was passed
    return print if show_output else None
