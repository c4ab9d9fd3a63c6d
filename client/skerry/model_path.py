"""Where a model's files lie on this machine: in a scorer, or in the working folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = "azureml-models"
MODEL_DIR = "AZUREML_MODEL_DIR"


def local_model(
    name: str, version: int | None, env: Mapping[str, str], folder: Path
) -> Path | None:
    """Return the path of a model: its one file or folder, or the folder of its version.

    Args:
        name: As it was registered.
        version: Which; the highest that is there unless given.
        env: The environment; ``AZUREML_MODEL_DIR`` makes this a scorer, and is looked at
            first.
        folder: The working folder, in which ``azureml-models/<name>/<version>`` and then
            ``<name>`` are looked for.

    Returns:
        None if it is in none of these places.
    """
    for root in (*_scorer_roots(env), folder / FOLDER):
        found = _version(root / name, version)
        if found is not None:
            inside = list(found.iterdir())
            return inside[0] if len(inside) == 1 else found
    beside = folder / name
    return beside if beside.exists() else None


def in_scorer(env: Mapping[str, str]) -> bool:
    """Return whether this process is a scorer's, whose models lie where the host says."""
    return bool(env.get(MODEL_DIR))


def _scorer_roots(env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders of ``<name>/<version>`` that the scorer host may mean.

    The variable names the folder of all models or, if there is one only, of its version.
    """
    if in_scorer(env):
        told = Path(env[MODEL_DIR]).absolute()
        yield told
        yield told.parent.parent


def _version(versions: Path, version: int | None) -> Path | None:
    if version is None:
        numbers = [one.name for one in versions.glob("*") if one.name.isdecimal()]
        if not numbers:
            return None
        version = max(map(int, numbers))
    found = versions / str(version)
    return found if found.is_dir() else None
