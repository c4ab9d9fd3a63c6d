"""The command's own parts: a start loads what it needs and no more."""

import subprocess
import sys

from skerry.cli import skerry

LOADED = """
import sys
from skerry.cli import skerry
skerry.commands["module"]
print(*sorted(name for name in sys.modules if name.startswith("skerry.commands.")))
"""


def test_a_command_is_loaded_when_it_is_looked_at() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "skerry.commands.module" in loaded
    assert not {"skerry.commands.model", "skerry.commands.up"} & set(loaded)


def test_every_command_has_its_name_and_a_word_of_help() -> None:
    assert len(skerry.commands) == 9
    for name, command in skerry.commands.items():
        assert command.name == name
        assert command.help
