"""Who we are at a registry: what was typed, the environment, or what Docker's login left.

Source of the latter: ``config.json`` of the Docker CLI and the protocol of its credential helpers.
"""

import base64
import binascii
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skerry_contract.errors import UnauthorizedError

USERNAME, PASSWORD = "SKERRY_REGISTRY_USERNAME", "SKERRY_REGISTRY_PASSWORD"
_HELPER_S = 30.0
_MAX_CONFIG_BYTES = 1024 * 1024
_REFRESH = "<token>"
"""The user name that says that the secret is a refresh token."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user with a password, or a refresh token.

    Attributes:
        username: The user; empty with a refresh token.
        password: The password.
        refresh: Token that gets other tokens; empty without one.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)


def find_credentials(
    host: str, environment: Mapping[str, str], given: Credentials | None
) -> Credentials | None:
    """Return who we are at ``host``: as given, by the environment, by Docker's config; or None.

    Raises:
        UnauthorizedError: What is there cannot be used.
    """
    if given is not None:
        return given
    if environment.get(USERNAME) and PASSWORD in environment:
        return Credentials(environment[USERNAME], environment[PASSWORD])
    home = environment.get("DOCKER_CONFIG")
    folder = Path(home) if home else Path(environment.get("HOME", "/")) / ".docker"
    return _from_docker(folder / "config.json", host)


def _from_docker(path: Path, host: str) -> Credentials | None:
    try:
        with path.open("rb") as file:
            config = json.loads(file.read(_MAX_CONFIG_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UnauthorizedError(
            f"{path} cannot be read: {error}", remedy="Mend it, or give --username."
        ) from error
    if not isinstance(config, dict):
        return None
    helper = _part(config, "credHelpers").get(host) or config.get("credsStore")
    if isinstance(helper, str) and helper:
        return _from_helper(helper, host)
    auths = _part(config, "auths")
    entry = next((auths[key] for key in (host, f"https://{host}") if key in auths), None)
    return _from_entry(entry, path) if isinstance(entry, dict) else None


def _from_entry(entry: Mapping[str, Any], path: Path) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(refresh=str(entry["identitytoken"]))
    if not entry.get("auth"):
        return None
    try:
        pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnauthorizedError(f"{path} holds an auth that is no base64") from error
    username, _, password = pair.partition(":")
    return Credentials(username, password.rstrip("\x00"))


def _from_helper(helper: str, host: str) -> Credentials | None:
    command = [f"docker-credential-{helper}", "get"]
    try:
        done = subprocess.run(
            command,
            input=host,
            capture_output=True,
            text=True,
            timeout=_HELPER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnauthorizedError(
            f"{command[0]} could not be asked for the login to {host}: {error}",
            remedy="Install it, or give --username and --password-stdin.",
        ) from error
    if done.returncode != 0:
        return None  # It knows no login, which public registries do not need.
    try:
        found = json.loads(done.stdout)
        username, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnauthorizedError(f"{command[0]} did not answer as it should") from error
    return Credentials(refresh=secret) if username == _REFRESH else Credentials(username, secret)


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}
