"""The ``skerry`` command as people type it: in a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Skerry:
    """Runs the command in a process of its own.

    Attributes:
        login_file: Where it finds its login.
        cwd: Folder that it runs in.
        timeout_s: Seconds that one command may take.
        inherits: Whether it sees our environment, which may say how to reach the network.
    """

    login_file: Path
    cwd: Path
    timeout_s: float = 40
    inherits: bool = False

    def __call__(self, *args: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "skerry", *map(str, args)],
            cwd=self.cwd,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=self.timeout_s,
            check=False,
        )

    @property
    def env(self) -> dict[str, str]:
        path = ":".join(entry for entry in sys.path if entry)
        own = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "SKERRY_LOGIN": str(self.login_file)}
        return {**(os.environ if self.inherits else {}), **own}

    def ok(self, *args: object, stdin: str = "") -> str:
        done = self(*args, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout
