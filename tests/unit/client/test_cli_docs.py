"""``docs/cli.md`` says what the commands say, and other pages name only commands that exist."""

import re
from pathlib import Path

import click
import pytest

from skerry.cli import skerry
from skerry.cli_docs import document

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "cli.md"
HOWTOS = (ROOT / "docs" / "howto").glob("*.md")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(HOWTOS)]


def test_the_page_on_the_command_line_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == document(), "run: python -m skerry.cli_docs > docs/cli.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_tells_to_type_exists(page: Path) -> None:
    typed = re.findall(r"(?:^|`|sudo )skerry ([a-z][^`#\n]*)", page.read_text(), re.MULTILINE)
    for words in map(str.split, typed):
        command: click.Command = skerry
        while isinstance(command, click.Group) and words:
            assert words[0] in command.commands, f"{page}: skerry … {words[0]}"
            command = command.commands[words.pop(0)]
