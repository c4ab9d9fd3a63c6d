"""How long an image takes to make, cold and after a change, next to ``docker build``.

    python benchmarks/compile_module.py

Docker builds what ``skerry module export --output dockerfile:…`` writes: the same files, base and
environment ready as tars. After a change it also builds the least that it can: one ``COPY`` over
the image that it built before.
"""

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from measure import ratio, times_s
from results import Results
from rig import ECHO, Rig, first_line, note, options, rig, show
from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import BuildRequest, ModelFiles, compile_module
from support.dockerd import Dockerd
from support.modules import HERE, stored, stored_folder
from support.site import Site

MODEL_BYTES = 4 * 1024 * 1024
ENVIRONMENT = "numpy==2.2.6\n"
COLD_ROUNDS = 3
MODEL, SCRIPT = "model", "score.py"
PLACES = {MODEL: "azureml-models/weights/1/model.bin", SCRIPT: "azureml-app/score.py"}
COPIES = {
    MODEL: "COPY azureml-models/ /var/azureml-app/azureml-models/",
    SCRIPT: "COPY azureml-app/ /var/azureml-app/",
}
PEERS = ("docker build, exported", "docker build, one COPY")
BUILDERS = ("compile", "skerry module build")
"""How the ways begin that are compared with these."""
KEPT = ("base", "uv")
"""What a cold compiler has in its caches: lists of packages, and what uv has downloaded."""
NOT_SHOWN = (
    "Cold, the compiler makes base and environment, 'docker build' unpacks them ready-made.",
    "Cold, the compiler fetches its Debian packages from the archive each time.",
    "The trial: 'docker build' runs nothing of the image.",
    "Sending the new model to the server, save for its own row; 'docker build' sends its context.",
    "BuildKit: the engine here has the classic builder only.",
    "Several platforms at once, for which 'docker build' needs emulation and this does not.",
)


@dataclass(frozen=True, slots=True)
class Yard:
    """What all ways to build work on.

    Attributes:
        folder: Everything is in it: the scorer in ``code``, ``model.bin``, contexts for Docker.
        site: A server.
        engine: A Docker engine.
        own: Caches of the compiler in this process.
        blobs: Its blobs.
    """

    folder: Path
    site: Site
    engine: Dockerd
    own: Path
    blobs: BlobStore

    def request(self) -> BuildRequest:
        """Return the request for the module as it now is, whose files are stored by this."""
        model = stored(self.blobs, {"model.bin": (self.folder / "model.bin").read_bytes()})
        return BuildRequest(
            name="echo",
            version=1,
            platform=HERE,
            models=(ModelFiles("weights", 1, model),),
            files=stored_folder(self.blobs, self.folder / "code"),
            entry_script="score.py",
            environment="environment.txt",
        )

    def compile(self, request: BuildRequest, *, check: bool = False) -> None:
        """Compile in this process, as the server does."""
        wanted = replace(request, check_init=check)
        compile_module(wanted, self.blobs, self.own, lambda _text: None)

    def docker(self, context: str, tag: str, *more: str) -> None:
        """Build a context with the engine."""
        command = ("build", "--quiet", "--tag", tag, *more, str(self.folder / context))
        self.engine.docker(*command, timeout_s=120)


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=7)
    results = Results("compile_module", NOT_SHOWN)
    with rig(given) as bench:
        results.version("docker", first_line("dockerd", "--version"))
        results.version("python", sys.version.split()[0])
        yard = prepare(bench)
        tell("cold", cold(yard, min(COLD_ROUNDS, bench.rounds)), results)
        for what in (MODEL, SCRIPT):
            taken: dict[str, list[float]] = {}
            for number in range(bench.rounds):
                note(f"{what} changed, round {number + 1} of {bench.rounds}")
                for way, seconds in changed(yard, what).items():
                    taken.setdefault(way, []).append(seconds)
            tell(f"{what} changed", taken, results)
    show(results, given)


def prepare(bench: Rig) -> Yard:
    """Build once with a server, and bring everybody to where that left it."""
    engine, site = bench.dockerd(), bench.site("site")
    own = bench.folder / "own"
    yard = Yard(bench.folder, site, engine, own, BlobStore(bench.folder / "blobs"))
    shutil.copytree(ECHO, bench.folder / "code")
    (bench.folder / "code" / "environment.txt").write_text(ENVIRONMENT)
    (bench.folder / "model.bin").write_bytes(os.urandom(MODEL_BYTES))
    note("building for the first time")
    register(yard)
    site.skerry.ok("module", "build", bench.folder / "code", "-m", "weights")
    exported = bench.folder / "exported"
    site.skerry.ok("module", "export", "echo:1", "--output", f"dockerfile:{exported}")
    own.mkdir()
    shutil.copytree(bench.caches / "base", own / "base")
    (own / "uv").symlink_to(bench.caches / "uv")
    for what, copy in COPIES.items():
        small = bench.folder / f"small-{what}"
        target = PLACES[what].partition("/")[0]
        shutil.copytree(exported / target, small / target)
        (small / "Dockerfile").write_text(f"FROM start:1\n{copy}\n")
    return yard


def cold(yard: Yard, rounds: int) -> dict[str, list[float]]:
    """Return how long making everything takes; the last round leaves everything warm."""
    taken: dict[str, list[float]] = {"compile": [], PEERS[0]: []}
    for number in range(rounds):
        note(f"cold, round {number + 1} of {rounds}")
        for path in yard.own.iterdir():
            if path.is_dir() and path.name not in KEPT:
                shutil.rmtree(path)
        taken["compile"].append(compiled(yard))
        taken[PEERS[0]].append(once(lambda: yard.docker("exported", "start:1", "--no-cache")))
    compiled(yard, check=True)
    yard.docker("exported", "exported:1")
    return taken


def changed(yard: Yard, what: str) -> dict[str, float]:
    """Return how long each way takes after a change of its own, in seconds."""
    taken = {}
    for way, build in ways(yard, what).items():
        change(yard, what)
        taken[way] = build()
    return taken


def ways(yard: Yard, what: str) -> dict[str, Callable[[], float]]:
    """Return what to run for each way to build; each returns the seconds that count."""
    code = str(yard.folder / "code")
    build = ["module", "build", code, "-m", "weights"]
    found: dict[str, Callable[[], float]] = {
        "compile": lambda: compiled(yard),
        PEERS[0]: lambda: once(lambda: yard.docker("exported", "exported:1")),
        "compile, with the trial": lambda: compiled(yard, check=True),
        PEERS[1]: lambda: once(lambda: yard.docker(f"small-{what}", "small:1")),
        "skerry module build --no-check": lambda: command(yard, what, *build, "--no-check"),
        "skerry module build": lambda: command(yard, what, *build),
        "skerry --version": lambda: once(lambda: yard.site.skerry.ok("--version")),
    }
    if what == MODEL:
        found["skerry model register"] = lambda: register(yard)
    return found


def once(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    return times_s(action, rounds=1)[0]


def compiled(yard: Yard, *, check: bool = False) -> float:
    """Return the seconds of the compiler alone: the files are with the server already."""
    request = yard.request()
    return once(lambda: yard.compile(request, check=check))


def command(yard: Yard, what: str, *arguments: str) -> float:
    """Return the seconds of a command; a new model is registered before."""
    if what == MODEL:
        register(yard)
    return once(lambda: yard.site.skerry.ok(*arguments))


def register(yard: Yard) -> float:
    """Return the seconds of registering the model as its next version."""
    model = str(yard.folder / "model.bin")
    return once(lambda: yard.site.skerry.ok("model", "register", "-n", "weights", "-p", model))


def change(yard: Yard, what: str) -> None:
    """Give everybody another model of the same size, or another script."""
    if what == MODEL:
        place, data = yard.folder / "model.bin", os.urandom(MODEL_BYTES)
    else:
        place = yard.folder / "code" / "score.py"
        data = (ECHO / "score.py").read_bytes() + f"\n# {time.time_ns()}\n".encode()
    contexts = (yard.folder / "exported", yard.folder / f"small-{what}")
    for path in (place, *(context / PLACES[what] for context in contexts)):
        path.write_bytes(data)


def tell(when: str, taken: dict[str, list[float]], results: Results) -> None:
    """Add what was measured."""
    for way, seconds in taken.items():
        results.add(f"{when}: {way}", statistics.median(seconds), "s")
    for peer in PEERS:
        for way, seconds in taken.items():
            if peer in taken and way.startswith(BUILDERS):
                results.add(f"{when}: {way} / {peer}", ratio(seconds, taken[peer]), "x")


if __name__ == "__main__":
    main()
