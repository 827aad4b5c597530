"""
Rows of the API as a person wants them: spans instead of instants, lists in one word, and what a person has changed with
what the file says beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from appliance.views.rows import Row

SHOWN: Mapping[str, tuple[str, ...]] = {
    "leases": ("address", "site", "server", "state", "age", "promised_for", "ends_in", "connections", "keys"),
    "pools": ("pool", "addresses", "free", "leased", "cooling", "declined", "waiting", "used", "pressure", "period"),
    "sites": ("site", "pool", "addresses", "state", "servers", "connections", "aliases"),
    "connections": (
        *("number", "transport", "client", "address", "port", "site", "instance", "server", "source"),
        *("attempts", "buddy", "state", "age"),
    ),
    "history": ("address", "site", "server", "from", "until", "used"),
    "virtuals": (
        *("virtual", "instance", "state", "predictor", "servers", "backup", "connections", "waiting", "total"),
    ),
    "servers": (
        *("server", "address", "state", "weight", "share", "connections", "opening", "max", "ditched", "total"),
        *("backup", "response", "retried_in", "failure", "measured", "latency", "load", "checks"),
    ),
    "pops": (
        *("pop", "address", "state", "by", "measured", "latency", "http", "ftp", "cpu", "memory", "connections"),
        *("lag", "promised", "others", "limit", "kappa", "heard", "checks"),
    ),
    "delivery": (
        *("customer", "name", "kind", "rule", "a", "a_why", "a_ttl", "aaaa", "aaaa_why", "aaaa_ttl"),
        *("questions", "answers", "over"),
    ),
    "clients": ("client", "virtual", "by", "state", "ends_in"),
    "nat-pools": (
        *("pool", "transport", "level", "for", "taken", "free", "resting", "leaving", "maximum", "pairs"),
        *("subpools", "intervals", "refusals"),
    ),
}
"""The columns of each list, as people see it."""


def for_people(what: str, rows: Iterable[Mapping[str, Any]], now: float) -> list[Row]:
    """
    :param what: the list's name, a key of :data:`SHOWN`.
    :param now: Unix time.
    """
    return [{column: _shown(what, row, column, now) for column in SHOWN[what]} for row in rows]


def _shown(what: str, row: Mapping[str, Any], column: str, now: float) -> object:
    match what, column:
        case ("leases", "age"):
            return span(now - row["granted_at"])
        case (_, "promised_for"):
            return _left(row["promised_until"], now)
        case (_, "ends_in"):
            return _left(row["ends_at"], now)
        case ("history", "from" | "until"):
            return date(row[column])
        case ("connections", "age"):
            return span(row["age"])
        case ("connections", "instance"):
            return row["bind_id"]
        case ("servers", "state"):
            return _states(row)
        case ("pops", _):
            return _of_pops(row, column, now)
        case ("servers", "measured" | "latency" | "load" | "checks"):
            return _of_checks(row, column, now)
        case ("virtuals" | "servers" | "clients", _):
            return beside(_of_balancing(what, row, column, now), row, _SETTINGS.get((what, column), column))
        case ("nat-pools", "for"):
            return span(now - row["level_since"])
    return _word(row.get(column))


_SETTINGS = {("servers", "max"): "max_connections", ("servers", "ditched"): "threshold"}
"""By list and column, the setting that it shows, where that has another name."""


def _of_balancing(what: str, row: Mapping[str, Any], column: str, now: float) -> object:
    match what, column:
        case ("virtuals", "servers") if row["answer"] is not None:
            return f"({row['answer']})"
        case ("virtuals", "servers"):
            return _servers(row)
        case ("virtuals", "waiting"):
            return f"{row['waiting']}/{row['places']}" if row["places"] or row["waiting"] else "-"
        case ("servers", "address"):
            return endpoint(row["address"], row["port"])
        case ("servers", "share"):
            return f"{row['share']:.0%}" if row["share"] < 1 else "-"
        case ("servers", "max"):
            return row["max_connections"] or "-"
        case ("servers", "ditched"):
            return f"{row['ditched']}/{row['threshold']}"
        case ("servers", "response"):
            return f"{row['response'] * 1000:.1f}ms" if row["total"] else "-"
        case ("servers", "retried_in"):
            return span(row["retried_at"] - now) if row["retried_at"] is not None else "-"
    return _word(row.get(column))


def _of_pops(row: Mapping[str, Any], column: str, now: float) -> object:
    load, ledger = row["load"] or {}, row["ledger"] or {}
    match column:
        case "pop":
            return f"{row['pop']} (own)" if row["own"] else row["pop"]
        case "state" if row["configured"]:
            return f"{row['state']} (file: {row['configured']['state']})"
        case "http" | "ftp":
            return milliseconds(row[column])
        case "cpu" | "memory":
            return "-" if load.get(column) is None else f"{load[column]:.0%}"
        case "connections":
            most = load.get("capacity") or ledger.get("capacity")
            return amount(load.get(column)) + (f"/{amount(most)}" if most else "")
        case "lag":
            return milliseconds(load.get(column))
        case "promised" | "others" | "limit":
            return amount(ledger.get(column))
        case "kappa":
            return f"{ledger[column]:.2f}" if ledger else "-"
        case "heard":
            return "-" if row["heard_at"] is None else f"{span(now - row['heard_at'])} ago"
        case "latency" | "checks":
            return _of_checks(row, column, now)
    return _word(row.get(column))


def _of_checks(row: Mapping[str, Any], column: str, now: float) -> object:
    match column:
        case "latency":
            return milliseconds(row["latency"])
        case "load":
            return load_text(row["load"])
        case "checks":
            return checks_text(row, now) if row["checks"] else "-"
    return _word(row["measured"])


def checks_text(row: Mapping[str, Any], now: float) -> str:
    """
    ``web ok 0.4s ago, mail application status: 421 0.1s ago``: what each check has found last.

    :param row: of a server, POP or candidate, with its ``checks``.
    """
    whose = row.get("pop") or row.get("candidate") or ""
    shown = []
    for check in row["checks"]:
        result = "not yet" if check["result"] is None else "ok" if check["ok"] else check["result"]
        ago = f" {span(now - check['heard_at'])} ago" if check["heard_at"] is not None else ""
        shown.append(f"{check['probe'].removeprefix(f'{whose}.')} {result}{ago}")
    return ", ".join(shown) or "no checks"


def load_text(load: Mapping[str, float | None] | None) -> str:
    """``cpu 12%, memory 34%, 57 connections, lag 1.2ms``, as far as it is said."""
    if load is None:
        return "-"
    parts = [f"{name} {load[name]:.0%}" for name in ("cpu", "memory") if load[name] is not None]
    parts += [f"{amount(load['connections'])} connections"] if load["connections"] is not None else []
    parts += [f"lag {milliseconds(load['lag'])}"] if load["lag"] is not None else []
    return ", ".join(parts) or "-"


def milliseconds(seconds: float | None) -> str:
    """``12.3ms``."""
    return "-" if seconds is None else f"{seconds * 1000:.1f}ms"


def amount(value: float | None) -> str:
    """``57``, ``3.2``: of connections, to a tenth."""
    return "-" if value is None else f"{value:.1f}".removesuffix(".0")


def _states(row: Mapping[str, Any]) -> str:
    """What is ordered, what the file says of that, and what the server does beside it."""
    states = [str(beside(row["state"], row, "state"))]
    if row["operational"] not in ("up", row["state"]):
        states.append(row["operational"])
    return ", ".join([*states, "leaving"] if row["leaving"] else states)


def _servers(row: Mapping[str, Any]) -> str:
    """The bound ones, and those that the file has where that is not the same."""
    configured = list(row["servers"])
    for setting, said in row["configured"].items():
        name = setting.removeprefix("server ")
        if name != setting and said == "bound" and name not in configured:
            configured.append(name)
        elif name != setting and said == "unbound" and name in configured:
            configured.remove(name)
    shown = str(_word(row["servers"]))
    return shown if configured == row["servers"] else f"{shown} (file: {_word(configured)})"


def beside(value: object, row: Mapping[str, Any], setting: str) -> object:
    """``value``, and what the file says of ``setting`` where a person has changed it."""
    if setting == "state" and row["configured"].get("made") == "no":
        return f"{value} (not in the file)"
    said = row["configured"].get(setting)
    return value if said is None or str(said) == str(value) else f"{value} (file: {said})"


def endpoint(address: str, port: int) -> str:
    """``10.0.0.1``, ``10.0.0.1:80``, ``[2001:db8::1]:80``."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _word(value: object) -> object:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None else value


def _left(until: float | None, now: float) -> str:
    if until is None:
        return "never"
    return span(until - now) if until > now else "over"


def date(unix: float | None) -> str:
    """In UTC, to the second."""
    return "now" if unix is None else datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """``4.2s``, ``3m12s``, ``5h03m``, ``2d04h``."""
    if seconds < 60:
        return f"{max(0.0, seconds):.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    return f"{hours // 24}d{hours % 24:02}h"
