"""Names of Azure ML's SDK that have no counterpart here: asking for one says what to do instead."""

from collections.abc import Callable
from typing import Any, NoReturn

from skerry_contract.errors import NotFoundError


class Elsewhere:
    """A method, or an attribute, of the original that is not here.

    Args:
        instead: What to do instead, as a sentence.
        attribute: Whether the original is no method, so that asking for it says so at once.
    """

    def __init__(self, instead: str, *, attribute: bool = False) -> None:
        self.instead = instead
        self._attribute = attribute
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., NoReturn]:
        """Return what raises when it is called; raise at once if the original calls nothing."""
        if self._attribute and instance is not None:
            raise absent(self._name, self.instead)

        def refuse(*_args: Any, **_named: Any) -> NoReturn:
            raise absent(self._name, self.instead)

        return refuse


def absent(name: str, instead: str) -> NotFoundError:
    """Return the error that says that ``name`` is not here, with its remedy as a note."""
    error = NotFoundError(f"Azure ML's {name} is not in Skerry", remedy=instead)
    error.add_note(instead)
    return error


_TRAIN = "Train where you like, and register what came out: Model.register(…)."
_TARGETS = (
    "Use LocalWebservice.deploy_configuration(…) for this machine, or "
    "EdgeModule.deploy_configuration(…) for devices."
)
_DATA = "Name data by a path or an address: Model.register(…, datasets=[(scenario, address)])."
CLASSES = {
    "AciWebservice": _TARGETS,
    "AksEndpoint": _TARGETS,
    "AksWebservice": _TARGETS,
    "ComputeTarget": _TARGETS,
    "Dataset": _DATA,
    "Datastore": _DATA,
    "Experiment": _TRAIN,
    "Image": "Model.package(…) builds an image, and 'skerry module list' lists what was built.",
    "Keyvault": "Give a module its settings by env in its deployment.",
    "Run": f"{_TRAIN} Its run_id and experiment_name are kept with 'skerry model register'.",
    "RunConfiguration": _TRAIN,
    "ScriptRunConfig": _TRAIN,
}
"""Classes of the original, and what to do instead."""


class _Absent(type):
    """A class that can be imported and named, and says so as soon as anything is done with it."""

    instead: str

    def __call__(cls, *_args: Any, **_named: Any) -> NoReturn:
        raise absent(cls.__name__, cls.instead)

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python itself looks for
            raise AttributeError(name)
        raise absent(f"{cls.__name__}.{name}", cls.instead)


def stand_in(name: str, module: str) -> type:
    """Return what stands for a class of the original, so that importing it is no riddle.

    Raises:
        AttributeError: The original has none of that name either.
    """
    if name not in CLASSES:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return _Absent(name, (), {"instead": CLASSES[name], "__module__": module})
