"""``docs/sdk.md`` says what the classes say."""

from pathlib import Path

from skerry.sdk_docs import document

PAGE = Path(__file__).parents[4] / "docs" / "sdk.md"


def test_the_page_on_the_sdk_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == document(), "run: python -m skerry.sdk_docs > docs/sdk.md"
