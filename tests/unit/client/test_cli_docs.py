"""``docs/cli.md`` says what the commands say."""

from pathlib import Path

from skerry.cli_docs import document

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_on_the_command_line_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == document(), "run: python -m skerry.cli_docs > docs/cli.md"
