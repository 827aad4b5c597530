"""
Rows of the API as a person wants them: spans instead of instants, lists in one word, and what a person has changed with
what the file says beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        *("backup", "response", "retried_in", "failure"),
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
        case ("connections", "age"):
            return span(row["age"])
        case ("connections", "instance"):
            return row["bind_id"]
        case ("servers", "state"):
            return _states(row)
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
