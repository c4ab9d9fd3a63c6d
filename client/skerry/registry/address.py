"""``REGISTRY/REPOSITORY[:TAG]``, and whether that registry speaks TLS."""

import ipaddress
import re
from dataclasses import dataclass

from skerry_contract.errors import NameInvalidError

_HOST = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_REPOSITORY = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_ADDRESS = re.compile(rf"(?P<host>{_HOST})/(?P<repository>{_REPOSITORY})(?::(?P<tag>{_TAG}))?")
_DOCKER_HUB = "docker.io"
_REMEDY = (
    "Use REGISTRY/REPOSITORY[:TAG], such as registry.example.org/team/scorer:3; images of Docker's "
    "own registry are docker.io/library/python:3.11 and the like."
)


@dataclass(frozen=True, slots=True)
class Address:
    """A tag in a repository of a registry.

    Attributes:
        host: Host name, with a port where it has one.
        repository: Path of the repository.
        tag: The tag.
    """

    host: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"

    @property
    def api_host(self) -> str:
        """Where the registry speaks; Docker's own is not where it is called."""
        return "registry-1.docker.io" if self.host == _DOCKER_HUB else self.host

    @property
    def login_name(self) -> str:
        """What ``docker login`` calls the registry in its configuration."""
        return "https://index.docker.io/v1/" if self.host == _DOCKER_HUB else self.host

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine."""
        return is_loopback(re.sub(r":[0-9]+$", "", self.host))


def is_loopback(name: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def parse_address(text: str, tag: str) -> Address:
    """Read an address.

    Args:
        text: What a person typed.
        tag: The tag where it names none.

    Raises:
        NameInvalidError: It is spelled otherwise, or names no registry.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or len(found["repository"]) > 255:
        raise NameInvalidError(f"{text!r:.200} is no address in a registry", remedy=_REMEDY)
    host = found["host"]
    if "." not in host and ":" not in host and host != "localhost":
        # Docker would take this for a user of its own registry; to guess would push elsewhere.
        raise NameInvalidError(f"{host!r} in {text!r:.200} is no registry", remedy=_REMEDY)
    repository = found["repository"]
    if host == _DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Address(host, repository, found["tag"] or tag)
