"""What every deployment configuration gets to work with, and how a target takes it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from skerry.inference import Source
from skerry.workspace import Workspace
from skerry_contract.errors import ScorerError

if TYPE_CHECKING:
    from skerry.model import Model
    from skerry.webservice import Webservice

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be deployed.

    Attributes:
        name: What the service is to be called.
        models: Registered models, and paths of files and folders that are in no registry.
        source: The scorer.
        workspace: The server, or None where none is needed.
        overwrite: Whether it may take the place of a service of the same name.
        say: Is told what takes time, and what was left out.
    """

    name: str
    models: Sequence["Model | Path"]
    source: Source
    workspace: Workspace | None = None
    overwrite: bool = False
    say: Say = lambda text: print(text, file=sys.stderr)  # noqa: T201 - progress of a call in a notebook


class DeploymentConfiguration(Protocol):
    """Where to deploy to: changing it is all that changing the target takes."""

    def deploy(self, order: Order) -> "Webservice":
        """Begin to deploy, and return what is being deployed.

        Raises:
            ConflictError: There is one of that name, and ``order.overwrite`` is false.
            SkerryError: It cannot be deployed.
        """
        ...


def registered(models: Sequence["Model | Path"]) -> list["Model"]:
    """Return the models, all of which must be in the registry.

    Raises:
        ScorerError: One is a path.
    """
    found = []
    for model in models:
        if isinstance(model, Path):
            raise ScorerError(
                f"{model} is in no registry, and only a local service can do with that",
                remedy="Register it first: Model.register(…), or 'skerry model register'.",
            )
        found.append(model)
    return found
