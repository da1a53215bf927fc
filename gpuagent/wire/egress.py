"""The egress that the environment describes: certificate authorities and proxies.

https://www.gnu.org/software/wget/manual/html_node/Proxies.html and curl's manual have the variables. httpx would read
them by itself; here they are read in one place, because what is paid must not go another way by accident.
"""

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from gpuagent.errors import ConfigError
from gpuagent.wire.loopback import is_loopback

CERT_FILE, CERT_DIR = "SSL_CERT_FILE", "SSL_CERT_DIR"
PROXIES = {"https": ("HTTPS_PROXY", "ALL_PROXY"), "http": ("HTTP_PROXY", "ALL_PROXY")}
"""The variables of each scheme, the first that is set counting; each also in lower case, which then comes first."""
NO_PROXY = "NO_PROXY"
VENDOR_TRUST_ENV = "VENDOR_TRUST_ENV"
PROXY_FORM = "write one like http://proxy.example:3128"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. variable: the one that names it. url: without user and password."""

    variable: str
    url: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Egress:
    """How connections are made. proxies: by the scheme of the request's URL. no_proxy: hosts that need none."""

    ssl_context: ssl.SSLContext
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()

    def proxy(self, url: str) -> Proxy | None:
        """The proxy on the way to the URL, None where there is none."""
        if not self.proxies:
            return None
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port or {"https": 443}.get(parts.scheme, 80)
        except ValueError:
            return None
        proxy = self.proxies.get(parts.scheme)
        if proxy is None or is_loopback(host) or any(_covers(entry, host, port) for entry in self.no_proxy):
            return None
        return proxy

    @property
    def secrets(self) -> tuple[str, ...]:
        """The users and passwords of the proxies."""
        return tuple(text for proxy in self.proxies.values() for text in (proxy.user, proxy.password) if text)


@cache
def direct() -> Egress:
    """No proxy, and the authorities that come with the program: nothing of the environment."""
    # Once: reading the certificates takes longer than most exchanges.
    return Egress(httpx.create_ssl_context(trust_env=False))


def egress(environ: Mapping[str, str]) -> Egress:
    """The way out that the environment describes. Raises ConfigError, which shows no value."""
    file, folders = (environ.get(name, "").strip() for name in (CERT_FILE, CERT_DIR))
    proxies = {scheme: proxy for scheme, names in PROXIES.items() if (proxy := _proxy(names, environ))}
    exceptions = (environ.get(NO_PROXY.lower()) or environ.get(NO_PROXY, "")).lower().split(",")
    no_proxy = tuple(entry.strip() for entry in exceptions if entry.strip())
    return Egress(_trusting(file, folders) if file or folders else direct().ssl_context, proxies, no_proxy)


def vendor_egress(environ: Mapping[str, str]) -> Egress:
    """The way out to vendors: direct(), unless the operator chooses the environment's. Raises ConfigError."""
    match environ.get(VENDOR_TRUST_ENV, "").strip():
        case "" | "0":
            return direct()
        case "1":
            return egress(environ)
    raise ConfigError(
        f"{VENDOR_TRUST_ENV} is neither 1 (vendors are reached by the environment's proxy and authorities) nor 0"
    )


@cache
def _trusting(file: str, folders: str) -> ssl.SSLContext:
    """A context that trusts only the authorities in the file and the folders."""
    for folder in folders.split(os.pathsep) if folders else ():
        if not any(path.suffix[1:].isdecimal() for path in _listed(folder)):
            raise ConfigError(f"a folder of {CERT_DIR} has no hashed certificates: `openssl rehash FOLDER` makes them")
    try:
        return ssl.create_default_context(cafile=file or None, capath=folders or None)
    except ssl.SSLError:
        raise ConfigError(f"the file that {CERT_FILE} names has no certificates: it is to be a PEM file") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
        raise ConfigError(f"the file that {CERT_FILE} names cannot be read: {reason}") from None


def _listed(folder: str) -> list[Path]:
    try:
        return list(Path(folder).iterdir())
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
        raise ConfigError(f"a folder of {CERT_DIR} cannot be read: {reason}") from None


def _proxy(names: tuple[str, ...], environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the first of these variables names."""
    for name in names:
        text = (environ.get(name.lower()) or environ.get(name, "")).strip()
        if text:
            return _parse_proxy(name, text)
    return None


def _parse_proxy(name: str, text: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{name} is no URL of a proxy: {PROXY_FORM}") from None
    if parts.scheme.startswith("socks"):
        raise ConfigError(f"{name} is a SOCKS proxy, which is not supported: {PROXY_FORM}")
    plain = text.isascii() and text.isprintable() and " " not in text
    if not (host and plain and port != 0) or parts.scheme not in ("http", "https") or parts.path.strip("/"):
        raise ConfigError(f"{name} is no URL of a proxy: {PROXY_FORM}")
    address = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{address}" + (f":{port}" if port else "")
    return Proxy(name, url, unquote(parts.username or ""), unquote(parts.password or ""))


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY is about the host: `*`, a domain and what is below it, an address, a network."""
    name, colon, digits = entry.rpartition(":")
    if colon and digits.isdecimal() and (":" not in name or name.startswith("[")):
        if int(digits) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        domain = entry.lstrip("*").lstrip(".").rstrip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
