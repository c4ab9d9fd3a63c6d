"""The ``skerry`` command as people type it: in a process of its own."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Skerry:
    """Runs the command in a process of its own."""

    login_file: Path
    cwd: Path

    def __call__(self, *args: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "skerry", *map(str, args)],
            cwd=self.cwd,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )

    @property
    def env(self) -> dict[str, str]:
        path = ":".join(entry for entry in sys.path if entry)
        return {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "SKERRY_LOGIN": str(self.login_file)}

    def ok(self, *args: object, stdin: str = "") -> str:
        done = self(*args, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout
