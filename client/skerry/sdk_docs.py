"""``docs/sdk.md`` from the classes themselves: ``python -m skerry.sdk_docs > docs/sdk.md``."""

import functools
import inspect
import re
import sys
from collections.abc import Iterator
from types import FunctionType

from skerry.conda_dependencies import CondaDependencies
from skerry.elsewhere import CLASSES, Elsewhere
from skerry.environment import DockerSection, Environment, PythonSection
from skerry.inference import InferenceConfig
from skerry.model import Model
from skerry.model_profile import ModelProfile
from skerry.package import ModelPackage
from skerry.webservice import EdgeModule, LocalWebservice, Webservice
from skerry.workspace import Workspace

HEAD = """\
# The SDK

Made from the code by `python -m skerry.sdk_docs`. The names are those of Azure ML's first SDK for
Python: a script for that one runs here once its imports say `skerry` instead of `azureml.core`. All
names can also be imported from `skerry` itself.

`docs/howto/use-an-existing-model.md` goes the whole way with an example. Every error is one of
`skerry_contract.errors`; it says what happened, and in its notes what to do and the evidence, such
as the traceback of an entry script.
"""
TAIL = """\
## What is not here

These can be imported, so that a script runs up to where it uses them; then they say what to do
instead, as does every member that is listed above as not here.

| class | instead |
|---|---|"""
DOCUMENTED = (
    Workspace,
    Model,
    ModelPackage,
    ModelProfile,
    InferenceConfig,
    Environment,
    PythonSection,
    DockerSection,
    CondaDependencies,
    Webservice,
    LocalWebservice,
    EdgeModule,
)

_SHOWN = (FunctionType, classmethod, staticmethod, property, functools.cached_property)
"""Kinds of members that have a line of their own; what a class holds besides is in its text."""


def document() -> str:
    """Return the whole page."""
    absent = (f"| `{name}` | {_cell(instead)} |" for name, instead in CLASSES.items())
    return "\n".join((HEAD, *(_section(kind) for kind in DOCUMENTED), TAIL, *absent, ""))


def _section(kind: type) -> str:
    home = _home(kind)
    shown = f"```\nfrom {home} import {kind.__name__}\n\n{kind.__name__}{_signature(kind)}\n```"
    missing = [
        f"| `{name}` | {_cell(member.instead)} |"
        for name, member in _own(kind).items()
        if isinstance(member, Elsewhere)
    ]
    parts = [f"## {kind.__name__}", shown, f"```\n{inspect.getdoc(kind)}\n```"]
    rows = list(_members(kind))
    if rows:
        parts.append("\n".join(("| member | what |", "|---|---|", *rows)))
    if missing:
        parts.append("\n".join(("| not here | instead |", "|---|---|", *missing)))
    return "\n\n".join(parts) + "\n"


def _home(kind: type) -> str:
    homes = dict.fromkeys((InferenceConfig, ModelPackage, ModelProfile), "skerry.model")
    return homes.get(kind, kind.__module__)


def _members(kind: type) -> Iterator[str]:
    for name, member in _own(kind).items():
        if name.startswith("_") or not isinstance(member, _SHOWN) or not inspect.getdoc(member):
            continue
        call = "" if isinstance(member, property) else _signature(getattr(kind, name))
        first = (inspect.getdoc(member) or "").partition("\n\n")[0].replace("\n", " ")
        yield f"| `{_cell(name + call)}` | {_cell(first)} |"


def _own(kind: type) -> dict[str, object]:
    """Return the members of a class, with those of bases that have no section of their own."""
    found: dict[str, object] = {}
    for one in reversed(kind.__mro__[:-1]):
        if one is kind or (one.__module__.startswith("skerry.") and one not in DOCUMENTED):
            found |= vars(one)
    return found


def _signature(member: object) -> str:
    """Return what a call takes, without types and without ``self``."""
    if not callable(member):
        return ""
    found = inspect.signature(member)
    taken = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in found.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    text = str(inspect.Signature(taken))
    # Defaults that are made anew each time show an address of this run.
    return re.sub(r"=<[^>]*>", "=…", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
