"""Where a query came from, as an address."""

from __future__ import annotations

import functools
from ipaddress import IPv4Address, IPv6Address, ip_address

Source = IPv4Address | IPv6Address


@functools.lru_cache(maxsize=4096)
def source_of(host: str) -> Source:
    """
    :param host: a literal address as a socket gives it, perhaps with ``%scope``.
    :return: the address without its scope; IPv4 where a socket of both families says ``::ffff:192.0.2.1``, since
        cookies and quotas must not tell the two apart.  Kept, as few resolvers ask most questions.
    """
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
