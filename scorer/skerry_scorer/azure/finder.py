"""Modules that entry scripts import by others' names, for where those are not installed.

They come last: the finder stands behind all others of ``sys.meta_path``, so a real package always
wins, also where it has only some of the modules of a name.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = ""
"""What stands in for a package that only leads to others."""

MODULES: Mapping[str, str] = {
    "azureml": PACKAGE,
    "azureml.contrib": PACKAGE,
    "azureml.contrib.services": "skerry_scorer.azure.raw_http",
    "azureml.contrib.services.aml_request": "skerry_scorer.azure.raw_http",
    "azureml.contrib.services.aml_response": "skerry_scorer.azure.raw_http",
    "azureml.core": "skerry_scorer.azure.model_path",
    "azureml.core.model": "skerry_scorer.azure.model_path",
    "azureml.ai": PACKAGE,
    "azureml.ai.monitoring": "skerry_scorer.azure.collector_v2",
    "azureml.ai.monitoring.collector": "skerry_scorer.azure.collector_v2",
    "azureml.ai.monitoring.context": "skerry_scorer.azure.collector_context",
    "azureml.monitoring": "skerry_scorer.azure.collector_v1",
    "azureml.monitoring.modeldatacollector": "skerry_scorer.azure.collector_v1",
    "azureml_inference_server_http": PACKAGE,
    "azureml_inference_server_http.api": PACKAGE,
    "azureml_inference_server_http.api.aml_request": "skerry_scorer.azure.raw_http",
    "azureml_inference_server_http.api.aml_response": "skerry_scorer.azure.raw_http",
}
"""Name that scripts import, and the module of ours whose ``__all__`` it gives."""


class ShimFinder(MetaPathFinder, Loader):
    """Finds the modules of a table like ``MODULES`` where nobody else does."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> ModuleSpec | None:
        """Return the spec of a name of the table, None for any other."""
        if fullname not in self._modules:
            return None
        leads_on = any(name.startswith(f"{fullname}.") for name in self._modules)
        return ModuleSpec(fullname, self, origin="skerry_scorer", is_package=leads_on)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002 - the protocol's
        """Leave it to Python."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module with the names that it stands for."""
        ours = self._modules[module.__name__]
        if ours:
            source = importlib.import_module(ours)
            for name in source.__all__:
                setattr(module, name, getattr(source, name))


def install() -> None:
    """Let entry scripts import them, from now on."""
    if not any(isinstance(finder, ShimFinder) for finder in sys.meta_path):
        sys.meta_path.append(ShimFinder(MODULES))
