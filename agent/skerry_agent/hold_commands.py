"""``skerry-agent hold`` and ``release``: hold a device's switch to another deployment back."""

import argparse
import getpass
import re
from dataclasses import dataclass

from skerry_agent.core.gate import Hold, describe_hold
from skerry_agent.home import Home, read_home
from skerry_agent.reconciling.clock import machine_clock
from skerry_agent.reconciling.holds import Holds
from skerry_contract.errors import NoSpaceError


@dataclass(frozen=True, slots=True)
class Said:
    """What a command has to say.

    Attributes:
        lines: For people.
        holds: What is in force by it, or in spite of it.
    """

    lines: list[str]
    holds: list[Hold]


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

HOLD = "hold back the switch to another deployment; it is pulled and tried all the same"
RELEASE = "end a hold, or let the next switch through whatever holds it back"


def add_options(hold: argparse.ArgumentParser, release: argparse.ArgumentParser) -> None:
    """Say what the two commands take, besides what all commands take."""
    for command in (hold, release):
        command.add_argument("--owner", default=None, metavar="NAME", help="who (default: you)")
    hold.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever looks")
    hold.add_argument(
        "--for",
        dest="lease_s",
        type=_seconds,
        default=_seconds("1h"),
        metavar="TIME",
        help="after which it ends by itself, such as 90s, 30m, 8h, 2d; 1h, at most 30d",
    )
    hold.set_defaults(say=_hold)
    which = release.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="end every hold and every lock")
    which.add_argument(
        "--override",
        dest="override_s",
        type=_seconds,
        nargs="?",
        const=_seconds("1h"),
        metavar="TIME",
        help="for that time (1h), no hold, lock or window holds anything back",
    )
    release.set_defaults(say=_release)


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 30m, 8h or 2d")
    return float(int(found[1]) * _UNITS[found[2]])


def _hold(args: argparse.Namespace) -> Said:
    made = _holds(read_home(args.home)).put("hold", _owner(args), args.reason, args.lease_s)
    return Said([f"held: {describe_hold(made)}"], [made])


def _release(args: argparse.Namespace) -> Said:
    holds = _holds(read_home(args.home))
    owner = _owner(args)
    if args.override_s is not None:
        made = holds.put("override", owner, "", args.override_s)
        return Said([f"until {made.until} nothing holds the switch back"], [made])
    if args.all:
        ended = holds.remove_all()
    else:
        mine = [hold for hold in holds.current() if hold.owner == owner and hold.kind != "lock"]
        ended = [hold for hold in mine if holds.remove(hold.kind, owner)]
    left = list(holds.current())
    words = ", ".join(map(describe_hold, left)) or "nobody"
    released = [f"released: {describe_hold(hold)}" for hold in ended]
    return Said([*released, f"still held by: {words}"], left)


def _owner(args: argparse.Namespace) -> str:
    try:
        return str(args.owner or getpass.getuser())
    except (OSError, KeyError):  # a user without a name
        return "somebody"


def _holds(home: Home) -> Holds:
    try:
        home.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NoSpaceError(
            f"{home.state}: {error.strerror}", remedy="Run as the agent's user."
        ) from error
    return Holds(home.state, machine_clock())


def hold_lines(home: Home) -> list[str]:
    """Return what people and modules hold back on a device, one line each."""
    held = Holds(home.state, machine_clock()).current()
    return [f"held        {describe_hold(hold)}" for hold in held]
