"""Why a customer's name is answered as it is: every number behind the choice, and what the ledgers make of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from ipaddress import ip_network

from appliance.control.delivered import kind_of
from appliance.control.words import WHYS, Row
from appliance.delivery import Choice, Reason
from appliance.delivery.values import SHORTEST
from appliance.model import Asker
from appliance.naming import to_text
from appliance.naming.completing import EXHAUSTED_TTL
from appliance.shared import SharedState
from appliance.shared.checking import pop_subject, server_subject
from appliance.shared.guarding import prefix
from appliance.shared.room import Foretold
from appliance.views import check_row, ledger_row, rule_words, span
from appliance.views.network import figure, instant

Wall = Callable[[float], float]


def explain_choice(state: SharedState, unix: Wall, owner: bytes, family: int, asker: Asker) -> Row:
    """
    :param owner: the customer's name; ``family``: 4 for A, 6 for AAAA.
    :param asker: as if they asked; nothing is promised to them.
    """
    delivering = state.network.delivering
    found = delivering.explain(owner, family, asker)
    now = state.now()
    said: Row = {"from": "choice", "owner": to_text(owner), "family": family, "now": unix(now)}
    if found is None:
        return {**said, "customer": None}
    delivery, static, told, _ = found
    foretold = delivering.foretell(owner, family, asker, told.choice)
    assert foretold is not None
    client = prefix(asker)
    why = "over capacity" if foretold.over else told.choice.why.value
    return {
        **said,
        "customer": delivery.name,
        "kind": kind_of(delivery, to_text(owner)),
        "rule": rule_words(delivery.rule, static=static),
        "answer": [str(each.address) for each in foretold.named],
        "why": why,
        "because": "no ledger has room for this asker" if foretold.over else WHYS[told.choice.why.value],
        "ttl": foretold.ttl,
        "ttl_why": ttl_why(foretold, now),
        "customer_ttl": told.choice.ttl,
        "health_until": instant(told.choice.ttl_until, unix),
        "client": str(ip_network(client, strict=False)) if static and client is not None else None,
        "weight": figure(foretold.weight) if foretold.verdicts else None,
        "session": figure(state.network.guard.seconds_of_a_session) if foretold.verdicts else None,
        "candidates": [
            _candidate(state, unix, reason, told.choice, foretold, static=static) for reason in told.reasons
        ],
        "terms": [
            {key: figure(value) if isinstance(value, float) else value for key, value in row.items()}
            for reason in told.reasons
            for row in reason.as_rows()
        ],
    }


def ttl_why(foretold: Foretold, now: float) -> str:
    """What bounds the TTL, in words."""
    choice = foretold.choice
    if foretold.ttl < foretold.longest:
        return "shorter than others get it: who asks brings much of what a POP can take"
    left = choice.ttl_until - now - foretold.ahead
    if not choice.candidates:
        return f"that of no data: the zone's SOA says, and it is {EXHAUSTED_TTL} s at most"
    if choice.ttl <= left:
        return "the customer's"
    if left < SHORTEST:
        return "the least there is: the next result of a check could change somebody's state"
    before = f"{span(foretold.ahead)} before " if foretold.ahead else ""
    return f"until {before}the earliest instant at which somebody's state could change"


def _candidate(
    state: SharedState, unix: Wall, reason: Reason, choice: Choice, foretold: Foretold, *, static: bool
) -> Row:
    network = state.network
    subject = pop_subject(reason.name) if static else server_subject(reason.name)
    health = network.pops.health(reason.name) if static else network.checking.server(reason.name)
    verdict = foretold.verdicts.get(reason.name)
    carried = None if static else state.carrying.at(reason.name)
    return {
        "candidate": reason.name,
        "address": reason.address,
        "standing": reason.standing.name.lower(),
        "answered": any(each.name == reason.name for each in foretold.named),
        "place": reason.place,
        "cost": figure(reason.cost),
        "within": reason.within,
        "member": reason.member,
        "dwell_until": instant(reason.dwell_until, unix),
        "share": figure(reason.share),
        "hash_rank": reason.hash_rank[0] if reason.hash_rank is not None else None,
        "hash_score": _score(reason),
        "until": instant(reason.until, unix),
        "forced": health.forced.value if health.forced is not None else None,
        "measured": "unknown" if health.measured is None else "up" if health.measured else "down",
        "reason": health.reason or None,
        "takes": carried.takes if carried is not None else None,
        "connections": carried.live if carried is not None else None,
        "verdict": verdict.value if verdict is not None else None,
        "ledger": ledger_row(network.guard.standing(reason.name, state.now())) if static else None,
        "checks": [check_row(each, unix) for each in network.checking.checks(subject)],
    }


def _score(reason: Reason) -> float | None:
    if reason.hash_rank is None or not math.isfinite(reason.hash_rank[1]):
        return None
    return figure(reason.hash_rank[1])
