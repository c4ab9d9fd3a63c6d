"""``skerry demo``."""

import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import click

from skerry.children import adopt_orphans, interrupted_by
from skerry.demo.stage import Stage, tell_failure
from skerry.demo.story import Wish, tell
from skerry.session import Session, with_session
from skerry.statuses import FAILED, INTERRUPTED
from skerry_contract.device import RUNTIME_CHOICES
from skerry_contract.errors import ConflictError, SkerryError


@click.command(epilog="Example: skerry demo --broker nats --runtime process")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="New folder for all that it makes, kept afterwards.  [default: one that is removed]",
)
@click.option("--keep", is_flag=True, help="Let everything run on at the end, until Ctrl-C.")
@click.option(
    "--broker",
    type=click.Choice(["auto", "mosquitto", "nats"]),
    default="auto",
    show_default=True,
    help="Which broker to start.",
)
@click.option(
    "--runtime",
    type=click.Choice(RUNTIME_CHOICES),
    default="auto",
    show_default=True,
    help="What runs modules on the device.",
)
@with_session
def demo(session: Session, data: Path | None, broker: str, runtime: str, *, keep: bool) -> None:
    """Run the whole story with real parts: build, flash, push, score, update, refuse.

    It starts a server and a device on this machine, leaves nothing running, and touches no login.
    Progress goes to stderr; the first run fetches what the module is made of.
    """
    adopt_orphans()
    stage = Stage(_folder(data), session.output)
    began = time.monotonic()
    status: int | None = None
    try:
        with interrupted_by(signal.SIGTERM):
            tell(stage, Wish(broker, runtime))
            if keep:
                _wait(stage)
            status = 0
    except SkerryError as error:
        tell_failure(stage, error)
        status = FAILED
    except KeyboardInterrupt:
        stage.say(f"\ninterrupted at: {stage.step}")
        status = INTERRUPTED
    finally:
        trouble = _stop(stage)
        failed = bool(trouble) or status != 0
        if data is None and not failed:
            shutil.rmtree(stage.folder, ignore_errors=True)
    result = {"ok": not failed, "seconds": round(time.monotonic() - began, 1), "trouble": trouble}
    session.output.result(result, _verdict(stage, result))
    if failed:
        raise click.exceptions.Exit(status or FAILED)


def _folder(data: Path | None) -> Path:
    if data is None:
        folder = Path(tempfile.mkdtemp(prefix="skerry-demo-"))
    elif data.exists() and any(data.iterdir()):
        raise ConflictError(f"{data} is not empty", remedy="Name a folder that is new.")
    else:
        folder = data.resolve()
    (folder / "logs").mkdir(parents=True)
    return folder


def _wait(stage: Stage) -> None:
    stage.say(
        f"""
Everything runs on. Look around, in another terminal, with:
   export SKERRY_LOGIN={stage.login_file}
   skerry device list
   skerry telemetry tail
Stop it all with Ctrl-C."""
    )
    # Here Ctrl-C is what was asked for, and no failure.
    with suppress(KeyboardInterrupt):
        while not any(child.ended() is not None for child in stage.children):
            time.sleep(0.5)


def _stop(stage: Stage) -> list[str]:
    stage.say("\nStopping everything.")
    trouble = stage.close()
    for text in trouble:
        stage.say(f"   {text}")
    return trouble


def _verdict(stage: Stage, result: dict[str, object]) -> str:
    if result["ok"]:
        return f"The demo went well, in {result['seconds']} s. Nothing is left running."
    return f"The demo did not go well. Logs are in {stage.logs}"
