"""A choice explained, in lines and tables that can be read from top to bottom (3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.views.people import amount, checks_text, milliseconds, span
from appliance.views.rows import Row
from appliance.views.table import as_table

_TIMES = frozenset({"latency", "http", "ftp"})
"""Terms whose figures are seconds."""
_NOBODY = "0.0.0.0/24"
"""Who asks where no client is said."""


def choice_text(found: Mapping[str, Any]) -> list[str]:
    """Lines after the first, which names the question."""
    if found["customer"] is None:
        return [f"  {found['owner']} was a customer's name this moment, and is one no more"]
    now = found["now"]
    kinds = {"page": "page", "static": "static content", "both": "static content and pages"}
    ttl = f"{found['ttl_why']}; the customer's is {found['customer_ttl']:g} s"
    lines = [
        f"  {found['customer']}'s {kinds[found['kind']]}, as {found['owner']}, among IPv{found['family']} addresses",
        f"  {found['why']}: {' '.join(found['answer']) or 'no address'} TTL {found['ttl']}",
        f"  why: {found['because']}",
        f"  rule: {found['rule']}",
        f"  TTL: {ttl}, and nobody's state can change {_before(found['health_until'], now)}",
    ]
    if found["client"] is not None:
        weight = f", who may bring {amount(found['weight'])} connections" if found["weight"] is not None else ""
        nobody = ", of nobody in particular (--client ADDRESS: who asks)" if found["client"] == _NOBODY else ""
        lines.append(f"  spread by the network {found['client']}{nobody}{weight}")
    if not found["candidates"]:
        return [*lines, f"  nobody has an IPv{found['family']} address"]
    lines += _table([_candidate(row, now) for row in found["candidates"]])
    lines += _table([_term(row) for row in found["terms"]])
    ledgers = [_ledger(row) for row in found["candidates"] if row["ledger"] is not None]
    lines += _table(ledgers) if ledgers else []
    lines.append("")
    return [*lines, *(f"  {row['candidate']}: {checks_text(row, now)}" for row in found["candidates"])]


def probed_text(row: Mapping[str, Any], now: float) -> str:
    """``alpha: up by its checks: web ok 0.4s ago`` of a server with probes."""
    return f"{row['server']}: {row['measured']} by its checks: {checks_text(row, now)}"


def _table(rows: Sequence[Row]) -> list[str]:
    return ["", *(f"  {line}" for line in as_table(rows).splitlines())]


def _before(until: float | None, now: float) -> str:
    return "by itself" if until is None else f"for {span(until - now)}"


def _candidate(row: Mapping[str, Any], now: float) -> Row:
    standing = row["standing"] if row["forced"] is None else f"{row['standing']} (by hand)"
    shown: Row = {
        "candidate": row["candidate"],
        "address": row["address"],
        "standing": standing if row["takes"] in (None, True) else f"{standing} (takes none)",
        "measured": row["measured"],
        "cost": f"{row['cost']:.3f}",
        "place": "-" if row["place"] is None else row["place"] + 1,
        "within": _yes(row["within"]),
        "member": _yes(row["member"]),
        "share": f"{row['share']:g}",
        "until": "-" if row["until"] is None else span(row["until"] - now),
        "answered": _yes(row["answered"]),
    }
    if row["connections"] is not None:
        return shown | {"connections": row["connections"]}
    dwell, rank = row["dwell_until"], row["hash_rank"]
    return shown | {
        "dwell": "-" if dwell is None else span(dwell - now),
        "hash": "-" if rank is None else f"{rank + 1} ({row['hash_score']:.3f})",
        "verdict": row["verdict"] or "-",
    }


def _term(row: Mapping[str, Any]) -> Row:
    term, value, reference = row["term"], row["value"], row["reference"]
    if term == "sum":
        return {
            **{key: row[key] for key in ("candidate", "term")},
            **dict.fromkeys(("value", "reference", "scaled", "weight"), ""),
            "product": f"{row['product']:.3f}",
        }
    if term in _TIMES:
        shown, per = milliseconds(value), milliseconds(reference)
    elif reference is None:
        shown, per = "-" if value is None else f"{value:.0%}", "u/(1-u)"
    else:
        shown, per = amount(value), amount(reference)
    return {
        "candidate": row["candidate"],
        "term": term,
        "value": f"{shown} (median)" if row["neutral"] and value is not None else shown,
        "reference": per,
        "scaled": f"{row['scaled']:.3f}",
        "weight": f"{row['weight']:g}",
        "product": f"{row['product']:.3f}",
    }


def _ledger(row: Mapping[str, Any]) -> Row:
    ledger = row["ledger"]
    shown = {name: amount(ledger[name]) for name in ("promised", "held", "others", "limit", "capacity", "load")}
    age = "never" if ledger["age"] is None else span(ledger["age"])
    return {
        "ledger": row["candidate"],
        "verdict": row["verdict"] or "-",
        **shown,
        "age": age,
        "kappa": f"{ledger['kappa']:.2f}",
        "resolvers": ledger["resolvers"],
    }


def _yes(fact: bool) -> str:
    return "yes" if fact else "-"
