"""Look for what is wrong between a device and its broker, its cloud and its registries."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from skerry_agent.home import Home
from skerry_agent.telling.finding import Finding

TIMEOUT_S = 5.0
SKEW_S = 60.0
"""Seconds by which the clocks of device and cloud may differ before it is worth a word."""
EXPIRES_S = 14 * 24 * 3600.0
"""Seconds before its end at which a certificate is worth a word."""
_NETWORK_FIX = "See whether it runs, and whether a firewall, a proxy or the route is in the way."


def check_network(home: Home) -> Iterator[Finding]:
    """Yield a finding for each thing between the device and its cloud; each takes seconds."""
    broker, cloud = home.config.broker, urlsplit(home.config.cloud.url)
    hosts = dict.fromkeys((broker.host, cloud.hostname or ""))
    unknown = set()
    for host in hosts:
        finding = _dns(host)
        unknown |= {host} if finding.level == "error" else set()
        yield finding
    if broker.host not in unknown:
        yield from _broker(home)
    if cloud.hostname not in unknown:
        yield from _cloud(home)
    for source in home.config.download.sources:
        yield _registry(source.url, f"{source.url}/v2/", home, {})


def _dns(host: str) -> Finding:
    """Look a name up, in a thread: the system's resolver has no deadline of its own."""
    found: list[str] = []
    errors: list[OSError] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    if found:
        return Finding("dns", "ok", f"{host} is {', '.join(found[:3])}")
    why = str(errors[0]) if errors else f"no answer within {TIMEOUT_S:.0f} s"
    fix = f"See /etc/resolv.conf, and whether the name server knows {host}."
    return Finding("dns", "error", f"{host}: {why}", fix)


def _broker(home: Home) -> Iterator[Finding]:
    broker = home.config.broker
    where = f"{broker.host}:{broker.port}"
    try:
        with socket.create_connection((broker.host, broker.port), timeout=TIMEOUT_S) as plain:
            if not broker.tls:
                yield Finding("broker", "ok", where)
                return
            context = ssl.create_default_context(cafile=home.ca)
            with context.wrap_socket(plain, server_hostname=broker.host) as secure:
                yield Finding("broker", "ok", f"{where}, {secure.version()}")
                yield _certificate(f"broker {where}", secure)
    except ssl.SSLError as error:
        yield _refused_certificate("broker", where, error)
    except OSError as error:
        yield Finding("broker", "error", f"{where}: {error}", _NETWORK_FIX)


def _cloud(home: Home) -> Iterator[Finding]:
    config = home.config
    path = f"{config.cloud.url}/v1/devices/{config.device}/desired"
    headers = {"Authorization": f"Bearer {home.token}"}
    try:
        status, date, certificate = _get(path, home, headers)
    except ssl.SSLError as error:
        yield _refused_certificate("cloud", config.cloud.url, error)
        return
    except (OSError, http.client.HTTPException) as error:
        yield Finding("cloud", "error", f"{config.cloud.url}: {error}", _NETWORK_FIX)
        return
    if status in (401, 403):
        fix = "The token was replaced or the device removed: flash it again."
        yield Finding("cloud", "error", f"{config.cloud.url}: status {status}", fix)
    elif status not in (200, 404):
        text = f"{config.cloud.url}: status {status}"
        yield Finding("cloud", "error", text, "See the server's log.")
    else:
        more = "" if status == 200 else ": nothing desired yet"
        yield Finding("cloud", "ok", f"{config.cloud.url}{more}")
    if certificate is not None:
        yield certificate
    yield from _skew(date)
    yield _registry("the cloud", f"{config.cloud.url}/v2/", home, headers)


def _registry(name: str, url: str, home: Home, headers: dict[str, str]) -> Finding:
    """Ask whether somebody speaks the distribution protocol there; passwords are not tried."""
    try:
        status, _, _ = _get(url, home, headers)
    except (OSError, http.client.HTTPException) as error:
        return Finding("registry", "error", f"{name}: {error}", _NETWORK_FIX)
    if status in (200, 401):
        return Finding("registry", "ok", f"{name}: answers")
    fix = "See download.sources in device.json: the address is to be without /v2."
    return Finding("registry", "error", f"{name}: status {status}", fix)


def _get(url: str, home: Home, headers: dict[str, str]) -> tuple[int, str, Finding | None]:
    """Return status, date, and what there is to say of the certificate."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=home.ca)
        connection = http.client.HTTPSConnection(
            host, parts.port, timeout=TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/", headers=headers)
        secure = connection.sock
        certificate = _certificate(f"{host}", secure) if isinstance(secure, ssl.SSLSocket) else None
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Date", ""), certificate
    finally:
        connection.close()


def _certificate(whose: str, secure: ssl.SSLSocket) -> Finding:
    until = str((secure.getpeercert() or {}).get("notAfter", ""))
    left_s = ssl.cert_time_to_seconds(until) - time.time() if until else 0.0
    text = f"{whose}: good until {until}"
    if left_s < EXPIRES_S:
        fix = "Renew the server's certificate; devices believe its CA as long as that stays."
        return Finding("certificate", "warning", text, fix)
    return Finding("certificate", "ok", text)


def _refused_certificate(name: str, where: str, error: ssl.SSLError) -> Finding:
    fix = "Flash again if the server's CA was replaced; see the clock if it 'is not yet valid'."
    return Finding(name, "error", f"{where}: {error}", fix)


def _skew(date: str) -> Iterator[Finding]:
    try:
        off_s = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return
    text = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the cloud"
    if abs(off_s) > SKEW_S:
        fix = "Let an NTP client set it: deadlines and certificates are judged by it."
        yield Finding("clock", "error", text, fix)
    else:
        yield Finding("clock", "ok", text)
