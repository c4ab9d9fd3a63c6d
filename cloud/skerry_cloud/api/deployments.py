"""Routes for deployments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends

from skerry_cloud.api import answers
from skerry_cloud.api.auth import Person
from skerry_cloud.api.bodies import whole_body
from skerry_cloud.api.services import Use
from skerry_contract.errors import NameInvalidError

router = APIRouter(prefix="/v1/deployments", dependencies=[Person])

_TEXT = {"type": "string", "description": "A deployment manifest, as YAML or JSON."}
_MANIFEST = {"requestBody": {"required": True, "content": {"application/yaml": {"schema": _TEXT}}}}


@dataclass(frozen=True, slots=True)
class DeploymentList:
    """Several deployments."""

    deployments: Sequence[answers.Deployment]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What devices follow now that a deployment is gone; empty for nothing."""

    follows: Mapping[str, str]


@router.post("", status_code=201, openapi_extra=_MANIFEST)
def push_deployment(
    manifest: Annotated[bytes, Depends(whole_body)], services: Use
) -> answers.Deployment:
    """Push a manifest: store it, sign it for its devices, and tell them."""
    return answers.deployment(services.deployments.push(manifest))


@router.get("")
def list_deployments(services: Use) -> DeploymentList:
    """Return the latest version of every deployment."""
    found = services.deployments.latest()
    return DeploymentList([answers.deployment(one) for one in found])


@router.get("/{name}")
def list_deployment_versions(name: str, services: Use) -> DeploymentList:
    """Return all versions of one deployment, latest first."""
    found = services.deployments.versions(name)
    return DeploymentList([answers.deployment(one) for one in found])


@router.get("/{name}/{version}")
def get_deployment(name: str, version: str, services: Use) -> answers.Deployment:
    """Return one version, with each device's phase and failure."""
    return answers.deployment(services.deployments.get(name, _number(version)))


@router.delete("/{name}/{version}")
def delete_deployment(name: str, version: str, services: Use) -> Withdrawal:
    """Withdraw one version from its devices, and tell what they go back to."""
    return Withdrawal(services.deployments.delete(name, _number(version)))


def _number(version: str) -> int | None:
    if version == "latest":
        return None
    if not (version.isascii() and version.isdigit() and 1 <= len(version) <= 9):
        raise NameInvalidError(f"{version!r:.40} is no version", remedy="Use a number or 'latest'.")
    return int(version)
