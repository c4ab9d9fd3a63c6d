"""How a module is started from unpacked layers, inside a sandbox or as a plain child."""

from dataclasses import dataclass
from pathlib import Path

from skerry_cloud.compiler.content import APP_FOLDER, HOST_FOLDER
from skerry_cloud.compiler.environment import ENVIRONMENT_FOLDER
from skerry_cloud.compiler.image import entrypoint_of, environment_of
from skerry_cloud.compiler.platforms import Platform
from skerry_cloud.compiler.request import BuildRequest

Command = tuple[list[str], dict[str, str]]
"""Program with arguments, and all its variables."""
_RUN_FOLDER = "run/skerry"
_SCRATCH = "tmp"
_EMULATOR = f"/{_SCRATCH}/.emulator"
SCRATCH_BYTES = 1024**3
"""What a trial may write into each of the two folders for passing things; they lie in memory."""
# A crash, and what is asked where it hangs, shows the script's line.
_TELLING = {"PYTHONFAULTHANDLER": "1"}


@dataclass(frozen=True, slots=True)
class Trees:
    """Where the parts of a module lie on this machine.

    Attributes:
        base: Root of the base layer.
        environment: Root of the environment layer, if there is one.
        host: Root of the scorer host's layer.
        app: What becomes ``/var/azureml-app``.
        run: The run folder.
        python: Path in the image of its Python.
    """

    base: Path
    environment: Path | None
    host: Path
    app: Path
    run: Path
    python: str = "/usr/bin/python3.11"

    def as_in_image(self, text: str) -> str:
        """Return ``text`` with paths of this machine replaced by those in the image."""
        text = text.replace(str(self.app), f"/{APP_FOLDER}").replace(str(self.run), "/run/skerry")
        for root in (self.base, self.environment, self.host):
            text = text.replace(f"{root}/", "/")
        return text


def sandbox_command(
    request: BuildRequest, platform: Platform, trees: Trees, emulator: Path | None
) -> Command:
    """Return how to start the module under bubblewrap: read-only, without network, as its user."""
    del platform
    mounts = [("--ro-bind", trees.base, "")]
    if trees.environment:
        folder = trees.environment / ENVIRONMENT_FOLDER
        mounts.append(("--ro-bind", folder, ENVIRONMENT_FOLDER))
    mounts += [
        ("--ro-bind", trees.host / HOST_FOLDER, HOST_FOLDER),
        ("--ro-bind", trees.app, APP_FOLDER),
        ("--bind", trees.run, _RUN_FOLDER),
    ]
    bound = [word for kind, source, place in mounts for word in (kind, str(source), f"/{place}")]
    system = ["--proc", "/proc", "--dev", "/dev"]
    for place in (_SCRATCH, "dev/shm"):
        system += ["--size", str(SCRATCH_BYTES), "--tmpfs", f"/{place}"]
    system += ["--remount-ro", "/dev", "--chdir", f"/{APP_FOLDER}"]
    start = entrypoint_of(trees.python)
    if emulator:
        system += ["--ro-bind", str(emulator.resolve()), _EMULATOR]
        start.insert(0, _EMULATOR)
    apart = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    user = ["--uid", "65532", "--gid", "65532"]
    variables = {**environment_of(request), **_TELLING, "SKERRY_RUN_DIR": f"/{_RUN_FOLDER}"}
    set_all = [word for item in variables.items() for word in ("--setenv", *item)]
    words = ["bwrap", *bound, *system, *apart, *user, "--clearenv", *set_all]
    return [*words, *start], {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def plain_command(
    request: BuildRequest, platform: Platform, trees: Trees, emulator: Path | None
) -> Command:
    """Return how to start the module as a child, through the image's own dynamic loader."""
    del emulator
    environment = trees.environment / ENVIRONMENT_FOLDER if trees.environment else None
    folders = [trees.host / HOST_FOLDER, environment, trees.app]
    variables = environment_of(request)
    models = variables["AZUREML_MODEL_DIR"].removeprefix(f"/{APP_FOLDER}/")
    variables |= {
        **_TELLING,
        "PYTHONHOME": str(trees.base / "usr"),
        "PYTHONPATH": ":".join(str(folder) for folder in folders if folder),
        "AML_APP_ROOT": str(trees.app),
        "AZUREML_MODEL_DIR": str(trees.app / models),
        "SKERRY_RUN_DIR": str(trees.run),
    }
    libraries = trees.base / "usr/lib" / platform.triplet
    loader = [str(trees.base / platform.loader), "--library-path", str(libraries)]
    python = str(trees.base / trees.python.lstrip("/"))
    return [*loader, *entrypoint_of(python)], variables
