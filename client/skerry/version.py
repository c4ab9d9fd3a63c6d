"""Which version of Skerry this is."""

from importlib import metadata


def version() -> str:
    """Return the installed version; ``0+checkout`` where it runs from a checkout uninstalled."""
    try:
        return metadata.version("skerry")
    except metadata.PackageNotFoundError:
        return "0+checkout"
