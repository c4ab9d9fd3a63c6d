"""The ``skerry-agent`` command: run the agent, see what it does, find what is wrong.

Exit status: 0 well, 1 a deliberate error or a finding that needs mending (text and remedy on
stderr), 2 wrong usage, 3 no agent runs.
"""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from skerry_agent import hold_commands, launcher
from skerry_agent.home import is_running, lock, read_home
from skerry_agent.reconciling.memory import CLEAR_BAD
from skerry_contract.errors import NoSpaceError, SkerryError

_EXAMPLES = """\
examples:
  skerry-agent run --home ./porch-camera
  skerry-agent status --home ./porch-camera --output json
  skerry-agent check --home ./porch-camera
  skerry-agent clear-bad --home ./porch-camera
  skerry-agent hold --home ./porch-camera --reason 'the line runs' --for 8h
  skerry-agent release --home ./porch-camera
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except SkerryError as error:
        if args.output == "json":
            said = {"code": error.code, "text": error.text, "remedy": error.remedy}
            print(json.dumps({"error": said}))
        print(f"skerry-agent: {error} [{error.code}]", file=sys.stderr)
        if error.remedy:
            print(f"  {error.remedy}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skerry-agent",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("run", _run, "run the agent in the foreground until it gets SIGTERM or SIGINT"),
        ("status", _status, "show what the agent on this device does"),
        ("check", _check, "look for what is wrong on this device, with a remedy for each finding"),
        ("clear-bad", _clear_bad, "have the agent try refused versions once more"),
        ("hold", _say, hold_commands.HOLD),
        ("release", _say, hold_commands.RELEASE),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--home",
            type=Path,
            default=Path(os.environ.get("SKERRY_HOME", ".")),
            metavar="FOLDER",
            help="the device folder (default: $SKERRY_HOME, or the current folder)",
        )
        command.add_argument("--output", choices=("text", "json"), default="text")
        command.set_defaults(run=run)
    commands.choices["run"].add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info"
    )
    hold_commands.add_options(commands.choices["hold"], commands.choices["release"])
    return parser


def _run(args: argparse.Namespace) -> int:
    # Imported here, since the other commands start faster and smaller without it.
    from skerry_agent.assembly import make_agent  # noqa: PLC0415
    from skerry_agent.telling.agent_log import AgentLog  # noqa: PLC0415

    logging.basicConfig(
        level=args.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    home = read_home(args.home)
    with lock(home):
        logging.getLogger().addHandler(AgentLog(home.state))
        agent = make_agent(home)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: agent.stop())
        agent.run()
    if agent.restarts:
        logging.shutdown()
        if launcher.RELEASE in os.environ:
            return launcher.AGAIN
        # Nobody launched it. Whoever watches this process sees nothing end.
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell is wanted
    return 0


def _status(args: argparse.Namespace) -> int:
    from skerry_agent.telling.status import left_status, status_lines  # noqa: PLC0415

    home = read_home(args.home)
    alive = is_running(home)
    left = left_status(home)
    if args.output == "json":
        print(json.dumps({"running": alive, **left}))
    else:
        for line in status_lines(home, left, alive=alive):
            print(line)
    return 0 if alive else 3


def _check(args: argparse.Namespace) -> int:
    from skerry_agent.runtimes.choice import choose  # noqa: PLC0415
    from skerry_agent.telling.check import check  # noqa: PLC0415

    home = read_home(args.home)
    worst = 0
    found = []
    for finding in check(home, lambda: choose(home.config, home.folder)):
        worst = max(worst, int(finding.level == "error"))
        if args.output == "json":
            found.append(
                {name: getattr(finding, name) for name in ("name", "level", "text", "fix")}
            )
            continue
        print(f"{finding.level:8}{finding.name:12}{finding.text}")
        if finding.fix:
            print(f"{'':20}→ {finding.fix}")
    if args.output == "json":
        print(json.dumps({"findings": found}))
    return worst


def _clear_bad(args: argparse.Namespace) -> int:
    home = read_home(args.home)
    asked = home.state / CLEAR_BAD
    try:
        home.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        asked.touch()
    except OSError as error:
        raise NoSpaceError(
            f"{asked}: {error.strerror}", remedy="Run as the agent's user."
        ) from error
    if args.output == "json":
        print(json.dumps({"asked": True, "running": is_running(home)}))
    else:
        print("the agent will try refused versions again", end="")
        print("" if is_running(home) else ", once it runs")
    return 0


def _say(args: argparse.Namespace) -> int:
    said: hold_commands.Said = args.say(args)
    if args.output == "json":
        print(json.dumps({"holds": [asdict(hold) for hold in said.holds]}))
    else:
        print(*said.lines, sep="\n")
    return 0
