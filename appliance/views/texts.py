"""What the API tells, in lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.views.choices import choice_text, probed_text
from appliance.views.market import capacity_text
from appliance.views.people import for_people, span
from appliance.views.table import as_table

MOST_OVERRIDES = 20
"""That people are shown in the status."""

STANDINGS = {
    "agreed": "agreed",
    "alone-kept": "ALONE: what was last agreed on counts",
    "alone-all": "ALONE: all configured POPs are answered",
}
"""What a table of POPs rests on."""


def status_text(status: Mapping[str, Any]) -> str:
    """The status as a person wants it: alarms first."""
    lines = [f"{status['name']}: appliance {status['version']}, pid {status['pid']}, up {span(status['uptime'])}"]
    lines += [f"ALARM  {alarm}" for alarm in status["alarms"]] or ["all is well"]
    counts = status["addresses"]
    lines.append(
        f"{status['sites']} sites share {counts['addresses']} addresses: {counts['leased']} leased, "
        f"{counts['free']} free, {counts['cooling']} cooling, {counts['declined']} declined"
    )
    lines.append(f"{_counted(status['connections'], 'connection')}; journal {status['journal']}")
    if status["vitals"]:
        lines.append(vitals_text(status["vitals"], status["lag"]))
    if status["capacity"] is not None:
        lines.append(f"capacity: {capacity_text(status['capacity'])}")
    for zone in status["secondaries"]:
        lines.append(secondary_text(zone, status["now"]))
    lines += [f"by hand: {row['subject']}: {override_text(row)}" for row in status["overrides"][:MOST_OVERRIDES]]
    if status["overrides_count"] > MOST_OVERRIDES:
        lines.append(f"by hand: {status['overrides_count'] - MOST_OVERRIDES} more")
    for title in ("dns", "grants", "nat", "events"):
        if status[title]:
            lines.append(f"{title}: " + ", ".join(f"{name} {count}" for name, count in status[title].items()))
    return "\n".join(lines)


def pops_text(found: Mapping[str, Any], now: float) -> str:
    """
    Whose word counts, and the POPs.

    :param found: the API's list; ``now``: Unix time.
    """
    believed, doubted = (" ".join(found[key]) or "nobody" for key in ("believed", "doubted"))
    top = f"{STANDINGS[found['standing']]}; believed: {believed}; doubted: {doubted}"
    return f"{top}\n{as_table(for_people('pops', found['items'], now))}"


def vitals_text(figures: Mapping[str, float | None], lag: Mapping[str, float | None]) -> str:
    """
    ``cpu 12% (9% of one by this process), memory 34%, 81 MB resident; lag p99 1.2ms; 120 of 65536 files; 3.1 MB/s out``

    What is not known is ``-``; bytes are counted in thousands.
    """

    def shown(value: float | None, factor: float = 1.0, form: str = ".0f") -> str:
        return "-" if value is None else format(value * factor, form)

    most = "any number of" if figures["most_files"] is None else shown(figures["most_files"])
    return (
        f"cpu {shown(figures['cpu'], 100)}% ({shown(figures['process_cpu'], 100)}% of one by this process), "
        f"memory {shown(figures['memory'], 100)}%, {shown(figures['resident_bytes'], 1e-6)} MB resident; "
        f"lag p99 {shown(lag['p99'], 1e3, '.1f')}ms; {shown(figures['open_files'])} of {most} files; "
        f"{shown(figures['egress'], 1e-6, '.1f')} MB/s out"
    )


def override_text(row: Mapping[str, Any]) -> str:
    """``weight 5 (file: 1)``."""
    if row["setting"] == "made":
        return "made, not in the file"
    return f"{row['setting']} {row['value']} (file: {row['configured']})"


def order_text(found: Mapping[str, Any], now: float) -> str:
    """
    What has become of an order about a server or a virtual server (5.10); where nothing was ordered, it itself.

    :param now: Unix time.
    """
    lines = []
    for row in found["changed"]:
        if row["value"] != row["configured"]:
            lines.append(f"{found['name']}: {override_text(row)}")
        elif row["setting"] == "made":
            lines.append(f"{found['name']}: removed, for it is not in the file")
        else:
            lines.append(f"{found['name']}: {row['setting']} {row['value']}, as in the file")
    if found["connections"] is not None:
        lines.append(f"{found['name']}: {left_text(found['connections'])}")
    what = {"real": "servers", "pop": "pops"}.get(found["kind"], "virtuals")
    return "\n".join(lines) if lines else as_table(for_people(what, found["items"], now))


def left_text(connections: int) -> str:
    """What is left of something that drains."""
    if not connections:
        return "empty"
    return f"{_counted(connections, 'connection')} left"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def secondary_text(row: Mapping[str, Any], now: float) -> str:
    """One line about a zone that is transferred in."""
    serial = f" {row['serial']}" if row["serial"] is not None else ""
    refreshed = f"refreshed {span(now - row['refreshed_at'])} ago" if row["refreshed_at"] else "never refreshed"
    coming = f"next in {span(row['next_at'] - now)}" if row["next_at"] is not None else "being refreshed"
    error = f": {row['error']}" if row["error"] else ""
    return f"zone {row['zone']}{serial} from {row['primary']}: {row['state']}, {refreshed}, {coming}{error}"


def explanation_text(found: Mapping[str, Any]) -> str:
    """An explanation in lines that can be read from top to bottom."""
    lines = [f"{found['name']} {found['type']}"]
    if found["from"] == "zone":
        why = f": {found['reason']}" if found["reason"] else ", from the zone"
        return "\n".join([*lines, f"  {found['rcode']}{why}", *(f"  {text}" for text in found["records"])])
    if found["from"] == "choice":
        return "\n".join([*lines, *choice_text(found)])
    lines.append(f"  leases as {found['site']} from pool {found['pool']}, for {' '.join(found['keys'])}")
    answer = f"{found['address']} TTL {found['ttl']}" if found["address"] else "no address yet"
    lines.append(f"  {found['outcome']}: {answer}")
    if "base" in found:
        limit = f", limited by {found['limit']}" if found["limit"] else ""
        lines += [
            f"  base {found['base']:g} s x demand {found['demand']:g} x pressure {found['pressure']:g}{limit}",
            f"  minimum {found['minimum']:g} s, maximum {found['maximum']:g} s",
            f"  pool: {found['free']} of {found['addresses']} free, adequate {found['adequate']:g}",
            f"  pool: {found['used']:g} used, {found['waiting']} sites wait",
        ]
        lines += [
            f"  {row['address']} {row['state']} to {row['server']}: {row['connections']} connections,"
            f" {row['requests']:g} requests, {row['answers']:g} answers, weight {row['weight']},"
            f" {row['unused_renewals']} unused renewals"
            for row in found["leases"]
        ]
    lines += [f"  server {probed_text(row, found['now'])}" for row in found["probed"]]
    return "\n".join(lines)
