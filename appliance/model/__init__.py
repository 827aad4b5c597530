"""
The values that the rooms exchange: what a site, a server, a service and an endpoint are.

Nothing here changes or decides; configuration makes these values and everybody else reads them.
"""

from appliance.model.askers import Asker, Proof
from appliance.model.balance import Behaviour, Instance, NatPool, Pair, Predictor, ProxyProtocol, Refusal, Reuse, Spill
from appliance.model.delivery import AllDown, Choices, Delivery, OriginBy, Pop, PopWeights, Rule, Url
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
from appliance.model.health import Cause, Check, Forced, Health, Layer, Load, Probe, ProbeType, Result, Row, Rows
from appliance.model.market import Capacity, Market, Unit
from appliance.model.pools import Exhausted, Periods, Pool, Quota, Tiers
from appliance.model.services import Server, Service, Timeouts, keys_of
from appliance.model.sites import Site

__all__ = [
    "UDP_KEYS",
    "Address",
    "AllDown",
    "Asker",
    "Behaviour",
    "Capacity",
    "Cause",
    "Check",
    "Choices",
    "Delivery",
    "Endpoint",
    "Exhausted",
    "Forced",
    "Health",
    "Instance",
    "Keys",
    "Layer",
    "Load",
    "Market",
    "NatPool",
    "OriginBy",
    "Pair",
    "Periods",
    "Pool",
    "Pop",
    "PopWeights",
    "Predictor",
    "Probe",
    "ProbeType",
    "Proof",
    "ProxyProtocol",
    "Quota",
    "Refusal",
    "Result",
    "Reuse",
    "Row",
    "Rows",
    "Rule",
    "Server",
    "Service",
    "Site",
    "Spill",
    "Tiers",
    "Timeouts",
    "Transport",
    "Unit",
    "Url",
    "all_keys",
    "joined",
    "keys_of",
    "keys_of_runs",
    "runs_of",
    "shown",
]
