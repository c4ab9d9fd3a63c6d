"""Models and a scorer as a module on devices: built, and pushed with a deployment of its own."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skerry.answers import Deployment, DeviceProgress
from skerry.api import Api
from skerry.deploying import Order, registered
from skerry.module_build import start_build
from skerry.package import ModelPackage
from skerry.rollout import follow
from skerry_contract import shape
from skerry_contract.errors import (
    ConflictError,
    ContractError,
    ManifestError,
    NotFoundError,
    RuntimeFailedError,
    UnauthorizedError,
)
from skerry_contract.manifest import RunSettings, Target
from skerry_contract.names import parse_reference

if TYPE_CHECKING:
    from skerry.model import Model
    from skerry.webservice import Webservice

ALLOW = "allow_code_in_models"
"""Setting of a module that is none of how it runs: whether its models may hold code."""
_NAMED = 5
"""Files that an error names."""


@dataclass(frozen=True, slots=True)
class EdgeConfiguration:
    """Deploy as a module on devices.

    Attributes:
        devices: Ids of the devices.
        platforms: What to build for; empty for what the devices report.
        settings: Fields of a module in a deployment manifest, ``image`` left out.
    """

    devices: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def checked(
        cls, devices: Sequence[str], platforms: Sequence[str], settings: Mapping[str, Any]
    ) -> "EdgeConfiguration":
        """Return the configuration.

        Raises:
            ManifestError: A setting is unknown or wrong, or ``devices`` are no ids.
        """
        if isinstance(devices, str):
            raise ManifestError("expected a list of ids", ("devices",))
        run = {key: value for key, value in settings.items() if key != ALLOW}
        if not isinstance(settings.get(ALLOW, False), bool):
            raise ManifestError("expected true or false", (ALLOW,), subject="edge deployment")
        try:
            shape.read(Target, {"devices": list(devices)}, strict=True)
            shape.read(RunSettings, run, strict=True)
        except ContractError as error:
            raise ManifestError(error.reason, error.path, subject="edge deployment") from error
        return cls(tuple(devices), tuple(platforms), dict(settings))

    def deploy(self, order: Order) -> "Webservice":
        """Build the module, which takes a while, and push its deployment."""
        from skerry.webservice import EdgeModule  # noqa: PLC0415 - it imports this module

        if order.workspace is None:
            raise UnauthorizedError(
                "devices are reached through a server", remedy="Pass Workspace.from_config()."
            )
        api = order.workspace.api
        if not order.overwrite and Fleet(api, order.name).exists():
            raise ConflictError(
                f"there is a deployment {order.name}",
                remedy="Pass overwrite=True (--overwrite) to push its next version.",
            )
        for note in order.source.notes:
            order.say(note)
        models = registered(order.models)
        if not self.settings.get(ALLOW, False):
            _refuse_code(models)
        platforms = self.platforms or _reported(api, self.devices)
        build = start_build(api, order.name, [one.id for one in models], order.source, platforms)
        package = ModelPackage(order.workspace, build)
        package.wait_for_creation(show_output=True, show=order.say)
        made = package.module()
        api.push(self.manifest(order, f"{made.name}:{made.version}"))
        return EdgeModule(order.workspace, order.name)

    def manifest(self, order: Order, image: str) -> bytes:
        """Return the deployment manifest for a module that was built."""
        env = {**order.source.env, **self.settings.get("env", {})}
        module = {**self.settings, **({"env": env} if env else {}), "image": image}
        document = {
            "schema": 1,
            "name": order.name,
            "target": {"devices": list(self.devices)},
            "modules": {order.name: module},
        }
        return json.dumps(document, indent=2).encode()


@dataclass(frozen=True, slots=True)
class Told:
    """What a deployment of one module says.

    Attributes:
        image: The module, as ``name:version``.
        configuration: Devices and settings.
    """

    image: str
    configuration: EdgeConfiguration


class Fleet:
    """How far the devices are with the latest version of one deployment.

    Args:
        api: The server.
        name: Name of the deployment.
    """

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self._name = name

    def exists(self) -> bool:
        """Tell whether there is such a deployment."""
        return any(one.name == self._name for one in self.api.deployments())

    def latest(self) -> Deployment:
        """Return it.

        Raises:
            NotFoundError: There is none.
        """
        return self.api.deployment(self._name, None)

    def told(self) -> "Told":
        """Return what its latest version says, where ``EdgeConfiguration`` has written it.

        Raises:
            NotFoundError: There is none.
            ManifestError: Its manifest was written by somebody else, and has another form.
        """
        found = self.latest()
        try:
            document = json.loads(found.manifest)
            module = dict(document["modules"][self._name])
            image = str(module.pop("image"))
            devices = document["target"]["devices"]
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(
                "is no deployment of one module on named devices",
                subject=f"{found.name}:{found.version}",
                remedy="Pass models and deployment_config.",
            ) from error
        return Told(image, EdgeConfiguration.checked(devices, (), module))

    def models(self, told: "Told") -> Sequence[str]:
        """Return the models of its module, as ``name:version``."""
        return self.api.module(parse_reference(told.image)).models

    def state(self) -> str:
        """Return what it is like, in one word."""
        try:
            return state_of(self.latest().devices)
        except NotFoundError:
            return "deleted"

    def wait(self, timeout_s: float, say: Callable[[str], object]) -> None:
        """Wait until all devices run it; tell of each device's steps.

        Raises:
            RuntimeFailedError: A device refused it.
            DeadlineError: A device is not there in time.
        """
        found = follow(self.latest(), lambda _before: self.latest(), say, timeout_s)
        _check_all_run(found)


def state_of(devices: Sequence[DeviceProgress]) -> str:
    """Return what a deployment is like, in one word, given how far its devices are."""
    phases = {one.phase for one in devices}
    if "refused" in phases:
        return "Failed"
    return "Healthy" if phases <= {"committed"} else "Transitioning"


def _check_all_run(found: Deployment) -> None:
    for one in found.devices:
        if one.phase != "committed":
            why = one.failure
            raise RuntimeFailedError(
                f"{one.device} has {one.phase} {found.name}:{found.version}"
                + (f": {why.text}" if why else ""),
                remedy=(why.remedy if why else "") or f"See: skerry device show {one.device}.",
                detail=why.detail if why else "",
            )


def _refuse_code(models: Sequence["Model"]) -> None:
    """Say before a long build what the server would say after it."""
    found = [f"{path} of {model.id}" for model in models for path in model.executes_code]
    if found:
        more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise ManifestError(
            f"files execute code when they are loaded: {', '.join(found[:_NAMED])}{more}",
            (ALLOW,),
            subject="edge deployment",
            remedy="'skerry model show' says why. If you trust who made them, add to the "
            f'deployment configuration: {ALLOW}=True, or "{ALLOW}": true in its file.',
        )


def _reported(api: Api, devices: Sequence[str]) -> tuple[str, ...]:
    """Return the platforms that the devices say they are, those that say nothing left out."""
    found = (api.device(device).caps for device in devices)
    return tuple(sorted({caps.platform for caps in found if caps is not None}))
