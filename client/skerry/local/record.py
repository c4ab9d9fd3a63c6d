"""What is wanted of a local service, and its state in one word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from skerry_contract.shape import Range, Size

State = Literal["deploying", "running", "failed", "unknown", "deleted"]


@dataclass(frozen=True, slots=True)
class Record:
    """What is wanted of a service.

    Attributes:
        name: What it is called.
        port: TCP port on loopback.
        source: Folder that the entry script is in.
        entry_script: Path of the script in ``source``.
        python: Program that runs the host.
        models: Where each model's files lie, by ``name/version``, or by ``name/0/file`` for files
            that are in no registry.
        references: The models as people write them, such as ``sentiment:1``.
        files: Paths in ``source`` that belong to it; empty for all of them.
        env: Environment variables of the environment's own.
        image: Image that the host runs in a container of; empty for a plain process.
        generation: Which code and run folder count.
        created: When it was deployed, in seconds since 1970.
    """

    name: str
    port: Annotated[int, Range(1, 65_535)]
    source: str
    entry_script: str
    python: str
    models: Annotated[Mapping[str, str], Size(0, 100)] = field(default_factory=dict)
    references: Annotated[tuple[str, ...], Size(0, 100)] = ()
    files: Annotated[tuple[str, ...], Size(0, 10_000)] = ()
    env: Annotated[Mapping[str, str], Size(0, 1000)] = field(default_factory=dict)
    image: str = ""
    generation: int = 0
    created: float = 0.0


def state_of(record: Record | None, *, alive: bool, ready: bool | None) -> State:
    """Return a service's state in one word.

    | record | process | ``ready`` | state |
    |---|---|---|---|
    | none | | | deleted |
    | there | gone | | failed |
    | there | runs | true | running |
    | there | runs | false | deploying |
    | there | runs | nothing answers | unknown |
    """
    if record is None:
        return "deleted"
    if not alive:
        return "failed"
    if ready is None:
        return "unknown"
    return "running" if ready else "deploying"


def model_dir(models: Mapping[str, str]) -> str:
    """Return where ``AZUREML_MODEL_DIR`` points to, below the folder of all models.

    One model: its own folder ``name/version``; several, or none: the folder of all, empty text.
    """
    places = {"/".join(place.split("/")[:2]) for place in models}
    return places.pop() if len(places) == 1 else ""
