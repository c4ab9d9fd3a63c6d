"""Manifest text: YAML or JSON to values, and from a wrong field back to its line and column.

The text comes from outside, so it is small, shallow, has no aliases (a few lines of them can mean
gigabytes) and no tags (they can name Python objects).
"""

from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.error import MarkedYAMLError

from skerry_contract import manifest
from skerry_contract.errors import ContractError, ManifestError
from skerry_contract.manifest import Manifest
from skerry_contract.shape import MAX_DEPTH, Path

MAX_BYTES = 1024 * 1024
"""Largest manifest; most of one that large would be device ids."""

_Place = tuple[int, int]
_STANDARD = "tag:yaml.org,2002:"
_PLAIN = frozenset({"str", "int", "float", "bool", "null"})
_TEXT = frozenset({"timestamp", "merge", "value"})
"""What YAML takes for a date, or for one of its own signs, is text to us."""
_COLLECTIONS = frozenset({"map", "seq"})
# libyaml's loader where it is built in: ten times as fast, with the same marks.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ManifestError: Naming line, column and field.
    """
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{len(data)} bytes, at most {MAX_BYTES} allowed", subject="manifest")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"not UTF-8: {error}", subject="manifest") from error
    places: dict[Path, _Place] = {}
    value = _value(_compose(text), (), places)
    try:
        found = manifest.read(value)
    except ContractError as error:
        raise wrong(error.reason, error.path, _place_of(error.path, places)) from error
    return found


def wrong(reason: str, path: Path, place: _Place) -> ManifestError:
    """Return the error for a field at a line and column, both counted from 1."""
    line, column = place
    return ManifestError(reason, path, subject=f"manifest, line {line}, column {column}")


def _compose(text: str) -> Node:
    try:
        _check_shape(text)
        node = yaml.compose(text, Loader=_Loader)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise wrong(f"not YAML: {error.problem or error.context}", (), place) from error
    except yaml.YAMLError as error:
        raise wrong(f"not YAML: {error}", (), (1, 1)) from error
    if node is None:
        raise wrong("is empty", (), (1, 1))
    return node


def _check_shape(text: str) -> None:
    """Walk over the text's events, which takes no recursion, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise wrong("anchors and aliases are not used here", (), place)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise wrong(f"nested deeper than {MAX_DEPTH}", (), place)


def _value(node: Node, path: Path, places: dict[Path, _Place]) -> Any:
    places.setdefault(path, _place(node))
    kind = node.tag.removeprefix(_STANDARD)
    if kind not in _PLAIN | _TEXT | _COLLECTIONS:
        raise wrong(f"a tag such as {node.tag:.60} is not used here", path, _place(node))
    if isinstance(node, MappingNode):
        return _mapping(node, path, places)
    if isinstance(node, SequenceNode):
        items = enumerate(node.value)
        return [_value(item, (*path, index), places) for index, item in items]
    if kind in _TEXT:
        return node.value
    try:
        return SafeConstructor().construct_object(node)
    except (ConstructorError, ValueError) as error:
        raise wrong(f"{node.value!r:.60} cannot be read: {error}", path, _place(node)) from error


def _mapping(node: MappingNode, path: Path, places: dict[Path, _Place]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, ScalarNode):
            raise wrong(f"expected a name, got {key_node.value!r:.60}", path, _place(key_node))
        key = key_node.value
        if key in found:
            raise wrong("stands twice", (*path, key), _place(key_node))
        places[(*path, key)] = _place(key_node)
        found[key] = _value(value_node, (*path, key), places)
    return found


def _place(node: Node) -> _Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _place_of(path: Path, places: dict[Path, _Place]) -> _Place:
    """Return where ``path`` stands, or the nearest thing around it that does."""
    while path not in places:
        path = path[:-1]
    return places[path]
