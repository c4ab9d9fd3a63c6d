"""``skerry up``: start a server here, and say what to type next."""

import importlib.util
import shlex
import signal
from pathlib import Path

import click

from skerry import server as servers
from skerry.answers import BrokerAddress
from skerry.children import Child, interrupted_by
from skerry.commands.arguments import DEVICE
from skerry.server import Server
from skerry.session import Session, with_session
from skerry.statuses import FAILED
from skerry_contract.errors import NotFoundError, RuntimeFailedError


@click.command(epilog="Example: skerry up --data ./skerry-data --port 7700")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("skerry-data"),
    show_default=True,
    help="Folder of all that the server stores; skerry.toml in it may hold these options.",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--public-host", help="Name or address by which devices reach it.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port of the API.  [default: 7700]")
@click.option(
    "--broker",
    type=click.Choice(["auto", "mosquitto", "nats", "external"]),
    help="Which broker to start.  [default: auto]",
)
@click.option(
    "--broker-port", type=click.IntRange(0, 65_535), help="Port of the broker.  [default: 1883]"
)
@click.option(
    "--database",
    metavar="URL",
    help="PostgreSQL database, such as postgresql://skerry@db/skerry.  [default: SQLite in --data]",
)
@click.option(
    "--database-password-file",
    type=click.Path(dir_okay=False),
    help="File with its password; SKERRY_DATABASE_PASSWORD does too.",
)
@click.option(
    "--blobs",
    metavar="URL",
    help="Bucket for the blobs, such as s3://skerry/blobs.  [default: a folder in --data]",
)
@click.option(
    "--s3-endpoint",
    metavar="URL",
    help="Object store that has the bucket, such as https://s3.example.org.  [default: AWS]",
)
@click.option("--s3-region", help="Region to sign requests for.  [default: us-east-1]")
@click.option(
    "--s3-credentials-file",
    type=click.Path(dir_okay=False),
    help="File with its keys; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY do too.",
)
@click.option(
    "--tls/--no-tls", default=None, help="Whether API and broker speak TLS.  [default: no]"
)
@click.option("--fleet", type=DEVICE, help="Id of the fleet.  [default: home]")
@with_session
def up(session: Session, /, data: Path, **options: str | int | bool | None) -> None:
    """Start a server on this machine: registry, compiler, broker and API in one.

    It runs until Ctrl-C. The exit status is the server's own.
    """
    if importlib.util.find_spec("skerry_cloud") is None:
        remedy = "Install Skerry with its extra 'cloud'."
        raise NotFoundError("the server is not installed here", remedy=remedy)
    with interrupted_by(signal.SIGTERM):
        child = Child("server", servers.command(data, options), read_stdout=True)
        try:
            server = servers.start(child)
        except RuntimeFailedError as error:
            # It has said why on stderr, which is ours.
            raise click.exceptions.Exit(_own_status(child)) from error
        try:
            _tell(session, server)
            status = server.child.wait()
        except KeyboardInterrupt:
            session.output.note("stopping the server …")
            server.stop()
            return
        finally:
            server.stop()
    session.output.note(f"the server ended by itself with status {status}")
    raise click.exceptions.Exit(_own_status(child))


def _own_status(child: Child) -> int:
    """Return the exit status of a server that ended by itself; one that a signal ended failed."""
    return max(child.ended() or FAILED, FAILED)


def _tell(session: Session, server: Server) -> None:
    hint = ""
    if not servers.put_login(server, session.login_file):
        hint = (
            f"\n{session.login_file} belongs to another server and was left alone; first type\n"
            f"  export SKERRY_LOGIN={shlex.quote(server.ready.login)}\n"
        )
    # One line, for those who start it by a program.
    session.output.line(server.ready, welcome(server, hint, servers.put_ca(server)))


def welcome(server: Server, hint: str, ca_file: Path | None) -> str:
    """Return what a person needs to go on from here."""
    return f"""\
Skerry serves at {server.ready.url}. Stop it with Ctrl-C.
{hint}
Flash a device:     skerry device add porch-camera
                    skerry device flash porch-camera --output ./porch-camera
                    ./porch-camera/run.sh
Push a deployment:  skerry deployment push manifest.yaml
Read telemetry:     skerry telemetry tail
  or with any MQTT client:
  {subscribe_line(server.broker, ca_file)}"""


def subscribe_line(broker: BrokerAddress, ca_file: Path | None) -> str:
    """Return the command that reads all telemetry from the broker.

    Args:
        broker: Where it is, and the account to use.
        ca_file: File of certificates to believe; None without TLS.
    """
    words = ["mosquitto_sub", "-h", broker.host, "-p", str(broker.port), "-q", "1", "-v"]
    if broker.username:
        words += ["-u", broker.username, "-P", broker.password]
    if ca_file is not None:
        words += ["--cafile", str(ca_file)]
    return shlex.join([*words, "-t", "skerry/v1/+/+/t/#"])
