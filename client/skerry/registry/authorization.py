"""Answer a registry's challenge: with a password, or with a token that its token server gives."""

import base64
import json
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import requests

from skerry.registry.address import is_loopback
from skerry.registry.challenge import Challenge, parse_challenges
from skerry.registry.credentials import Credentials
from skerry_contract.errors import NetworkError, UnauthorizedError

_TIMEOUT_S = (10.0, 30.0)
_PIECE, _MAX_PIECES = 64 * 1024, 16
"""Bytes of a token server's answer that are read at once, and how often."""
_CLIENT = "skerry"


class Authorization:
    """What to send as ``Authorization``; it changes as the registry asks for more.

    Args:
        credentials: Who we are; None for nobody.
        scope: What tokens are to allow.
        plain: Whether secrets may go over plain HTTP to another machine.
    """

    def __init__(self, credentials: Credentials | None, scope: str, *, plain: bool) -> None:
        self.header = ""
        self._credentials = credentials
        self._scope = scope
        self._plain = plain

    def answer(self, challenge: str, http: requests.Session) -> bool:
        """Take in a ``WWW-Authenticate`` header; return whether it is worth asking again.

        Raises:
            NetworkError: The token server cannot be reached.
            UnauthorizedError: It refuses, or would be sent a password in the clear.
        """
        before = self.header
        found = {one.scheme: one for one in parse_challenges(challenge)}
        if "bearer" in found:
            self.header = f"Bearer {self._token(found['bearer'], http)}"
        elif "basic" in found and self._credentials and self._credentials.username:
            self.header = _basic(self._credentials)
        return self.header != before

    def _token(self, challenge: Challenge, http: requests.Session) -> str:
        realm = challenge.parameters.get("realm", "")
        parts = urlsplit(realm)
        open_way = self._plain or is_loopback(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and open_way):
            raise UnauthorizedError(
                f"the registry sends us for a token to {realm!r:.200}, which is not https",
                remedy="Add --plain-http if you trust the way there.",
            )
        try:
            with self._ask(realm, challenge, http) as response:
                data = b"".join(islice(response.iter_content(_PIECE), _MAX_PIECES))
                status = response.status_code
        except requests.RequestException as error:
            raise NetworkError(f"no token from {realm}: {error}") from error
        found = _read(data)
        token = found.get("token") or found.get("access_token")
        if status != 200 or not isinstance(token, str) or "\n" in token:
            raise UnauthorizedError(
                f"no token from {realm}: it answered with {status}",
                remedy="Run 'docker login', or give --username and --password-stdin.",
            )
        return token

    def _ask(self, realm: str, challenge: Challenge, http: requests.Session) -> requests.Response:
        who = self._credentials
        asked = {"service": challenge.parameters.get("service", ""), "scope": self._scope}
        if who is not None and who.refresh:
            form = {**asked, "grant_type": "refresh_token", "refresh_token": who.refresh}
            form["client_id"] = _CLIENT
            return http.post(
                realm, data=form, timeout=_TIMEOUT_S, stream=True, allow_redirects=False
            )
        headers = {"Authorization": _basic(who)} if who is not None and who.username else {}
        return http.get(
            realm,
            params=asked,
            headers=headers,
            auth=_keep,
            verify=http.verify,
            timeout=_TIMEOUT_S,
            stream=True,
            allow_redirects=False,
        )


def _keep(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is: without this, requests would look into ``~/.netrc``."""
    return request


def _basic(who: Credentials) -> str:
    pair = f"{who.username}:{who.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _read(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
