"""What is deployed: web services on this machine, and modules on devices.

``LocalWebservice`` and ``EdgeModule`` each have a ``deploy_configuration()``, and ``Model.deploy``
takes either, so that changing the target means changing the configuration only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from skerry.edge_module import EdgeConfiguration, Fleet
from skerry.explained import explained
from skerry.inference import InferenceConfig
from skerry.local.answers import Failure
from skerry.local.places import Places
from skerry.local.service import INIT_S, LocalService, services
from skerry.local_deploy import LocalConfiguration, changed, score
from skerry.workspace import Workspace
from skerry_contract.names import Reference, check_name

__all__ = ["EdgeModule", "LocalWebservice", "Webservice"]

ROLLOUT_S = 1800.0
"""Seconds that a rollout may take unless the caller says otherwise."""
Show = Callable[[str], object]


class Webservice(ABC):
    """One thing that is deployed, wherever.

    Args:
        workspace: The server, or None where none is needed.
        name: What it is called.
    """

    def __init__(self, workspace: Workspace | None, name: str) -> None:
        self.workspace = workspace
        self.name = check_name(name)

    @staticmethod
    def list(workspace: Workspace | None = None) -> "list[Webservice]":
        """Return the web services of this machine, by name."""
        return [LocalWebservice(workspace, one.name) for one in services(_folder().services)]

    @property
    @abstractmethod
    def state(self) -> str:
        """What it is like at this moment, in one word."""

    @abstractmethod
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

    @abstractmethod
    def delete(self) -> None:
        """End it."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class LocalWebservice(Webservice):
    """A web service on this machine: a process that outlives who has deployed it.

    ``state`` is ``deploying``, ``running``, ``failed``, ``unknown`` or ``deleted``.

    Args:
        workspace: The server that its models are registered on; None where none is needed.
        name: What it is called.
    """

    @staticmethod
    def deploy_configuration(port: int | None = None) -> LocalConfiguration:
        """Return the configuration of a web service on this machine.

        Args:
            port: TCP port on loopback; a free one unless given.
        """
        return LocalConfiguration(port)

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
        return list(self._service.record().references)

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

    def get_logs(self, num_lines: int = 5000) -> str:
        """Return the last lines that it wrote."""
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
    ) -> None:
        """Serve other models, another scorer or on another port; what is None stays.

        Raises:
            InitFailedError: The new one cannot serve; what served before goes on, unless the port
                is another.
        """
        source = inference_config.resolve() if inference_config else None
        record = changed(self._service.record(), self.workspace, models, source)
        port = deployment_config.port if deployment_config else None
        if port is None or port == record.port:
            self._service.renew(record)
        else:
            self._service.move(record, port)

    def delete(self) -> None:
        """End its process and forget it; harmless to repeat."""
        self._service.delete()

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

    def delete(self) -> None:
        """Withdraw it from its devices."""
        found = self._fleet.latest()
        self._fleet.api.delete_deployment(Reference(found.name, found.version))


def _folder() -> Places:
    return Places.standard()


def _shown_by(show_output: bool) -> Show | None:  # noqa: FBT001 - as it was passed
    return print if show_output else None
