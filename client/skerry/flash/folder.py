"""The device folder: made beside and renamed if it is new, renewed in place if it is not.

What the agent keeps there (``state``, ``inputs``) is never touched. Renewing replaces one entry
after the other, each by a rename: whatever stops it, flashing once more puts it right.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry.answers import Identity
from skerry.durable import check_writable, sync_folder, write_file
from skerry.flash import parts
from skerry_contract import shape
from skerry_contract.errors import ConflictError, ContractError

DEVICE_FILE = "device.json"
MAX_DEVICE_BYTES = 64 * 1024

RUN_SH = """\
#!/bin/sh
# Starts the agent of this folder in the foreground, or does another of its commands:
#   run.sh [run]       start it              run.sh status      show what it does
#   run.sh check       find what is wrong    run.sh clear-bad   try refused versions once more
# Options follow the command; --help lists them. SKERRY_PYTHON names another Python.
set -eu
case ${1:-} in
    '' | -*) command=run ;;
    *) command=$1; shift ;;
esac
home=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
for python in "${SKERRY_PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        export PYTHONPATH="$home/lib" PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1
        # Compiled by another process: what that takes would stay in the agent's memory.
        [ -d "$home/lib/skerry_agent/__pycache__" ] ||
            "$python" -m compileall -q "$home/lib" >&2 || :
        exec "$python" "$home/lib/skerry_agent/launcher.py" "$command" --home "$home" "$@"
    fi
done
echo "run.sh: the agent needs Python 3.11 or later; set SKERRY_PYTHON to where it is" >&2
exit 1
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose folder it is, as far as ``device.json`` says."""

    device: str
    fleet: str


def check_target(target: Path, device: str) -> bool:
    """Tell whether ``target`` is a folder of ``device`` already.

    Raises:
        ConflictError: It is another device's folder, or holds something else.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ConflictError(f"{target} exists and is no folder", remedy="Name another folder.")
    if not target.is_dir() or not any(target.iterdir()):
        return False
    owner = read_owner(target)
    if owner is None:
        remedy = "Name a folder that is new or empty."
        raise ConflictError(f"{target} holds something that is no device folder", remedy=remedy)
    if owner.device != device:
        remedy = "Name another folder; nothing was changed."
        raise ConflictError(f"{target} is the folder of device {owner.device}", remedy=remedy)
    return True


def read_owner(target: Path) -> Owner | None:
    """Return whose folder ``target`` is; None if there is no telling."""
    try:
        data = (target / DEVICE_FILE).read_bytes()
        return shape.parse(Owner, data, max_bytes=MAX_DEVICE_BYTES)
    except (OSError, ContractError):
        return None


def make(target: Path, device: str, identity: Callable[[], Identity]) -> None:
    """Make ``target`` the folder of ``device``, or renew it, keeping what the agent stored there.

    Args:
        target: The folder.
        device: Whose it is to be.
        identity: Gives a new identity. It is asked last, since the one before ends with it.

    Raises:
        ConflictError: ``target`` belongs to another device or fleet, or holds something else.
        NotFoundError: The agent's code is not installed here.
        OSError: Nothing can be written there; found out before ``identity`` is asked.
    """
    target = target.resolve()
    renew = check_target(target, device)
    if renew:
        check_writable(target)
    check_writable(target.parent)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        parts.copy_packages(made / "lib")
        write_file(made / "run.sh", RUN_SH.encode(), mode=0o755)
        _write_identity(made, _matching(identity(), target, renew=renew))
        if renew:
            _renew(made, target)
        else:
            (made / "inputs").mkdir()
            # The secret has its own mode; people put files into inputs.
            made.chmod(0o755)
            made.replace(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _matching(identity: Identity, target: Path, *, renew: bool) -> Identity:
    owner = read_owner(target) if renew else None
    fleet = identity.device.get("fleet")
    if owner is not None and owner.fleet != fleet:
        raise ConflictError(
            f"{target} belongs to fleet {owner.fleet}, and the server's fleet is {fleet}",
            remedy="Name another folder: what the device stored belongs to its old fleet.",
        )
    return identity


def _write_identity(folder: Path, identity: Identity) -> None:
    pretty = json.dumps(identity.device, indent=2) + "\n"
    write_file(folder / DEVICE_FILE, pretty.encode())
    write_file(folder / "trust.json", shape.dump(identity.trust) + b"\n")
    write_file(folder / "token", identity.token.encode() + b"\n", mode=0o600)
    if identity.ca:
        write_file(folder / "ca.pem", identity.ca.encode())


def _renew(made: Path, target: Path) -> None:
    """Move each entry of ``made`` over the one in ``target``; what else is there stays."""
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    encrypted = (made / "ca.pem").exists()
    try:
        # A folder cannot be renamed over one that is not empty.
        if (target / "lib").exists():
            (target / "lib").replace(old / "lib")
        # The token goes last: with it, everything else must be there.
        for entry in sorted(made.iterdir(), key=lambda entry: entry.name == "token"):
            entry.replace(target / entry.name)
        if not encrypted:
            (target / "ca.pem").unlink(missing_ok=True)
        # What is flashed runs, and no release that came before it.
        (target / "state" / "agent" / "slots.json").unlink(missing_ok=True)
        sync_folder(target)
    finally:
        shutil.rmtree(old, ignore_errors=True)
