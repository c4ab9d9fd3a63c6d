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
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from skerry_agent import hold_commands, launcher
from skerry_agent.home import STATUS_FILE, Home, lock, read_home
from skerry_agent.reconciling.memory import CLEAR_BAD
from skerry_contract import shape
from skerry_contract.errors import ConflictError, NoSpaceError, SkerryError
from skerry_contract.messages import Wait

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
    home = read_home(args.home)
    alive = _is_alive(home)
    left = _left_status(home)
    if args.output == "json":
        print(json.dumps({"running": alive, **left}))
    else:
        for line in _status_lines(home, left, alive=alive):
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
        print(f"{finding.level:8}{finding.name:9}{finding.text}")
        if finding.fix:
            print(f"{'':17}→ {finding.fix}")
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
        print(json.dumps({"asked": True, "running": _is_alive(home)}))
    else:
        print("the agent will try refused versions again", end="")
        print("" if _is_alive(home) else ", once it runs")
    return 0


def _say(args: argparse.Namespace) -> int:
    said: hold_commands.Said = args.say(args)
    if args.output == "json":
        print(json.dumps({"holds": [asdict(hold) for hold in said.holds]}))
    else:
        print(*said.lines, sep="\n")
    return 0


def _is_alive(home: Home) -> bool:
    try:
        lock(home).close()
    except ConflictError:
        return True
    return False


def _left_status(home: Home) -> dict[str, Any]:
    try:
        left = json.loads((home.state / STATUS_FILE).read_bytes())
    except (OSError, ValueError):
        left = None
    return left if isinstance(left, dict) else {"link": None, "reported": None}


def _status_lines(home: Home, left: dict[str, Any], *, alive: bool) -> list[str]:
    lines = [
        f"device      {home.config.fleet}/{home.config.device}",
        f"agent       {'running' if alive else 'not running'}",
    ]
    if alive and left["link"]:
        connected = left["link"].get("connected")
        lines.append(f"broker      {'connected' if connected else 'not connected'}")
        lines += _failure_lines(left["link"].get("problem"))
    lines += hold_commands.hold_lines(home)
    report = left["reported"]
    if report is None:
        return [*lines, "report      none yet"]
    deployment = report.get("deployment") or "none"
    lines += [
        f"deployment  {deployment} (version {report.get('version', 0)}): {report.get('phase')}",
        f"as of       {report.get('ts')} ({time.strftime('%H:%M:%S UTC', time.gmtime())} now)",
    ]
    if report.get("phase") == "held":
        waits = [shape.read(Wait, wait) for wait in report.get("waits", [])]
        lines += [f"waits for   {wait.text}" for wait in waits]
    for name, module in report.get("modules", {}).items():
        waits_for = f" ({module['waits']})" if module.get("waits") else ""
        lines.append(f"module      {name}: {module['state']}, {module['image']}{waits_for}")
        lines += _failure_lines(module.get("failure"))
    lines += _failure_lines(report.get("failure"))
    for bad in report.get("bad", []):
        lines.append(f"refused     {bad['module']}: {bad['image']} at {bad['ts']}")
        lines += _failure_lines(bad.get("failure"))
    return lines


def _failure_lines(failure: dict[str, Any] | None) -> list[str]:
    if not failure:
        return []
    lines = [f"  [{failure['code']}] {failure['text']}"]
    lines += [f"  {line}" for line in failure.get("detail", "").splitlines()]
    return [*lines, f"  → {failure['remedy']}"] if failure.get("remedy") else lines
