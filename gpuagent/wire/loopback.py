"""This machine, as a host in a URL names it. Light: a serverless start imports it before any HTTP client."""

import ipaddress

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""The names of this machine."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine itself, which a proxy would look for where it runs."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK
