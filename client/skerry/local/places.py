"""Where local services keep their folders, and what they keep from one to the next."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry.answers import File
from skerry.api import Api
from skerry.files import MODEL_MARKER
from skerry.upload import download


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of the user's.

    Attributes:
        services: One folder for each service.
        cache: What can be fetched again: models and environments.
    """

    services: Path
    cache: Path

    @classmethod
    def of_user(cls, env: Mapping[str, str]) -> "Places":
        """Return those of the XDG base directory specification."""
        state = _base(env, "XDG_STATE_HOME", ".local/state")
        cache = _base(env, "XDG_CACHE_HOME", ".cache")
        return cls(state / "skerry" / "services", cache / "skerry")

    @classmethod
    def standard(cls) -> "Places":
        """Return those of this process's user."""
        return cls.of_user(os.environ)

    @property
    def environments(self) -> Path:
        """Python environments, by the hash of what they hold."""
        return self.cache / "environments"

    def model(self, api: Api, files: Sequence[File]) -> Path:
        """Return the folder that holds a registered model's files, fetched if it is not there."""
        listed = json.dumps(sorted([file.path, file.digest] for file in files))
        folder = self.cache / "models" / hashlib.sha256(listed.encode()).hexdigest()[:32]
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
                made = Path(scratch, "model")
                download(api, files, made, force=False, on_bytes=lambda _count: None)
                (made / MODEL_MARKER).unlink()  # a scorer sees the model's own files only
                try:
                    made.rename(folder)
                except OSError:
                    # Who was quicker has put the same files there.
                    if not folder.exists():
                        raise
        return folder


def _base(env: Mapping[str, str], variable: str, default: str) -> Path:
    given = env.get(variable, "")
    # The specification says to ignore a relative path.
    return Path(given) if Path(given).is_absolute() else Path.home() / default
