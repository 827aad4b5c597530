"""Tests of the configuration's room; each case is a text that a user may write and what is said of it."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from appliance.config import (
    Config,
    clientnat,
    delivery,
    instances,
    limits,
    loads,
    market,
    pools,
    pops,
    probes,
    schema,
    servers,
    services,
    sites,
    transfers,
)
from appliance.config.shapes import Shape
from appliance.errors import ConfigError

FUZZ = settings(
    deadline=None,
    derandomize=True,
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

ZONE = """\
dns:
  zones:
    example.test:
      records: |
        @ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 60
        @ 3600 NS ns1
        ns1 3600 A 127.0.0.1
"""
"""The section ``dns`` in seven lines, so that what follows it begins in line 8."""


def read(text: str, folder: str = "/nowhere") -> Config:
    """A configuration that must be good."""
    return loads(text, file="a.yaml", folder=folder)


def faults(text: str, folder: str = "/nowhere") -> list[str]:
    """What is said of a text; ``[]`` where it is good."""
    try:
        read(text, folder)
    except ConfigError as error:
        return [str(fault) for fault in error.faults]
    return []


def warnings(text: str) -> list[str]:
    return [str(warning) for warning in read(text).warnings]


def all_shapes() -> list[Shape]:
    """Of every section."""
    modules = (
        schema,
        clientnat,
        delivery,
        instances,
        limits,
        market,
        pools,
        pops,
        probes,
        servers,
        services,
        sites,
        transfers,
    )
    return [value for module in modules for value in vars(module).values() if isinstance(value, Shape)]
