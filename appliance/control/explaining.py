"""Why a name is answered as it is: the tables read from the question to the number, and nothing changed by it."""

from __future__ import annotations

from collections.abc import Callable

import dns.exception
import dns.rcode
import dns.rdatatype

from appliance.control.choices import explain_choice
from appliance.control.words import SOMEBODY, Row, asker_of
from appliance.errors import RequestError
from appliance.leasing import LeaseTable, Verdict
from appliance.model import Asker, Site
from appliance.naming import Answer, NeedsChoice, Question, answer, from_text, to_text
from appliance.shared import SharedState, maximum_ttl, servers_of
from appliance.shared.checking import server_subject
from appliance.views import lease_row, measured_row, ports_of

Wall = Callable[[float], float]


def explain(state: SharedState, unix: Wall, name: str, rdtype: str = "A", client: str = "") -> Row:
    """
    What would be answered now, and every number behind it.

    :param unix: from the process's clock to Unix time.
    :param client: as if that address asked, by a datagram without a cookie; else somebody unknown does.
    :raises RequestError: that is no name, no type or no address.
    """
    try:
        question = Question(from_text(name), dns.rdatatype.from_text(rdtype))
    except (dns.exception.DNSException, ValueError) as error:
        raise RequestError("invalid", f"{name} {rdtype} is no question: {error}", field="name") from None
    found = answer(state.zones, question)
    said: Row = {"name": to_text(question.qname), "type": rdtype.upper()}
    if isinstance(found, Answer):
        records = [
            f"{to_text(rrset.owner)} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
            for rrset in (*found.answer, *found.authority)
            for rdata in rrset.rdatas
        ]
        reason = found.error.text if found.error is not None else None
        rcode = dns.rcode.to_text(found.rcode)
        return {**said, "from": "zone", "rcode": rcode, "reason": reason, "records": records}
    if isinstance(found, NeedsChoice):
        asker = asker_of(client) if client else SOMEBODY
        return {**said, **explain_choice(state, unix, found.owner, found.family, asker)}
    site = state.sites[found.site]
    said |= {"from": "lease", "site": site.name, "pool": site.pool or None, "keys": ports_of(site.keys)}
    said |= {"now": unix(state.now()), "probed": _probed(state, unix, site)}
    pin = state.pins.of(site.name)
    if pin is not None and (pin.is_answered() or pin.static):
        outcome = "pinned" if pin.is_answered() else "refused"
        ttl = maximum_ttl(state.pools, site)
        return {**said, "outcome": outcome, "address": str(pin.address), "ttl": ttl}
    asker = asker_of(client) if client else SOMEBODY
    return {**said, **_explain_lease(state, unix, site, state.tables()[site.pool], asker)}


def _probed(state: SharedState, unix: Wall, site: Site) -> list[Row]:
    """What checks say of its servers, and of those of its instances, as far as they have any."""
    checking = state.network.checking
    names = dict.fromkeys(server.name for server in servers_of(site) if checking.is_checked(server.name))
    return [
        {
            "server": name,
            **measured_row(checking.server(name), checking.checks(server_subject(name)), unix),
        }
        for name in names
    ]


def _explain_lease(state: SharedState, unix: Wall, site: Site, table: LeaseTable, asker: Asker) -> Row:
    now = state.now()
    told = table.explain(site.name, now)
    span, lease = told.span, told.lease
    counts = table.counts(now)
    periods = table.pool.periods
    numbers = {
        "base": span.base,
        "demand": round(span.demand, 3),
        "pressure": round(span.pressure, 3),
        "limit": span.limit or None,
        "minimum": periods.minimum,
        "maximum": periods.maximum,
        "free": counts.free,
        "addresses": counts.all,
        "adequate": table.pool.adequate,
        "used": round(table.used_fraction(), 3),
        "waiting": counts.waiting,
    }
    rows = [
        {
            **lease_row(site.pool, each, state.connections.count(each.address, each.site), unix),
            "requests": round(each.recent_requests(now, periods), 3),
            "answers": round(each.recent_answers(now, periods), 3),
            "weight": each.weight,
        }
        for each in table.leases_of(site.name)
    ]
    if lease is not None:
        outcome = "renewed" if told.renews else "counting down"
        return {"outcome": outcome, "address": str(lease.address), "ttl": told.ttl, **numbers, "leases": rows}
    gate = _gate(state, site, table, asker)
    return {"outcome": gate, "address": None, "ttl": span.ttl, **numbers, "leases": rows}


def _gate(state: SharedState, site: Site, table: LeaseTable, asker: Asker) -> str:
    """What would become of a new lease: ``granted`` as far as it can be said, or what is in the way."""
    if state.failure is not None:
        return "refused: journal"
    verdict = table.judge(asker, site.name, state.now())
    if verdict is not Verdict.OPEN:
        return f"refused: {verdict.value}"
    return "granted" if table.granting.has_room(site, state.now()) else "refused: exhausted"
