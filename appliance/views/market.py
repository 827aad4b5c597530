"""What is unused of a POP's capacity, as rows and in lines for people (2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from appliance.model import Capacity
from appliance.views.people import amount
from appliance.views.table import as_table

HOUR = 3600.0
HOURS = 24
"""That are shown."""


class _Forecast(Protocol):
    @property
    def slot(self) -> float: ...
    def known(self, start: float, end: float) -> int: ...


class _Supply(Protocol):
    @property
    def forecast(self) -> _Forecast: ...
    def load(self, now: float) -> float | None: ...
    def unused(self, now: float) -> float: ...
    def expected(self, start: float, end: float) -> float: ...
    def unused_in(self, start: float, end: float) -> float: ...


def capacity_row(capacity: Capacity, supply: _Supply, now: float) -> dict[str, Any]:
    """
    What there is, and what is unused of it now.

    ``load`` is the own load, None where it is not known; ``slot`` seconds; no ``servers``: all of them count.

    :param now: seconds since the epoch, as in all of this.
    """
    load = supply.load(now)
    return {
        "unit": capacity.unit.value,
        "servers": list(capacity.servers),
        "hard": capacity.hard,
        "reserve": capacity.reserve,
        "stated": capacity.stated,
        "forecast": capacity.forecast,
        "load": None if load is None else round(load, 3),
        "unused": round(supply.unused(now), 3),
        "slot": supply.forecast.slot,
    }


def coming_rows(supply: _Supply, now: float) -> list[dict[str, Any]]:
    """
    The hour that ``now`` is in, and those after it, a day together.

    ``days`` are those behind what is ``expected``; 0: some of the hour was never seen, and counts as the load is now.
    """
    begun = now // HOUR
    windows = (((begun + hour) * HOUR, (begun + hour + 1) * HOUR) for hour in range(HOURS))
    return [
        {
            "from": start,
            "until": end,
            "expected": round(supply.expected(start, end), 3),
            "unused": round(supply.unused_in(start, end), 3),
            "days": supply.forecast.known(start, end),
        }
        for start, end in windows
    ]


def capacity_text(row: Mapping[str, Any]) -> str:
    """``37 of 500 connections used, 363 unused``."""
    load = "an unknown part" if row["load"] is None else amount(row["load"])
    stated = " (stated)" if row["stated"] else ""
    return f"{load} of {amount(row['hard'])} {row['unit']} used, {amount(row['unused'])} unused{stated}"


def market_text(found: Mapping[str, Any]) -> str:
    """
    What is unused now, why, and in the hours to come.

    :param found: what the API says.
    """
    row = found["capacity"]
    if row is None:
        return "no capacity is configured (market.capacity), so there is nothing to sell"
    where = f"at {' '.join(row['servers'])}" if row["servers"] else "at all servers"
    lines = [capacity_text(row), f"the load is counted {where}, in slots of {row['slot'] / 60:g} minutes"]
    if row["stated"]:
        lines.append(f"{amount(row['stated'])} are always unused, as the operator states")
    else:
        lines.append(
            f"{row['reserve']:.0%} of {amount(row['hard'])} are kept back; EXPECTED covers {row['forecast']:.0%} of "
            "past DAYS in each slot; with 0 DAYS it is as the load is now"
        )
    lines.append(as_table([_hour(hour) for hour in row["coming"]]))
    return "\n".join(lines)


def _hour(row: Mapping[str, Any]) -> dict[str, object]:
    start, end = (datetime.fromtimestamp(row[key], UTC) for key in ("from", "until"))
    return {
        "from (UTC)": start.strftime("%Y-%m-%d %H:%M"),
        "until": end.strftime("%H:%M"),
        "days": row["days"],
        "expected": amount(row["expected"]),
        "unused": amount(row["unused"]),
    }
