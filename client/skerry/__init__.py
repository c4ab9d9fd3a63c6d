"""The ``skerry`` command, the SDK, and what both are made of; the cloud is reached by HTTP only.

Read it in this order. ``answers`` and ``api`` are the cloud as seen from here, ``transport``
carries both. ``files`` and ``upload`` bring folders there. ``flash`` makes what goes to a device.
``commands`` has one file per noun; ``session`` and ``output`` are what they share. ``server`` and
``demo`` start other parts as processes, ``local`` scorer hosts; nothing here imports them.

The SDK is ``workspace``, ``model``, ``environment``, ``conda_dependencies`` and ``webservice``;
``inference`` and ``deploying`` join them. Its names can be imported from here as well.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skerry.conda_dependencies import CondaDependencies as CondaDependencies
    from skerry.environment import Environment as Environment
    from skerry.model import InferenceConfig as InferenceConfig
    from skerry.model import Model as Model
    from skerry.resource_configuration import ResourceConfiguration as ResourceConfiguration
    from skerry.webservice import EdgeModule as EdgeModule
    from skerry.webservice import LocalWebservice as LocalWebservice
    from skerry.webservice import Webservice as Webservice
    from skerry.workspace import Workspace as Workspace

_HOMES = {
    "CondaDependencies": "skerry.conda_dependencies",
    "EdgeModule": "skerry.webservice",
    "Environment": "skerry.environment",
    "InferenceConfig": "skerry.model",
    "LocalWebservice": "skerry.webservice",
    "Model": "skerry.model",
    "ResourceConfiguration": "skerry.resource_configuration",
    "Webservice": "skerry.webservice",
    "Workspace": "skerry.workspace",
}


def __getattr__(name: str) -> Any:
    """Import a name of the SDK when it is first asked for, so that the command stays quick.

    Classes of Azure ML's that are not here are stood in for, and say so as soon as they are used.
    """
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    return importlib.import_module("skerry.elsewhere").stand_in(name, __name__)
