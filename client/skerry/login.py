"""Which server to talk to, and with which token: one small JSON file that only its owner reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from skerry.durable import write_file
from skerry_contract import shape
from skerry_contract.errors import ContractError, UnauthorizedError
from skerry_contract.shape import Text

MAX_LOGIN_BYTES = 256 * 1024
"""A login with a chain of certificates is far smaller."""

_PEM = "-----BEGIN"


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach a server.

    Attributes:
        url: Where its API is, without a slash at the end.
        token: What proves that we may; printable ASCII.
        ca: Certificates to believe, as PEM text or as the path of a file; empty for the system's.
    """

    url: Annotated[str, Text(r"https?://[^\s/]+(/[^\s]*)?", 2048, "an http:// or https:// address")]
    token: Annotated[str, Text(r"[!-~]{1,1024}", 1024, "a token without spaces")]
    ca: Annotated[str, Text(max_length=200_000)] = ""


def default_path(env: Mapping[str, str]) -> Path:
    """Return where the login lies unless told otherwise: ``$XDG_CONFIG_HOME/skerry/login.json``."""
    config = env.get("XDG_CONFIG_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(config) if Path(config).is_absolute() else Path.home() / ".config"
    return base / "skerry" / "login.json"


def read(path: Path) -> Login:
    """Return the login in ``path``, its certificates as text.

    Raises:
        UnauthorizedError: There is none, or it cannot be read.
        ContractError: It is no login.
    """
    remedy = "Start a server with 'skerry up', or run 'skerry login URL --token TOKEN'."
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UnauthorizedError(f"there is no login at {path}", remedy=remedy) from None
    except OSError as error:
        reason = f"the login {path} cannot be read: {error.strerror}"
        raise UnauthorizedError(reason, remedy=remedy) from error
    found = shape.parse(Login, data, max_bytes=MAX_LOGIN_BYTES, subject=f"login {path}")
    return Login(found.url.rstrip("/"), found.token, _certificates(found.ca, path))


def check(login: Login) -> None:
    """Raise ContractError if this is no login, such as an address without ``http://``."""
    shape.read(Login, shape.write(login), subject="login")


def write(path: Path, login: Login) -> None:
    """Store ``login``, readable by its owner only.

    Raises:
        ContractError: It is no login.
        OSError: The disk said no.
    """
    check(login)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, shape.dump(login) + b"\n", mode=0o600)


def belongs_elsewhere(path: Path, login: Login) -> bool:
    """Tell whether ``path`` holds the login of another server, which must not be lost silently."""
    if not path.exists():
        return False
    try:
        return read(path).url != login.url.rstrip("/")
    except (ContractError, UnauthorizedError):
        # What cannot be read cannot be judged: leave it to its owner.
        return True


def in_the_clear(url: str) -> bool:
    """Tell whether a token sent to ``url`` could be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def _certificates(ca: str, login_file: Path) -> str:
    if not ca or ca.lstrip().startswith(_PEM):
        return ca
    path = Path(ca).expanduser()
    path = path if path.is_absolute() else login_file.parent / path
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UnauthorizedError(f"login {login_file}: no certificates in {path}") from error
