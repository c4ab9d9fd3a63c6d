"""The terms that a package says it comes under, as it says them; nothing is guessed from texts.

Sources: Debian's machine-readable copyright files (DEP 5); Python core metadata 2.4, whose
``License-Expression`` is an SPDX expression (PEP 639).
"""

import re
from dataclasses import dataclass
from email.message import Message

_DEBIAN = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)
_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")
_MAX_CHARS = 100
_SAYS_NOTHING = {"", "unknown", "other/proprietary license", "osi approved", "dual license"}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a Python package says.

    Attributes:
        licences: Names, or one SPDX expression.
        spdx: Whether it is that.
    """

    licences: tuple[str, ...] = ()
    spdx: bool = False


def debian_terms(text: str) -> tuple[str, ...]:
    """Return the licences that a machine-readable ``copyright`` file names, in their order.

    Other files mention licences of parts, of translations and of what is not installed: nothing
    can be said of those without reading them.
    """
    if not re.search(r"^Format(?:-Specification)?:", text, re.MULTILINE):
        return ()
    return tuple(sorted({name.strip() for name in _DEBIAN.findall(text)}))


def python_terms(headers: Message) -> Terms:
    """Return the licences that a package's metadata names; a whole text there is no name."""
    expression = str(headers.get("License-Expression", "")).strip()
    if expression:
        return Terms((expression,), spdx=True)
    found = [_CLASSIFIER.fullmatch(line) for line in headers.get_all("Classifier", ())]
    named = [match[1].strip() for match in found if match]
    named = [name for name in named if name.lower() not in _SAYS_NOTHING]
    free = str(headers.get("License", "")).strip()
    if not named and "\n" not in free and len(free) <= _MAX_CHARS:
        named = [name for name in (free,) if name.lower() not in _SAYS_NOTHING]
    return Terms(tuple(dict.fromkeys(named)))
