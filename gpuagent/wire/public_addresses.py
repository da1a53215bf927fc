"""Whether an address is on the public internet, and not on this machine or network."""

import ipaddress

NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is public, whatever form it takes: one within another counts as the inner one."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def is_public_host(host: str) -> bool:
    """Whether the host of a URL may be public: a name may be, an address is or is not. Its addresses are checked too.

    Digits alone, as in http://2130706433, are an address in a form that only some programs read.
    """
    name = host.rstrip(".").casefold()
    if ":" in name or name.replace(".", "").isdigit() or name.startswith("0x"):
        return is_public(name)
    return "." in name and not name.endswith((".localhost", ".local", ".internal", ".home.arpa"))
