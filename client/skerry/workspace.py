"""The server that registered models are on, as the source of every SDK call."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from skerry import login
from skerry.api import Api
from skerry.elsewhere import CLASSES, Elsewhere
from skerry.explained import explained
from skerry.login import Login
from skerry.transport import Transport

if TYPE_CHECKING:
    from skerry.model import Model
    from skerry.webservice import Webservice


_SERVER = "A server has an address and a fleet, and nothing above it: get_details()."
_RUNS = CLASSES["Run"]
_DATA = CLASSES["Dataset"]


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
        self._login = found
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

    def get_details(self) -> dict[str, str]:
        """Return where it is and what runs there."""
        return {"name": self.name, "url": self.url, "version": self.api.info().version}

    @explained()
    def write_config(self, path: str | Path, file_name: str | None = None) -> str:
        """Write the login where ``from_config`` can be told to read it; return where.

        Args:
            path: A file; or a folder, for ``file_name`` in it.
            file_name: ``skerry.json`` unless given.

        Raises:
            OSError: The disk said no.
        """
        target = Path(path)
        if target.is_dir() or file_name:
            target = target / (file_name or "skerry.json")
        login.write(target, self._login)
        return str(target)

    create = Elsewhere("Start a server: 'skerry up'.")
    delete = Elsewhere("Stop the server, and remove its data folder.")
    get = Elsewhere("Workspace.from_config() finds the server that 'skerry login' left word of.")
    list = Elsewhere("There is one for each login: Workspace.from_config(path).")
    update = Elsewhere(_SERVER)
    get_run = Elsewhere(_RUNS)
    get_mlflow_tracking_uri = Elsewhere(_RUNS)
    get_default_datastore = Elsewhere(_DATA)
    set_default_datastore = Elsewhere(_DATA)
    get_default_keyvault = Elsewhere(CLASSES["Keyvault"])
    get_default_compute_target = Elsewhere(CLASSES["ComputeTarget"])
    compute_targets = Elsewhere(CLASSES["ComputeTarget"], attribute=True)
    datasets = Elsewhere(_DATA, attribute=True)
    datastores = Elsewhere(_DATA, attribute=True)
    environments = Elsewhere("Environments live in files, not on the server.", attribute=True)
    experiments = Elsewhere(_RUNS, attribute=True)
    images = Elsewhere(CLASSES["Image"], attribute=True)
    location = Elsewhere(_SERVER, attribute=True)
    resource_group = Elsewhere(_SERVER, attribute=True)
    subscription_id = Elsewhere(_SERVER, attribute=True)

    def __repr__(self) -> str:
        return f"Workspace({self.url!r})"
