"""
The values that the rooms exchange: what a site, a server, a service and an endpoint are.

Nothing here changes or decides; configuration makes these values and everybody else reads them.
"""

from appliance.model.askers import Asker, Proof
from appliance.model.endpoints import UDP_KEYS, Address, Endpoint, Keys, Transport, all_keys, joined
from appliance.model.pools import Exhausted, Periods, Pool, Quota, Tiers
from appliance.model.sites import Server, Service, Site, Timeouts, keys_of

__all__ = [
    "UDP_KEYS",
    "Address",
    "Asker",
    "Endpoint",
    "Exhausted",
    "Keys",
    "Periods",
    "Pool",
    "Proof",
    "Quota",
    "Server",
    "Service",
    "Site",
    "Tiers",
    "Timeouts",
    "Transport",
    "all_keys",
    "joined",
    "keys_of",
]
