"""Who asks: a person with the token of the login file, or a device with its own."""

import base64
import binascii
from typing import Annotated

from fastapi import Depends, Request

from skerry_cloud.api.services import Services, Use
from skerry_cloud.tokens import matches
from skerry_contract.errors import UnauthorizedError

ADMIN = "admin"
"""Who asks with the token of the login file: there is one such person so far."""
_REMEDY = "Send 'Authorization: Bearer <token>'."


def _person(request: Request, services: Use) -> str:
    """Return the name of the person who asks."""
    token = token_of(request.headers.get("authorization", ""))
    if matches(token, services.identification.admin_hash):
        return ADMIN
    device = services.devices.authenticate(token)
    raise UnauthorizedError(
        f"this is the token of device {device}, which may not do this",
        remedy="Use the token of the login file.",
    )


def _device(device: str, request: Request, services: Use) -> None:
    """Let in a person, or the device that the path names."""
    asking = _anyone(request, services)
    if asking not in ("", device):
        raise UnauthorizedError(f"device {asking} may not read what is for {device}")


def _anyone(request: Request, services: Use) -> str:
    """Return the id of the device that asks, or "" for a person."""
    token = token_of(request.headers.get("authorization", ""))
    if matches(token, services.identification.admin_hash):
        return ""
    return _authenticate(services, token)


def _authenticate(services: Services, token: str) -> str:
    return services.devices.authenticate(token)


Anyone = Depends(_anyone)
"""Dependency of routes that people and any device may use."""
Person = Depends(_person)
"""Dependency of routes that only people may use."""
PersonName = Annotated[str, Person]
"""Type of a route's argument that gives it the name of the person who asks."""
ThatDevice = Depends(_device)
"""Dependency of routes for people and the device in the path."""


def token_of(header: str) -> str:
    """Return the token in an ``Authorization`` header: Bearer's, or the password of Basic.

    Raises:
        UnauthorizedError: There is none.
    """
    scheme, _, value = header.strip().partition(" ")
    token = value.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(token, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UnauthorizedError("the credentials cannot be read", remedy=_REMEDY) from error
        token = decoded.partition(":")[2]
    elif scheme.lower() != "bearer":
        token = ""
    if not token:
        raise UnauthorizedError("this needs a token", remedy=_REMEDY)
    return token
