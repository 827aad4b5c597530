"""
The values that the rooms exchange: what a site, a server, a service and an endpoint are.

Nothing here changes or decides; configuration makes these values and everybody else reads them.
"""

from appliance.model.askers import Asker, Proof
from appliance.model.balance import Behaviour, Instance, NatPool, Pair, Predictor, ProxyProtocol, Refusal, Reuse, Spill
from appliance.model.endpoints import (
    UDP_KEYS,
    Address,
    Endpoint,
    Keys,
    Transport,
    all_keys,
    joined,
    keys_of_runs,
    runs_of,
    shown,
)
from appliance.model.pools import Exhausted, Periods, Pool, Quota, Tiers
from appliance.model.services import Server, Service, Timeouts, keys_of
from appliance.model.sites import Site

__all__ = [
    "UDP_KEYS",
    "Address",
    "Asker",
    "Behaviour",
    "Endpoint",
    "Exhausted",
    "Instance",
    "Keys",
    "NatPool",
    "Pair",
    "Periods",
    "Pool",
    "Predictor",
    "Proof",
    "ProxyProtocol",
    "Quota",
    "Refusal",
    "Reuse",
    "Server",
    "Service",
    "Site",
    "Spill",
    "Tiers",
    "Timeouts",
    "Transport",
    "all_keys",
    "joined",
    "keys_of",
    "keys_of_runs",
    "runs_of",
    "shown",
]
