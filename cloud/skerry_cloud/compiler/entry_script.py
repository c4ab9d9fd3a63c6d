"""Look at ``score.py`` without running it: the mistakes that can be told from its text alone."""

import ast
import warnings
from collections.abc import Iterator, Sequence
from itertools import product

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.request import FileEntry
from skerry_contract.errors import ScorerError

MAX_BYTES = 1024 * 1024
"""Largest entry script that is read."""

_REMEDY = "An entry script defines init(), which loads the model, and run(data), which scores."


def check_entry_script(path: str, files: Sequence[FileEntry], blobs: BlobStore) -> None:
    """Refuse an entry script that cannot work.

    Args:
        path: Which of ``files`` it is.
        files: The scorer's folder.
        blobs: Where the bytes are.

    Raises:
        ScorerError: It is missing, has a syntax error, or lacks ``init()`` or ``run(data)``.
    """
    for file in files:
        if file.path == path:
            check_script(path, blobs.read(file.digest, limit=MAX_BYTES))
            return
    there = sorted(file.path for file in files)
    listed = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    raise ScorerError(
        f"there is no {path!r:.200} among the scorer's files: {listed}",
        remedy="Name the script by its path inside the scorer's folder.",
    )


def check_script(path: str, source: bytes) -> None:
    """Refuse the text of an entry script that cannot work.

    Raises:
        ScorerError: It has a syntax error, or lacks ``init()`` or ``run(data)``.
    """
    if not path.endswith(".py"):
        raise ScorerError(f"the entry script {path!r} is no .py file", remedy=_REMEDY)
    tree = _parse(path, source)
    names = dict(_names(tree.body))
    if "*" in names:
        return  # What a star brings in cannot be told without running it.
    for name, example in (("init", "init()"), ("run", "run(data)")):
        if name not in names:
            raise ScorerError(f"{path} does not define {example}", remedy=_REMEDY)
        definition = names[name]
        if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
            _check_function(path, definition)


def _parse(path: str, source: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, path, feature_version=(3, 11))
    except SyntaxError as error:
        where = f"{path}:{error.lineno or 1}:{error.offset or 1}"
        line = (error.text or "").strip()
        shown = f": {line:.200}" if line else ""
        raise ScorerError(f"{where}: {error.msg}{shown}", remedy="Correct that line.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ScorerError(f"{path} is no Python text: {error}", remedy=_REMEDY) from error


def _names(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what a module's statements bind at its top level, inside ``if`` and ``try`` as well."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, statement
            case ast.Import() | ast.ImportFrom():
                for alias in statement.names:
                    yield alias.asname or alias.name.partition(".")[0], statement
            case ast.Assign() | ast.AnnAssign():
                stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
                yield from ((node.id, statement) for node in stored if _is_target(node))
            case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
                yield from _names(list(_inner(statement)))
            case _:
                pass


def _is_target(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _inner(block: ast.stmt) -> Iterator[ast.stmt]:
    parts = [block, *getattr(block, "handlers", [])]
    for part, field in product(parts, ("body", "orelse", "finalbody")):
        yield from getattr(part, field, [])


def _check_function(path: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    where = f"{path}:{function.lineno}"
    if isinstance(function, ast.AsyncFunctionDef):
        raise ScorerError(f"{where}: {function.name} is async", remedy="Write it as plain 'def'.")
    if function.decorator_list:
        return  # A decorator may give it any parameters.
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    needed = len(positional) - len(arguments.defaults)
    if function.name == "init" and needed > 0:
        raise ScorerError(f"{where}: init() is called without arguments", remedy=_REMEDY)
    if function.name == "run" and not (positional or arguments.vararg or arguments.kwonlyargs):
        raise ScorerError(f"{where}: run() takes no data", remedy=_REMEDY)
