"""Configurations in which all that the balancing knows may occur."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from hypothesis import strategies as st

from appliance.model import Behaviour, Predictor, Server, Service, Site, Spill
from tests.balancing.driver import HTTP, PROBES, UDP, client, instance, server, site

SITES = ["one.example.test", "two.example.test"]
HTTPS = Service(first_port=443, last_port=443, to=443)
NAMES = "abcdef"


KINDS: list[dict[str, Any]] = [
    {},
    {"max_connections": 1, "queue": 3, "retries": 1},
    {"max_connections": 2, "queue": 1, "threshold": 1, "backup": "a"},
    {"max_connections": 3, "queue": 1, "threshold": 2, "retries": 1, "slow_start": 30.0, "retry_after": 5.0},
    {"weight": 3, "threshold": 1, "retries": 1, "retry_after": 5.0, "backup": "b"},
    {"weight": 0, "backup": "c"},
    {"weight": 3, "max_connections": 1, "queue": 2, "threshold": 2, "retries": 2, "distinct_clients": True},
    {"max_connections": 2, "queue": 2, "threshold": 1, "retries": 1, "retry_after": 20.0, "backup": "d"},
]
"""What a server may be; as its backup none is itself."""


@st.composite
def pools(draw: st.DrawFn) -> tuple[Server, ...]:
    """A server of each name."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=len(NAMES), max_size=len(NAMES)))
    made = []
    for name, kind in zip(NAMES, kinds, strict=True):
        values = {"threshold": 2, "retries": 2, "retry_after": 10.0, **kind}
        values["probes"] = draw(st.sampled_from([PROBES, PROBES, PROBES, ()]))
        made.append(server(name, **(values | {"backup": None} if values.get("backup") == name else values)))
    return tuple(made)


@st.composite
def configurations(draw: st.DrawFn) -> list[Site]:
    """Two sites that share servers; seldom one of them alone."""
    known = {each.name: each for each in draw(pools())}

    def some() -> tuple[Server, ...]:
        return tuple(known[name] for name in sorted(draw(st.sets(st.sampled_from(NAMES), min_size=1, max_size=3))))

    def predictor() -> Predictor:
        chosen: Predictor = draw(st.sampled_from(Predictor))
        return chosen

    preferred = instance(
        servers=some(),
        clients=(IPv4Network((client(256), 24)),),
        services=draw(st.sampled_from([(), (HTTP,)])),
        predictor=predictor(),
        spill=draw(st.sampled_from(Spill)),
        lend=draw(st.booleans()),
        backup=draw(st.sampled_from([None, SITES[1]])),
        in_service=draw(st.sampled_from([True, True, False])),
    )
    unwelcome = instance(2, answer=b"no", behaviour=Behaviour(connections=30, window=100.0, hold=50.0))
    first = site(
        SITES[0],
        services=(HTTP, HTTPS, UDP),
        servers=some(),
        predictor=predictor(),
        instances=draw(st.sampled_from([(preferred,), (preferred, unwelcome), ()])),
        sticky=draw(st.sampled_from([0.0, 0.0, 20.0])),
        buddies=draw(st.sampled_from([(), (frozenset({80, 443}),), (frozenset({80, 443}),)])),
        backup=draw(st.sampled_from([None, SITES[1]])),
        max_per_client=draw(st.sampled_from([0, 0, 4])),
    )
    second = site(SITES[1], services=(HTTP,), servers=some(), predictor=predictor(), backup=SITES[0])
    alone = draw(st.integers(0, 11))
    return [first] if alone == 11 else [second] if alone == 10 else [first, second]
