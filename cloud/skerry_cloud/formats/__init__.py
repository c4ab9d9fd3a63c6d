"""What the files of a model are, told from their bytes, without loading or executing anything.

``examine`` looks at all files of one model. Everything below it reads bounded pieces of files
that may be hostile, so it trusts no length, no nesting and no name.
"""

from skerry_cloud.formats.examine import Examined, examine
from skerry_cloud.formats.finding import Finding, Tensor

__all__ = ["Examined", "Finding", "Tensor", "examine"]
