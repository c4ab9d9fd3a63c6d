"""``skerry model profile``: what a scorer needs, measured in a device's limits."""

import tempfile
from pathlib import Path
from typing import Any

import click

from skerry.commands.arguments import MODEL
from skerry.durable import write_file
from skerry.inference import InferenceConfig
from skerry.profile import requests, scorer
from skerry.profile.limits import hold
from skerry.profile.plot import svg
from skerry.profile.report import Measurements, document, percentile, recommended_cpu
from skerry.profile.run import Job, measure, python_for
from skerry.profile.scorer import Scorer
from skerry.session import Session, with_session
from skerry_contract.errors import ScorerError
from skerry_contract.names import parse_model_reference

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
COLUMNS = (
    "CPU",
    "P50",
    "P90",
    "P95",
    "P99",
    "REQ/S",
    "PEAK MEMORY",
    "CPU/REQUEST",
    "COLD START",
    "OK",
)


@click.command(
    "profile",
    epilog="Example: skerry model profile ./scorer -d requests.jsonl --cpu 0.5 --memory-gb 0.5",
)
@click.argument(
    "folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--ic", "inference_config", type=_FILE, help="An inference configuration, as a file.")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    type=MODEL,
    help="Repeatable.  [default: module.toml's]",
)
@click.option(
    "--model-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The model's files, where no server is asked for them.",
)
@click.option(
    "-d",
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Request bodies: JSON lines, one column of CSV, a folder.  [default: the golden set]",
)
@click.option(
    "--cpu",
    "cpus",
    multiple=True,
    type=click.FloatRange(0.05, 64),
    default=[1.0],
    show_default=True,
    help="Processors; repeatable, to compare.",
)
@click.option(
    "--memory-gb", type=click.FloatRange(0.01, 1024), default=0.5, show_default=True, help="GiB."
)
@click.option(
    "--queries", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="At most."
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=60.0, show_default=True, help="At most."
)
@click.option("--start-timeout", default=300.0, show_default=True, help="Seconds for init().")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw this SVG file.")
@click.option("--allow-failures", is_flag=True, help="Succeed even if requests fail.")
@click.option("--python", type=_FILE, help="Interpreter of your own environment.")
@with_session
def profile(session: Session, /, folder: Path | None, **options: Any) -> None:
    """Run a scorer on sample requests in a device's limits, and recommend CPU and memory.

    FOLDER is a module's folder; --ic names an inference configuration instead. The scorer runs as
    you, in an environment of its own, held to the given CPU and memory.
    """
    if (folder is None) == (options["inference_config"] is None):
        raise click.UsageError("Name either a module's FOLDER or --ic FILE.")
    what = (
        scorer.from_folder(folder)
        if folder
        else scorer.from_source(InferenceConfig.from_file(options["inference_config"]).resolve())
    )
    bodies = requests.read(options["data"]) if options["data"] else requests.golden(what.folder)
    with tempfile.TemporaryDirectory(prefix="skerry-profile-") as place:
        job = Job(
            what,
            options["python"] or python_for(what, session.output.note),
            _models(session, what, options, Path(place, "models")),
            bodies,
            options["queries"],
            options["seconds"],
            options["start_timeout"],
        )
        runs = [
            _run(session, job, Path(place), cpu, options) for cpu in sorted(set(options["cpus"]))
        ]
    _draw(what, runs, options["plot"])
    if session.output.form == "json":  # a failure is then the whole of the answer
        _judge(runs, allow=options["allow_failures"])
    _show(session, what, runs)
    _judge(runs, allow=options["allow_failures"])


def _run(
    session: Session, job: Job, place: Path, cpu: float, options: dict[str, Any]
) -> Measurements:
    session.output.note(f"measuring with {cpu:g} CPU and {options['memory_gb']:g} GiB")
    folder = place / f"run-{cpu:g}"
    folder.mkdir()
    return measure(job, folder, cpu, int(options["memory_gb"] * 1024**3), hold)


def _models(session: Session, what: Scorer, options: dict[str, Any], target: Path) -> Path:
    """Return the folder of the models, as AZUREML_MODEL_DIR names it in a module."""
    if options["model_dir"]:
        return Path(options["model_dir"]).resolve()
    wanted = options["models"] or [parse_model_reference(m) for m in what.models]
    if wanted:
        return scorer.model_folder(session.api, wanted, target)
    target.mkdir()
    return target


def _draw(what: Scorer, runs: list[Measurements], target: Path | None) -> None:
    if target is not None:
        cpu = recommended_cpu(runs)
        shown = next((run for run in runs if run.cpu >= cpu), runs[-1])
        write_file(target, svg(_name(what), shown).encode())


def _show(session: Session, what: Scorer, runs: list[Measurements]) -> None:
    found, output = document(_name(what), runs), session.output
    output.result(
        found,
        f"recommended: {found['recommendedCpu']:g} CPU, {found['recommendedMemoryInGB']:g} GB",
        f"held by {runs[0].held_by}",
        "",
        output.table(COLUMNS, map(_row, runs)),
    )


def _name(what: Scorer) -> str:
    return what.folder.resolve().name


def _row(run: Measurements) -> tuple[str, ...]:
    percents = [f"{percentile(run.latencies_ms, p):.3g} ms" for p in (50, 90, 95, 99)]
    return (
        f"{run.cpu:g}",
        *percents,
        f"{run.queries / run.wall_s:.1f}",
        f"{run.peak_bytes / 1024**2:.1f} MiB",
        f"{run.cpu_s / run.queries * 1000:.3g} ms",
        f"{run.cold_start_s:.2f} s",
        f"{len(run.latencies_ms)}/{run.queries}",
    )


def _judge(runs: list[Measurements], *, allow: bool) -> None:
    failures = [text for run in runs for text in run.failures]
    if failures and not allow:
        raise ScorerError(
            f"{len(failures)} of {sum(run.queries for run in runs)} requests failed",
            remedy="Mend the scorer or the requests, or accept it with --allow-failures.",
            detail="\n".join(list(dict.fromkeys(failures))[:10]),
        )
