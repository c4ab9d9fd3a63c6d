"""What models and a scorer need on a device, measured on this machine: ``Model.profile``."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skerry.api import Api
from skerry.durable import write_file
from skerry.inference import Source
from skerry.profile import requests, scorer
from skerry.profile.limits import hold
from skerry.profile.plot import svg
from skerry.profile.report import Measurements, document
from skerry.profile.run import Job, measure, python_for
from skerry_contract.errors import ScorerError
from skerry_contract.names import parse_model_reference

DEFAULT_CPU = 1.0
DEFAULT_MEMORY_GB = 0.5
Inputs = str | Path | Sequence[str | bytes]
_GIB = 1024**3


class ModelProfile:
    """What a scorer took within its limits.

    Args:
        name: What was profiled.
        run: What was measured.
        description: A sentence for people.
    """

    def __init__(self, name: str, run: Measurements, description: str = "") -> None:
        self.name = name
        self.description = description
        self._run = run
        self._details = document(name, [run])

    @property
    def state(self) -> str:
        """``Succeeded``, or ``Failed`` if a request failed."""
        return "Failed" if self._run.failures else "Succeeded"

    @property
    def recommended_cpu(self) -> float:
        """Processors to ask for on a device like this machine."""
        return float(self._details["recommendedCpu"])

    @property
    def recommended_memory(self) -> float:
        """Memory to ask for, in GiB."""
        return float(self._details["recommendedMemoryInGB"])

    def wait_for_completion(self, show_output: bool = False) -> None:  # noqa: FBT001, FBT002 - the original's parameter
        """Return at once, for a profile is measured before there is one.

        Args:
            show_output: Whether the recommendation is shown.

        Raises:
            ScorerError: A request failed; the detail holds what was answered.
        """
        if show_output:
            print(f"recommended: {self.recommended_cpu:g} CPU, {self.recommended_memory:g} GB")  # noqa: T201 - asked for
        if self._run.failures:
            raise ScorerError(
                f"{len(self._run.failures)} of {self._run.queries} requests failed",
                remedy="Mend the scorer or the requests.",
                detail="\n".join(list(dict.fromkeys(self._run.failures))[:10]),
            )

    def get_details(self) -> dict[str, Any]:
        """Return everything that was measured, under the original's names."""
        return {**self._details, "state": self.state, "description": self.description}

    def serialize(self) -> dict[str, Any]:
        """Return the same as ``get_details``."""
        return self.get_details()

    def plot(self, path: str | Path) -> None:
        """Draw latencies and memory over time, as SVG."""
        write_file(Path(path), svg(self.name, self._run).encode())

    def __repr__(self) -> str:
        return f"ModelProfile(name={self.name!r}, state={self.state!r})"


def measured(
    api: Api,
    models: Sequence[str],
    source: Source,
    inputs: Inputs,
    cpu: float = DEFAULT_CPU,
    memory_gb: float = DEFAULT_MEMORY_GB,
) -> Measurements:
    """Run a scorer on inputs within limits, and return what it took.

    Args:
        api: The server that has the models.
        models: As ``name:version``.
        source: The scorer and its environment.
        inputs: A file or folder of request bodies, or the bodies themselves.
        cpu: Processors, above 0.
        memory_gb: Memory in GiB, above 0.

    Raises:
        ScorerError: There are no inputs.
        InitFailedError: The script cannot be imported, or ``init()`` raised.
        RuntimeFailedError: It needs more memory than the limit, or ended by itself.
        EnvironmentFileError: Its environment cannot be made.
    """
    what = scorer.from_source(source)
    if isinstance(inputs, str | Path):
        bodies = requests.read(Path(inputs))
    else:
        bodies = requests.texts(inputs)
    with tempfile.TemporaryDirectory(prefix="skerry-profile-") as place:
        references = [parse_model_reference(one) for one in models]
        folder = scorer.model_folder(api, references, Path(place, "models"))
        run = Path(place, "run")
        run.mkdir()
        job = Job(what, python_for(what, _tell), folder, bodies)
        return measure(job, run, cpu, int(memory_gb * _GIB), hold)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - progress of a call in a notebook
