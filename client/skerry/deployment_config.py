"""Deployment configurations in files: where to deploy to, as JSON or YAML."""

from pathlib import Path
from typing import Any

from skerry.deploying import DeploymentConfiguration
from skerry.edge_module import ALLOW, EdgeConfiguration
from skerry.inference import check_keys, read_configuration
from skerry.local_deploy import LocalConfiguration
from skerry_contract.errors import ManifestError
from skerry_contract.manifest import RunSettings

_LOCAL = frozenset({"computeType", "container", "port"})
_SETTINGS = (ALLOW, *RunSettings.__dataclass_fields__)
_EDGE = frozenset({"computeType", "devices", "platforms", *_SETTINGS})
_ELSEWHERE = ("aci", "aks", "aksendpoint", "mir", "iot", "akswebservice", "aciwebservice")
_INSTEAD = (
    'Write {"computeType": "local"} for a web service on this machine, or '
    '{"computeType": "edge", "devices": ["line-1"]} for a module on devices.'
)


def read(file: Path) -> DeploymentConfiguration:
    """Return what a file says; ``computeType`` is read in any case.

    Raises:
        ManifestError: It cannot be read, has an unknown key, or asks for what is not here.
    """
    told = read_configuration(file, None)
    kind = str(told.get("computeType", "")).lower()
    known = {"local": _LOCAL, "edge": _EDGE}.get(kind)
    if known is None:
        there = f"computeType {told.get('computeType')!r:.40}"
        reason = "is a service of Azure's" if kind in _ELSEWHERE else "is not known"
        raise ManifestError(f"{there} {reason}", subject=str(file), remedy=_INSTEAD)
    check_keys(told, known, file)
    try:
        return _made(kind, told)
    except ManifestError as error:
        raise ManifestError(error.reason, error.path, subject=str(file)) from error


def _made(kind: str, told: dict[str, Any]) -> DeploymentConfiguration:
    if kind == "local":
        return LocalConfiguration(told.get("port"), container=told.get("container") or False)
    settings = {key: told[key] for key in _SETTINGS if key in told}
    return EdgeConfiguration.checked(told.get("devices", ()), told.get("platforms") or (), settings)
