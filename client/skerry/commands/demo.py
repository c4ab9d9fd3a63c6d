"""``skerry demo``."""

import click

from skerry.session import Session, with_session


@click.command()
@with_session
def demo(session: Session) -> None:
    """Run the whole story with real parts."""
