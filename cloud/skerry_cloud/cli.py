"""The ``python -m skerry_cloud`` command.

Standard output has one line of JSON, once the server answers; everything else goes to standard
error. Exit status: 0 ended as told, 1 a deliberate error, 2 wrong usage.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from skerry_cloud import serve, settings
from skerry_cloud.settings import BrokerChoice
from skerry_contract.errors import SkerryError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = vars(_parser().parse_args(argv))
    del given["command"]
    data = given.pop("data")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve.run(settings.read(data, given, os.environ), stop, _tell)
    except SkerryError as error:
        print(f"skerry: {error} [{error.code}]", file=sys.stderr)
        if error.remedy:
            print(error.remedy, file=sys.stderr)
        if error.detail:
            print(error.detail, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"skerry: {error}", file=sys.stderr)
        return 1
    return 0


def _tell(ready: serve.Ready) -> None:
    print(json.dumps({"ready": True, **asdict(ready)}), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skerry_cloud", description="The Skerry server."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("serve", help="run the server in the foreground")
    run.add_argument("--data", type=Path, required=True, help="folder that holds all its state")
    run.add_argument("--host", help="address to listen on (127.0.0.1)")
    run.add_argument("--port", type=int, help="TCP port of the API (7700), 0 for a free one")
    run.add_argument("--public-host", help="name by which devices reach this machine")
    run.add_argument("--fleet", help="fleet of the devices (home)")
    run.add_argument("--broker", choices=get_args(BrokerChoice), help="broker to start (auto)")
    run.add_argument("--broker-port", type=int, help="its TCP port (1883), 0 for a free one")
    run.add_argument("--database", help="URL of a PostgreSQL database (SQLite in --data)")
    run.add_argument("--database-password-file", help="file that holds its password")
    run.add_argument("--blobs", help="bucket of the blobs, s3://BUCKET/PREFIX (a folder of --data)")
    run.add_argument("--s3-endpoint", help="URL of the object store (that of AWS)")
    run.add_argument("--s3-region", help="region to sign requests for (us-east-1)")
    run.add_argument("--s3-credentials-file", help="file that holds its keys")
    run.add_argument("--tls", action=argparse.BooleanOptionalAction, help="speak TLS (no)")
    return parser
