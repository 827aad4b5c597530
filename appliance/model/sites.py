"""Names that lease, and what stands behind them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address

import attrs

from appliance.model.balance import Instance, Predictor, ProxyProtocol
from appliance.model.endpoints import Address, Keys
from appliance.model.services import Server, Service, Timeouts, keys_of


@attrs.frozen(kw_only=True)
class Site:
    """
    A name that leases an address.

    :param name: the name, lower case, without the last dot; it is also the site's identity in every table.
    :param pool: name of the pool that it leases from; empty for a site with an ``address`` of its own.
    :param servers: at least one; the first that has no address yet is the next to get one (1.5).
    :param addresses: most addresses at once, at most one a server.
    :param address: static: the site has this address always and leases none.
    :param aliases: other names that are answered with the same lease.
    :param ipv6: what AAAA is answered with; never leased.
    :param max_sessions: most UDP sessions at once on all its leased ports together.
    :param predictor: of the instance with bind id 0, whose servers ``servers`` are; ``backup`` likewise: another site.
    :param instances: what certain clients get instead; bind ids are 1 and up.
    :param sticky: seconds for which a client is sent where its last connection was, after that ended; 0: it is not.
    :param buddies: sets of ports that belong together: a client's later connection goes where its first is (5.12).
    :param client_nat: name of the pool that connections to servers get their source from; None: the host's own address.
    :param accept_proxy_from: front ends whose PROXY header says who the client is.
    :param max_per_client: connections from one client address; 0: no limit.
    :ivar keys: what it takes on an address; made of ``services``.
    """

    name: str
    pool: str
    services: tuple[Service, ...]
    servers: tuple[Server, ...]
    addresses: int = 1
    address: Address | None = None
    aliases: tuple[str, ...] = ()
    ipv6: tuple[IPv6Address, ...] = ()
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    max_sessions: int = 65536
    predictor: Predictor = Predictor.LEAST_CONNECTIONS
    instances: tuple[Instance, ...] = ()
    sticky: float = 0.0
    buddies: tuple[frozenset[int], ...] = ()
    backup: str | None = None
    client_nat: str | None = None
    proxy_protocol: ProxyProtocol = ProxyProtocol.NONE
    accept_proxy_from: tuple[IPv4Network, ...] = ()
    max_per_client: int = 0
    keys: Keys = attrs.field(init=False, eq=False, repr=False)

    @keys.default
    def _keys(self) -> Keys:
        return keys_of(self.services)
