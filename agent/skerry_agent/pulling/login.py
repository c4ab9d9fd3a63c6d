"""Logging in to a registry that is not the fleet's cloud: with a password, or a token for it.

The password is in ``registry-auth.json`` of the device folder, which has the form of Docker's
``config.json``: ``{"auths": {"registry.example:5000": {"auth": "<base64 of user:password>"}}}``.
Where nothing is there for a host, tokens are asked for without a name, as public images want it.

Source: the distribution project's "Token Authentication Specification".
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from skerry_agent.core.answers import Challenge
from skerry_agent.core.route import Url, parse_url
from skerry_agent.pulling.registry import Asker
from skerry_contract import shape
from skerry_contract.errors import ContractError, RegistryError, UnauthorizedError
from skerry_contract.shape import Size, Text

AUTH_FILE = "registry-auth.json"
_MAX_BYTES = 64 * 1024
_EARLY_S = 10.0
_LEAST_S = 60.0
"""What a token lasts if its server does not say."""


@dataclass(frozen=True, slots=True)
class _Auth:
    auth: Annotated[str, Text("[A-Za-z0-9+/=]*", 4096, "base64")] = ""


@dataclass(frozen=True, slots=True)
class _Auths:
    auths: Annotated[Mapping[str, _Auth], Size(0, 100)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Token:
    token: Annotated[str, Text("[!-~]*", 32_768, "a token")] = ""
    access_token: Annotated[str, Text("[!-~]*", 32_768, "a token")] = ""
    expires_in: float = _LEAST_S


def read_passwords(path: Path) -> dict[str, str]:
    """Return ``base64(user:password)`` by host and port; nothing if there is no such file.

    Raises:
        ContractError: The file has another form.
        UnauthorizedError: Others can read it.
    """
    try:
        data = path.read_bytes()
        open_to_others = path.stat().st_mode & 0o077
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UnauthorizedError(f"{path}: {error.strerror}") from error
    if open_to_others:
        raise UnauthorizedError(f"{path} can be read by others", remedy=f"chmod 600 {path}")
    found = shape.parse(_Auths, data, max_bytes=_MAX_BYTES, subject=str(path))
    return {re.sub(r"^https?://|/.*$", "", host): one.auth for host, one in found.auths.items()}


class RegistryLogin:
    """Shows a registry what it asks for.

    Args:
        registry: Base address of the registry.
        password: ``base64(user:password)``, or empty.
        token_url: Address that may be shown the password too; empty for the registry's host alone.
    """

    def __init__(self, registry: str, password: str = "", *, token_url: str = "") -> None:
        self._password = password
        self._trusted = {
            parse_url(url, subject="registry").origin for url in (registry, token_url) if url
        }
        self._basic = False
        self._tokens: dict[str, tuple[str, float]] = {}

    def authorization(self, scope: str) -> str:
        """Return what was learned from earlier challenges."""
        if self._basic:
            return f"Basic {self._password}"
        token, until = self._tokens.get(scope, ("", 0.0))
        return f"Bearer {token}" if token and time.monotonic() < until else ""

    def answer(self, challenge: Challenge, scope: str, asker: Asker) -> bool:
        """Meet a challenge; return whether that gave something new to show.

        Raises:
            RegistryError: The token server answers with something else than a token.
            NetworkError: It cannot be reached.
            UnauthorizedError: It refuses.
        """
        if challenge.scheme == "basic":
            self._basic = bool(self._password) and not self._basic
            return self._basic
        try:
            url = _token_url(challenge, scope)
        except ContractError as error:
            raise RegistryError(error.text) from error
        headers = {"Accept": "application/json"}
        if self._password and url.origin in self._trusted:
            headers["Authorization"] = f"Basic {self._password}"
        data = asker.fetch(url, headers)
        try:
            found = shape.parse(
                _Token, data, max_bytes=_MAX_BYTES, subject=f"token of {url.origin}"
            )
        except ContractError as error:
            raise RegistryError(error.text) from error
        token = found.token or found.access_token
        until = time.monotonic() + max(_LEAST_S, found.expires_in) - _EARLY_S
        self._tokens = {scope: (token, until)}
        return bool(token)


def _token_url(challenge: Challenge, scope: str) -> Url:
    """Return where a token is to be had.

    Raises:
        ContractError: The challenge names no such place.
    """
    wanted = {"scope": challenge.parameters.get("scope", scope)}
    if "service" in challenge.parameters:
        wanted["service"] = challenge.parameters["service"]
    realm = challenge.parameters.get("realm", "")
    mark = "&" if "?" in realm else "?"
    return parse_url(f"{realm}{mark}{urlencode(wanted)}", subject="realm of a token")
