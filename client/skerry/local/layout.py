"""Where the parts of a local service lie, and how they are put there.

NAME/service.json         what is wanted: the record
NAME/code/N/              copy of the source folder, for generation N
NAME/run/N/               run folder of generation N's host
NAME/azureml-models/N/    links to the models, laid out as in a module
NAME/host/skerry_scorer   link to the scorer host's package
NAME/log.txt              what all generations wrote
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry.local.processes import RUN_VARIABLE
from skerry.local.record import Record, model_dir
from skerry_contract.errors import RuntimeFailedError

MODELS = "azureml-models"
"""Folder of the models, called as in a module."""
CONTAINER = "in-a-container"
"""File in the run folder of a host that runs in one."""
_LEFT_OUT = ("__pycache__", "*.pyc", ".git", ".hg", ".svn", ".venv", MODELS)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one service.

    Attributes:
        folder: Absolute path; it need not be there.
    """

    folder: Path

    @property
    def record(self) -> Path:
        """The file that says what is wanted."""
        return self.folder / "service.json"

    @property
    def log(self) -> Path:
        """What all generations wrote."""
        return self.folder / "log.txt"

    def run_dir(self, generation: int) -> Path:
        """Return the run folder of a generation's host."""
        return self.folder / "run" / str(generation)

    def code(self, generation: int) -> Path:
        """Return the folder that a generation's entry script lies in."""
        return self.folder / "code" / str(generation)

    def models(self, generation: int) -> Path:
        """Return the folder of a generation's models."""
        return self.folder / MODELS / str(generation)

    def prepare(self, record: Record) -> None:
        """Put code and models of ``record`` in place, and make an empty run folder.

        Raises:
            RuntimeFailedError: The scorer host is not installed.
            OSError: The disk said no, or a file of the source is gone.
        """
        generation = record.generation
        code, models, run_dir = (
            self.code(generation),
            self.models(generation),
            self.run_dir(generation),
        )
        for folder in (code, models, run_dir):
            shutil.rmtree(folder, ignore_errors=True)
        run_dir.mkdir(parents=True)
        models.mkdir(parents=True)
        if record.image:
            (run_dir / CONTAINER).touch()
        _copy(Path(record.source), record.files, code)
        for place, source in record.models.items():
            link = models / place
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
        host = self.folder / "host" / "skerry_scorer"
        host.parent.mkdir(exist_ok=True)
        host.unlink(missing_ok=True)
        host.symlink_to(scorer_host())

    def leftovers(self, kept: int | None) -> Iterator[Path]:
        """Yield the folders of every generation but ``kept``."""
        for kind in ("run", "code", MODELS):
            yield from (f for f in (self.folder / kind).glob("*") if f.name != str(kept))

    def environment(self, record: Record, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that a host of ``record`` starts with."""
        code, models = self.code(record.generation), self.models(record.generation)
        own = {
            "PYTHONPATH": f"{self.folder / 'host'}{os.pathsep}{code}",
            "PYTHONSAFEPATH": "1",  # the folder that it is started in holds no modules of its own
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AML_APP_ROOT": str(code),
            "AZUREML_ENTRY_SCRIPT": record.entry_script,
            "AZUREML_MODEL_DIR": str(models / model_dir(record.models)),
            "SERVICE_NAME": record.name,
            "SKERRY_ADDRESS": "127.0.0.1",
            "SKERRY_PORT": str(record.port),
            "SKERRY_SHARED_PORT": "1",
            RUN_VARIABLE: str(self.run_dir(record.generation)),
        }
        passed = {k: v for k, v in inherited.items() if not k.startswith(("SKERRY_", "PYTHON"))}
        return {**passed, **record.env, **own}


def _copy(source: Path, files: tuple[str, ...], target: Path) -> None:
    if not files:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        return
    for name in files:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, place)


def scorer_host() -> Path:
    """Return the folder of the scorer host's package, which is never imported here.

    Raises:
        RuntimeFailedError: It is not installed.
    """
    found = importlib.util.find_spec("skerry_scorer")
    if found is None or found.origin is None:
        raise RuntimeFailedError(
            "the scorer host is not installed", remedy="Install the package skerry anew."
        )
    return Path(found.origin).parent
