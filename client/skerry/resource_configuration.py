"""What a model needs of a machine, for those who choose one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ResourceConfiguration:
    """What running a model needs.

    Attributes:
        cpu: Cores, such as 0.5.
        memory_in_gb: Memory in GB.
        gpu: Graphics processors.
    """

    cpu: float | None = None
    memory_in_gb: float | None = None
    gpu: int | None = None
