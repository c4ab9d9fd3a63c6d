"""``skerry model deploy`` and ``skerry model package``: what is made of registered models."""

import contextlib
from pathlib import Path
from typing import Any

import click

from skerry import deployment_config
from skerry.commands.arguments import MODEL, NAME
from skerry.inference import InferenceConfig
from skerry.model import Model
from skerry.output import facts
from skerry.session import Session, with_session
from skerry.webservice import LocalWebservice
from skerry.workspace import Workspace
from skerry_contract.errors import ScorerError, UnauthorizedError
from skerry_contract.names import ModelReference

_FILE = click.Path(dir_okay=False, path_type=Path)
_MODELS = click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    type=MODEL,
    metavar="NAME[:VERSION]",
    help="Or NAME@sha256:…, or NAME:latest; repeatable.",
)
_INFERENCE = click.option(
    "--ic", "--inference-config-file", "inference", type=_FILE, help="Which scorer, as a file."
)
_SCRIPT = click.option("--entry-script", metavar="PATH", help="Instead of --ic: the script.")
_CONDA = click.option("--cf", "--conda-file", "conda_file", type=_FILE, help="And what it needs.")


@click.command(
    "deploy",
    epilog="Example: skerry model deploy -n myservice -m sentiment:1 --ic inferenceConfig.json "
    "--dc deploymentConfig.json",
)
@click.option("-n", "--name", required=True, type=NAME, help="What to call the service.")
@_MODELS
@click.option("-p", "--path", "paths", multiple=True, type=click.Path(path_type=Path),
              help="A model that is in no registry; repeatable.")  # fmt: skip
@_INFERENCE
@_SCRIPT
@_CONDA
@click.option("--dc", "--deploy-config-file", "target", type=_FILE,
              help="Where to, as a file.  [default: a web service on this machine]")  # fmt: skip
@click.option("--container", is_flag=True, help="On this machine, but in a container of Docker.")
@click.option("--overwrite", is_flag=True, help="Take the place of a service of the same name.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it runs.")
@click.option("--timeout", type=float, help="Seconds to wait.")
@with_session
def deploy(session: Session, /, name: str, **options: Any) -> None:
    """Deploy models with a scorer: on this machine, or on devices.

    The files are those of Azure ML's command line. Without --dc the target is a web service on this
    machine, which needs no Docker and, without registered models, no server.
    """
    inference, target, container = _inference(options), options["target"], options["container"]
    if target and container:
        raise click.UsageError('Write "container": true into the file that --dc names.')
    config = (
        deployment_config.read(target)
        if target
        else LocalWebservice.deploy_configuration(container=container)
    )
    workspace = _workspace(session, needed=bool(options["models"]))
    models = [*_models(workspace, options["models"]), *options["paths"]]
    overwrite = options["overwrite"]
    service = Model.deploy(workspace, name, models, inference, config, overwrite=overwrite)
    if not options["no_wait"]:
        service.wait_for_deployment(timeout_sec=options["timeout"])
    if isinstance(service, LocalWebservice):
        about = service.serialize()
        shown = facts((key, about[key]) for key in ("state", "scoringUri", "swaggerUri"))
    else:
        about = {"name": name, "state": service.state, "computeType": "EDGE"}
        shown = facts((("state", about["state"]),))
    session.output.result(about, name, shown)


@click.command(
    "package", epilog="Example: skerry model package -m sentiment:1 --ic inferenceConfig.json"
)
@_MODELS
@_INFERENCE
@_SCRIPT
@_CONDA
@click.option(
    "--in",
    "--image-name",
    "image_name",
    type=NAME,
    help="What to call it.  [default: MODEL-scorer]",
)
@click.option(
    "--platform", "platforms", multiple=True, help="Repeatable.  [default: this machine's]"
)
@click.option(
    "--il", "--image-label", "image_label", help="With --pull: a further tag for the image."
)
@click.option("--pull", is_flag=True, help="Give the image to the Docker of this machine.")
@click.option(
    "--output-path", type=click.Path(path_type=Path), help="Folder for the image, as image.tar."
)
@click.option(
    "--df",
    "--generate-docker-context",
    "context",
    is_flag=True,
    help="With --output-path: a folder for docker build instead.",
)
@click.option("--timeout", default=3600.0, show_default=True, help="Seconds to wait.")
@with_session
def package(session: Session, /, **options: Any) -> None:
    """Build a module of models and a scorer, and deploy it nowhere."""
    if options["context"] and (options["pull"] or not options["output_path"]):
        raise click.UsageError("--generate-docker-context goes with --output-path, not --pull.")
    workspace = _workspace(session, needed=True)
    made = Model.package(
        workspace,  # type: ignore[arg-type] # there is one, for it is needed
        _models(workspace, options["models"]),
        _inference(options),
        generate_dockerfile=options["context"],
        image_name=options["image_name"],
        image_label=options["image_label"],
        platforms=options["platforms"],
    )
    made.wait_for_creation(show_output=True, timeout_s=options["timeout"], show=session.output.note)
    built = made.module()
    about = {
        "location": made.location,
        "saved": made.save(options["output_path"]) if options["output_path"] else "",
        "pulled": made.pull() if options["pull"] else "",
    }
    session.output.result(
        {"module": built, **about}, f"{built.name}:{built.version}", facts(about.items())
    )


def _inference(options: dict[str, Any]) -> InferenceConfig:
    given, script = options["inference"], options["entry_script"]
    if (given is None) == (script is None):
        raise click.UsageError("Name the scorer: either --ic FILE or --entry-script PATH.")
    if given is not None:
        if options["conda_file"]:
            raise click.UsageError("--conda-file goes with --entry-script; --ic names its own.")
        return InferenceConfig.from_file(given)
    return InferenceConfig(script, conda_file=options["conda_file"])


def _workspace(session: Session, *, needed: bool) -> Workspace | None:
    if needed:
        return Workspace.from_config(session.login_file)
    with contextlib.suppress(UnauthorizedError):
        return Workspace.from_config(session.login_file)
    return None


def _models(workspace: Workspace | None, wanted: tuple[ModelReference, ...]) -> list[Model]:
    found = []
    for which in wanted:
        if workspace is None:
            raise ScorerError("registered models need a server", remedy="skerry up")
        found.append(Model(workspace, id=str(which)))
    return found
