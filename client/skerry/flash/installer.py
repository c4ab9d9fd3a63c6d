"""One file that installs a device: a shell script with the device folder packed behind it."""

import gzip
import hashlib
from pathlib import Path

from skerry.durable import check_writable, write_file
from skerry.flash import archive
from skerry.flash.folder import read_owner
from skerry_contract import __version__
from skerry_contract.errors import ConflictError, NotFoundError

_HERE = Path(__file__).parent
_UNIT = "skerry-agent.service"


def check_target(file: Path, device: str) -> None:
    """Find out, before the device gets a new identity, whether ``file`` can be made.

    Raises:
        ConflictError: It is something else than an installer of ``device``.
        OSError: Nothing can be written there.
    """
    check_writable(file.parent)
    if not file.exists() and not file.is_symlink():
        return
    if file.is_file():
        with file.open("rb") as opened:
            if _title(device) in opened.read(400).splitlines():
                return
    raise ConflictError(
        f"{file} exists and is no installer of device {device}", remedy="Name another file."
    )


def make(folder: Path, file: Path) -> None:
    """Pack a device folder that was never started into the installer ``file``.

    Args:
        folder: A device folder.
        file: Where to write to, readable by its owner only: it holds the device's secret.

    Raises:
        NotFoundError: ``folder`` is no device folder.
    """
    owner = read_owner(folder)
    if owner is None:
        raise NotFoundError(f"{folder} is no device folder")
    payload = pack(folder)
    digest = hashlib.sha256(payload).hexdigest()
    script = (_HERE / "installer.sh").read_text("utf-8")
    values = {
        "DEVICE": owner.device,
        "FLEET": owner.fleet,
        # The code alone names its folder, so that a new identity does not copy it again.
        "AGENT": f"{__version__}-{_code_digest(folder / 'lib')[:12]}",
        "SHA256": digest,
    }
    for name, value in values.items():
        script = script.replace(f"@{name}@", value)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, _with_start(script) + payload, mode=0o700)


def pack(folder: Path) -> bytes:
    """Return ``folder`` and the service's unit as a tar.gz, the same bytes for the same content."""
    return gzip.compress(archive.packed(folder, {_UNIT: _HERE / _UNIT}), mtime=0)


def _with_start(script: str) -> bytes:
    """Fill in where the payload starts, which depends on how long that number is."""
    for digits in range(1, 10):
        head = script.replace("@START@", f"{len(script.encode()) - 7 + digits + 1:d}").encode()
        if len(head) == len(script.encode()) - 7 + digits:
            return head
    raise AssertionError("the script is longer than a script can be")


def _code_digest(lib: Path) -> str:
    state = hashlib.sha256()
    for path in sorted(path for path in lib.rglob("*") if path.is_file()):
        state.update(f"{path.relative_to(lib).as_posix()}\0{path.stat().st_size}\0".encode())
        state.update(path.read_bytes())
    return state.hexdigest()


def _title(device: str) -> bytes:
    return f"# Skerry installer for device {device}".encode()
