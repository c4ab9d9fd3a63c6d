"""The server that registered models are on, as the source of every SDK call."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from skerry import login
from skerry.api import Api
from skerry.explained import explained
from skerry.login import Login
from skerry.transport import Transport

if TYPE_CHECKING:
    from skerry.model import Model
    from skerry.webservice import Webservice


class Workspace:
    """One server.

    Args:
        url: Where its API is, such as ``http://127.0.0.1:8080``.
        token: What proves that we may.
        ca: Certificates to believe, as PEM text; empty for the system's.

    Raises:
        ContractError: ``url`` is no address.
    """

    def __init__(self, url: str, token: str, ca: str = "") -> None:
        found = Login(url.rstrip("/"), token, ca)
        login.check(found)
        self.api = Api(Transport(found))
        self.url = found.url

    @classmethod
    @explained()
    def from_config(cls, path: str | Path | None = None) -> "Workspace":
        """Return the server that ``skerry up`` or ``skerry login`` left word of.

        Args:
            path: The login file; else ``$SKERRY_LOGIN``, else the user's own.

        Raises:
            UnauthorizedError: There is no login; the remedy says how to get one.
        """
        given = path or os.environ.get("SKERRY_LOGIN")
        found = login.read(Path(given) if given else login.default_path(os.environ))
        return cls(found.url, found.token, found.ca)

    @functools.cached_property
    def name(self) -> str:
        """The fleet that the server looks after."""
        return self.api.info().fleet

    @property
    def models(self) -> Mapping[str, "Model"]:
        """The latest version of each model, by name."""
        from skerry.model import Model  # noqa: PLC0415 - it imports this module

        return {one.name: one for one in Model.list(self, latest=True)}

    @property
    def webservices(self) -> Mapping[str, "Webservice"]:
        """The web services of this machine, by name."""
        from skerry.webservice import Webservice  # noqa: PLC0415 - it imports this module

        return {one.name: one for one in Webservice.list(self)}

    def __repr__(self) -> str:
        return f"Workspace({self.url!r})"
