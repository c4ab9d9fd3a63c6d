"""The echo module in versions that can be told apart, for tests that care about its life only."""

import shutil
from pathlib import Path

from support.site import Site

_TEMPLATE = Path(__file__).parents[2] / "module-templates" / "echo"
_SECOND = "def run(data):\n    import json\n    return {**json.loads(data), 'version': 2}\n"
_BROKEN = "def init():\n    raise RuntimeError('this one never works')\n"

FIRST, SECOND, BROKEN = "echo:1", "echo:2", "echo:3"


def build_echoes(site: Site) -> None:
    """Build three versions: the template, one that adds ``version: 2``, one that cannot start."""
    site.skerry.ok("module", "build", _TEMPLATE)
    folder = site.folder / "echo"
    shutil.copytree(_TEMPLATE, folder)
    (folder / "golden.json").unlink()
    for more, words in ((_SECOND, ()), (_BROKEN, ("--no-check",))):
        script = (_TEMPLATE / "score.py").read_text()
        (folder / "score.py").write_text(f"{script}\n\n{more}")
        site.skerry.ok("module", "build", folder, *words)
