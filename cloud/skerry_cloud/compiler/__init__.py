"""Turn models, a scorer and an environment into an OCI image, without Docker and without root.

Read it in this order. ``request`` says what goes in and what comes out. ``compile`` is the whole
story in one function. ``base``, ``environment`` and ``content`` make layers, ``given_base`` takes
an image that was made elsewhere as the base; ``layers`` writes them so that the same content always
has the same digest, and remembers what was written.
``entry_script`` looks at ``score.py`` without running it, ``trial`` runs it in the finished image.

Nothing of the target platform is ever executed, save for the trial where the platform is that of
this machine.
"""

from skerry_cloud.compiler.compile import compile_module
from skerry_cloud.compiler.request import (
    BaseImage,
    BuildRequest,
    FileEntry,
    Image,
    Layer,
    ModelFiles,
)

__all__ = [
    "BaseImage",
    "BuildRequest",
    "FileEntry",
    "Image",
    "Layer",
    "ModelFiles",
    "compile_module",
]
