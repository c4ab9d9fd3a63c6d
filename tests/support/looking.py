"""Look at bytes as if they had been registered."""

import io
from collections.abc import Mapping

from skerry_cloud.formats import Finding, examine
from skerry_cloud.registry.files import File


def look(files: Mapping[str, bytes] | bytes) -> tuple[Finding, ...]:
    """Return what is found in a model of these files; bytes alone are a file ``m.bin``."""
    given = {"m.bin": files} if isinstance(files, bytes) else files
    listed = [File(path, path, len(data)) for path, data in given.items()]
    return examine(listed, lambda path: io.BytesIO(given[path]), owner="model m").findings


def only(files: Mapping[str, bytes] | bytes) -> Finding:
    """Return the one thing that is found."""
    (found,) = look(files)
    return found
