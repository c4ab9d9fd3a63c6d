"""The ``skerry`` command, also as ``python -m skerry``."""

import sys


def main() -> int:
    """Run the command line; where only the device's part is installed, say what is missing."""
    try:
        from skerry.cli import main as run  # noqa: PLC0415 - what it needs may not be installed
    except ModuleNotFoundError as error:
        if error.name not in ("click", "requests", "rich"):
            raise
        print("skerry: only the device's part is installed here", file=sys.stderr)  # noqa: T201
        print("  Install the commands with: pip install 'skerry[client]'", file=sys.stderr)  # noqa: T201
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
