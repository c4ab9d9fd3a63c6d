"""How long a build takes when only ``score.py`` has changed, next to ``docker build``.

    python benchmarks/compile_warm.py

Both have everything but the script. ``docker build`` starts from the image that was built first, as
from any base, and copies the same folder over it.
"""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import ratio, times_s
from results import Results
from rig import ECHO, Rig, first_line, note, options, rig, show
from support.dockerd import Dockerd
from support.programs import need
from support.site import Site

DOCKERFILE = """
FROM start:1
COPY --chown=65532:65532 code/ /var/azureml-app/
"""
NOT_SHOWN = (
    "A changed environment or base: those layers are made anew then, by both.",
    "The check: 'docker build' runs nothing of the image, so it is compared with --no-check.",
    "BuildKit: the engine here has the classic builder only.",
    "Several platforms at once, for which 'docker build' needs emulation and this does not.",
)


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=7)
    results = Results("compile_warm", NOT_SHOWN)
    with rig(given) as bench:
        engine = bench.dockerd()
        results.version("docker", first_line("dockerd", "--version"))
        results.version("python", sys.version.split()[0])
        site = bench.site("site")
        code = bench.folder / "code"
        shutil.copytree(ECHO, code)
        prepare(bench, site, engine, code)
        ways: dict[str, list[float]] = {}
        for number in range(bench.rounds):
            note(f"round {number + 1} of {bench.rounds}")
            for way, command in commands(engine, code).items():
                change(code, f"{number} {way}")
                ways.setdefault(way, []).append(run(command, site))
    tell(ways, results)
    show(results, given)


def prepare(bench: Rig, site: Site, engine: Dockerd, code: Path) -> None:
    """Build once, and give the engine the image to start from."""
    note("building for the first time")
    first_s = times_s(lambda: site.skerry.ok("module", "build", code), rounds=1)[0]
    note(f"that took {first_s:.1f} s")
    login, archive = site.login, bench.folder / "echo.tar"
    copy = [need("skopeo", "skopeo"), "copy", "--src-tls-verify=false"]
    copy += ["--src-creds", f"any:{login['token']}"]
    source = login["url"].replace("http://", "docker://")
    subprocess.run([*copy, f"{source}/echo:1", f"docker-archive:{archive}:start:1"], check=True)
    engine.docker("load", "--input", str(archive))


def commands(engine: Dockerd, code: Path) -> dict[str, list[str]]:
    """Return what to run for each way to build."""
    build = [sys.executable, "-m", "skerry", "module", "build", str(code)]
    socket = f"unix://{engine.socket}"
    docker = [need("docker", "docker.io"), "--host", socket, "build", "--quiet", "--tag", "echo"]
    context = code.parent / "context"
    return {
        "skerry module build --no-check": [*build, "--no-check"],
        "docker build": [*docker, str(context)],
        "skerry module build": build,
        "skerry --version": [sys.executable, "-m", "skerry", "--version"],
    }


def change(code: Path, what: str) -> None:
    """Change the script, and bring the folder for Docker up to date."""
    script = (ECHO / "score.py").read_text()
    (code / "score.py").write_text(f"{script}\n# {what}\n")
    context = code.parent / "context"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(code, context / "code")
    (context / "Dockerfile").write_text(DOCKERFILE)


def run(command: list[str], site: Site) -> float:
    """Return the seconds that a command takes."""
    begun = time.monotonic()
    subprocess.run(command, env=site.skerry.env, check=True, timeout=60, capture_output=True)
    return time.monotonic() - begun


def tell(ways: dict[str, list[float]], results: Results) -> None:
    """Add what was measured."""
    for way, taken in ways.items():
        results.add(way, statistics.median(taken), "s")
    for way in ("skerry module build --no-check", "skerry module build"):
        results.add(f"{way} / docker build", ratio(ways[way], ways["docker build"]), "x")


if __name__ == "__main__":
    main()
