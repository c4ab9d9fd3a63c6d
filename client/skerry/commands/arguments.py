"""Arguments that several commands read alike; what is spelled wrongly is wrong usage."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from skerry.images.compression import COMPRESSIONS
from skerry_contract.errors import NameInvalidError
from skerry_contract.names import (
    check_device_id,
    check_model_name,
    check_name,
    parse_model_reference,
    parse_reference,
)

T = TypeVar("T")


class _Checked(click.ParamType[object]):
    """A text that one of the contract's checks lets pass."""

    def __init__(self, name: str, check: Callable[[str], object]) -> None:
        self.name = name
        self._check = check

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Return what the check makes of ``value``."""
        if not isinstance(value, str):
            return value
        try:
            return self._check(value)
        except NameInvalidError as error:
            self.fail(f"{error.text}. {error.remedy}", param, ctx)


def _name_or_reference(text: str) -> tuple[str, int | None]:
    name = text.removesuffix(":latest")
    if ":" not in name:
        return check_name(name), None
    found = parse_reference(name)
    return found.name, found.version


REFERENCE = _Checked("NAME:VERSION", parse_reference)
NAME_OR_REFERENCE = _Checked("NAME[:VERSION]", _name_or_reference)
MODEL = _Checked("NAME[:VERSION]", parse_model_reference)
MODEL_NAME = _Checked("NAME", check_model_name)
NAME = _Checked("NAME", check_name)
DEVICE = _Checked("DEVICE", check_device_id)
COMPRESSION = click.option(
    "--compression",
    type=click.Choice(COMPRESSIONS),
    default="gzip",
    show_default=True,
    help="Of the layers. Docker before 23 and devices read no zstd.",
)


def pairs(_ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Turn ``key=value`` options into a mapping; for use as a click callback."""
    found: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param=param)
        if key in found:
            raise click.BadParameter(f"{key!r} is given twice", param=param)
        found[key] = value
    return found


def pairs_text(tags: Mapping[str, str]) -> str:
    """Return tags as they are typed."""
    return " ".join(f"{key}={value}" for key, value in tags.items())


def which_model(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the model that it is about: an argument, or ``-i`` as Azure ML spells it."""

    @functools.wraps(command)
    def with_model(*args: Any, **options: Any) -> T:
        which, also = options.pop("which"), options.pop("model_id")
        if (which is None) == (also is None):
            raise click.UsageError("Name one model, as NAME:VERSION or with -i NAME:VERSION.")
        return command(*args, which=which or also, **options)

    metavar = "NAME[:VERSION]"
    option = click.option("-i", "--model-id", type=MODEL, metavar=metavar, help="The same.")
    argument = click.argument("which", metavar=metavar, required=False, type=MODEL)
    return argument(option(with_model))
