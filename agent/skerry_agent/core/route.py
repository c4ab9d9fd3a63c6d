"""Which way a request takes: through which proxy, and where a redirect may lead; no I/O."""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from skerry_contract.errors import ContractError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Url:
    """An ``http`` or ``https`` URL, taken apart.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or address, in lower case, without brackets.
        port: TCP port.
        path: Path and query, with a slash in front.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"

    @property
    def netloc(self) -> str:
        """Host and port, as the ``Host`` field has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: to whom a secret may be told (RFC 6454)."""
        return f"{self.scheme}://{self.netloc}"

    def __str__(self) -> str:
        return self.origin + self.path


def parse_url(text: str, *, subject: str) -> Url:
    """Take a URL apart; a user in it is left out.

    Raises:
        ContractError: It is no ``http`` or ``https`` URL.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ContractError(f"{text!r:.200}: {error}", subject=subject) from error
    if parts.scheme not in _PORTS or not parts.hostname or not text.isascii():
        raise ContractError(f"expected an http or https URL, got {text!r:.200}", subject=subject)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(letter <= " " or letter == "\x7f" for letter in path + parts.hostname):
        raise ContractError(f"{text!r:.200} holds a blank", subject=subject)
    return Url(parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme], path)


def redirected(url: Url, location: str, *, subject: str) -> Url:
    """Return where a redirect leads.

    Raises:
        ContractError: It leads nowhere, or from TLS into the clear.
    """
    if not location:
        raise ContractError("redirects, and does not say where to", subject=subject)
    target = parse_url(urljoin(str(url), location), subject=subject)
    if url.scheme == "https" and target.scheme == "http":
        raise ContractError(f"redirects from https to {target.origin}", subject=subject)
    return target


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: Name or address.
        port: TCP port.
        authorization: Value of ``Proxy-Authorization``, or empty.
    """

    host: str
    port: int
    authorization: str = ""


NONE = "none"
"""A setting: no proxy, whatever the environment says."""


def proxy_for(url: Url, setting: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that a request goes through, or None for straight on.

    Args:
        url: Where it goes.
        setting: ``none``, a proxy's URL, or empty for what the environment says.
        environment: Variables; ``HTTP_PROXY`` and ``HTTPS_PROXY`` by scheme, ``ALL_PROXY`` for
            both, ``NO_PROXY`` for exceptions, the lower case of each before the upper.

    Raises:
        ContractError: The proxy is not an ``http`` URL.
    """
    if setting == NONE:
        return None
    exceptions = "" if setting else _variable("no_proxy", environment)
    text = setting or _variable(f"{url.scheme}_proxy", environment)
    text = text or _variable("all_proxy", environment)
    if not text or _excepted(url, exceptions):
        return None
    text = text if "://" in text else f"http://{text}"
    found = parse_url(text, subject="proxy")
    if found.scheme != "http":
        raise ContractError("only proxies that are spoken to by http are known", subject="proxy")
    return Proxy(found.host, found.port, _authorization(text))


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _authorization(text: str) -> str:
    parts = urlsplit(text)
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _excepted(url: Url, exceptions: str) -> bool:
    """Return whether a host is named in ``NO_PROXY``: itself, its domain, or its network."""
    for word in exceptions.lower().split(","):
        name, _, port = word.strip().rpartition(":") if word.count(":") == 1 else (word, "", "")
        name = (name or word).strip()
        if port and port.isdecimal() and int(port) != url.port:
            continue
        if name == "*" or _is_in(url.host, name):
            return True
    return False


def _is_in(host: str, name: str) -> bool:
    name = name.strip("[]")
    if not name:
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        name = name.removeprefix("*").lstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
