"""A scorer host in a container of this machine's Docker: the same files, sockets and port.

The image holds base, environment and scorer host; code and models are mounted where a module has
them, so that a reload builds nothing. It is started by ``docker run`` in the foreground, which
is the process that ``processes`` knows: it hands signals and output through. The container shares
the machine's network, so that a new one takes over the port of the old one without a gap.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from skerry.docker_engine import DockerEngine
from skerry.local.layout import MODELS, Layout
from skerry.local.record import Record, model_dir
from skerry_contract.errors import SkerryError

APP_ROOT = "/var/azureml-app"
RUN_DIR = "/run/skerry"
_PYTHON_PATH = f"/opt/skerry/host:/opt/skerry/env:{APP_ROOT}"


def name_of(at: Layout, generation: int) -> str:
    """Return what the container of a generation is called."""
    place = hashlib.sha256(os.fsencode(at.folder)).hexdigest()[:8]
    return f"skerry-{at.folder.name}-{place}-{generation}"


def make_room(at: Layout, record: Record) -> None:
    """Make what models are mounted on, in the copy of the code.

    Raises:
        OSError: The disk said no.
    """
    for place, source in record.models.items():
        point = at.code(record.generation) / MODELS / place
        point.parent.mkdir(parents=True, exist_ok=True)
        point.mkdir() if Path(source).is_dir() else point.touch()


def command(engine: DockerEngine, at: Layout, record: Record) -> list[str]:
    """Return what runs a generation's host in a container, in the foreground."""
    words = [engine.program, "run", "--rm", "--name", name_of(at, record.generation)]
    words += ["--network", "host", "--user", f"{os.getuid()}:{os.getgid()}"]
    words += ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108 - the container's
    words += ["--security-opt", "no-new-privileges"]
    words += _mount(at.code(record.generation), APP_ROOT, "ro")
    words += _mount(at.run_dir(record.generation), RUN_DIR, "rw")
    for place, source in record.models.items():
        words += _mount(Path(source), f"{APP_ROOT}/{MODELS}/{place}", "ro")
    for key, value in _environment(record).items():
        words += ["--env", f"{key}={value}"]
    return [*words, record.image]


def remove(at: Layout, generation: int) -> None:
    """Remove a container that outlived who had started it; harmless if there is none."""
    # Without Docker there is none.
    with suppress(SkerryError):
        DockerEngine.here().run("rm", "--force", name_of(at, generation))


def _environment(record: Record) -> Mapping[str, str]:
    return {
        **record.env,
        "PYTHONPATH": _PYTHON_PATH,
        "AML_APP_ROOT": APP_ROOT,
        "AZUREML_ENTRY_SCRIPT": record.entry_script,
        "AZUREML_MODEL_DIR": f"{APP_ROOT}/{MODELS}/{model_dir(record.models)}".rstrip("/"),
        "SERVICE_NAME": record.name,
        "SKERRY_ADDRESS": "127.0.0.1",
        "SKERRY_PORT": str(record.port),
        "SKERRY_SHARED_PORT": "1",
        "SKERRY_RUN_DIR": RUN_DIR,
    }


def _mount(source: Path, target: str, mode: str) -> list[str]:
    # Of --volume a colon in a path would be an end.
    read_only = ",readonly" if mode == "ro" else ""
    return ["--mount", f"type=bind,source={source},target={target}{read_only}"]
