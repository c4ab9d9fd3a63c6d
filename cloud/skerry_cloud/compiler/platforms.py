"""The platforms that modules can be compiled for, and how each tool calls them."""

import platform as machine
from dataclasses import dataclass

from skerry_contract.errors import EnvironmentFileError


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform.

    Attributes:
        name: ``os/architecture``, or with ``/variant``, as OCI writes it.
        debian: Debian's name of the architecture.
        triplet: Name of its library folders.
        loader: Its dynamic loader, below the root.
        uv: Name of the platform for uv: the C library of the base is the limit; "" where uv
            knows none.
        machines: What ``uname -m`` says on it; the first is also what wheels call it.
        elf_machine: What the header of its programs says (``e_machine`` of elf(5)).
        emulator: The program of Debian's ``qemu-user-static`` that runs it elsewhere.
        python_packages: Debian's Python packages that its base brings, with their name on the
            package index, for want of wheels.
    """

    name: str
    debian: str
    triplet: str
    loader: str
    uv: str
    machines: tuple[str, ...]
    elf_machine: int
    emulator: str
    python_packages: tuple[tuple[str, str], ...] = ()

    @property
    def architecture(self) -> str:
        """The second part of the name."""
        return self.name.split("/")[1]

    @property
    def variant(self) -> str:
        """The third part of the name; "" where it has none."""
        return "".join(self.name.split("/")[2:])

    @property
    def is_here(self) -> bool:
        """Whether this machine can run it."""
        return machine.system() == "Linux" and machine.machine() in self.machines


PLATFORMS = (
    Platform(
        name="linux/amd64",
        debian="amd64",
        triplet="x86_64-linux-gnu",
        loader="usr/lib64/ld-linux-x86-64.so.2",
        uv="x86_64-manylinux_2_36",
        machines=("x86_64", "amd64"),
        elf_machine=62,
        emulator="qemu-x86_64-static",
    ),
    Platform(
        name="linux/arm64",
        debian="arm64",
        triplet="aarch64-linux-gnu",
        loader="usr/lib/ld-linux-aarch64.so.1",
        uv="aarch64-manylinux_2_36",
        machines=("aarch64", "arm64"),
        elf_machine=183,
        emulator="qemu-aarch64-static",
    ),
    Platform(
        name="linux/arm/v7",
        debian="armhf",
        triplet="arm-linux-gnueabihf",
        loader="usr/lib/ld-linux-armhf.so.3",
        uv="",
        machines=("armv7l",),
        elf_machine=40,
        emulator="qemu-arm-static",
        python_packages=(("python3-numpy", "numpy"),),
    ),
)


def find_platform(name: str) -> Platform:
    """Return the platform called ``name``.

    Raises:
        EnvironmentFileError: Modules cannot be compiled for it.
    """
    for platform in PLATFORMS:
        if platform.name == name:
            return platform
    known = ", ".join(platform.name for platform in PLATFORMS)
    raise EnvironmentFileError(f"no module can be compiled for {name!r:.60}; only for {known}")
