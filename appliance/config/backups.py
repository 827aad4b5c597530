"""
Backups (5.1, 5.2): who takes over from whom.

Everybody has one backup at most, so that following them is a walk; each step of all walks is made once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from appliance.config.faults import Faults
from appliance.config.references import all_servers, sites_of
from appliance.config.schema import Root
from appliance.config.servers import ServerFields
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields

_MOST_SHOWN = 6
"""Of the names of a circle."""


def check_backups(root: Root, faults: Faults) -> None:
    """Note who would take over from itself, at once or by way of others."""
    named = root.get("servers", {})
    for written in all_servers(root):
        place = written.fields.get("backup")
        if place is None:
            continue
        other = named.get(place.value)
        if place.value == written.name:
            faults.add(place.node, f"'{place.value}' is the server itself; allowed: another one")
        elif other is not None and _same(written.fields, other.value):
            faults.add(place.node, f"'{place.value}' has the same address and port; allowed: another server")
    _note_circles(backups_of(named), faults)
    sites = backups_of(sites_of(root))
    for name, place in sites.items():
        if name == place.value:
            faults.add(place.node, f"'{name}' is the site itself; allowed: another one")
    _note_circles(sites, faults)


def backups_of(known: Mapping[str, Placed[ServerFields] | Placed[SiteFields]]) -> dict[str, Placed[str]]:
    """The backups of those that have one."""
    places = {name: each.value.get("backup") for name, each in known.items()}
    return {name: place for name, place in places.items() if place is not None}


def _same(one: ServerFields, other: ServerFields) -> bool:
    if not ({"address", "port"} <= one.keys() and {"address", "port"} <= other.keys()):
        return False
    return (one["address"].value, one["port"]) == (other["address"].value, other["port"])


def _note_circles(places: Mapping[str, Placed[str]], faults: Faults) -> None:
    for circle in circles({name: place.value for name, place in places.items()}):
        if len(circle) == 1:
            continue  # has been told
        shown = [*circle[:_MOST_SHOWN], "..."] if len(circle) > _MOST_SHOWN else circle
        text = ", ".join([*shown, circle[0]])
        faults.add(places[circle[0]].node, f"each is the backup of the one before, in a circle: {text}")


def circles(backups: Mapping[str, str]) -> Iterator[list[str]]:
    """Each circle once, beginning with its first name in the order of ``backups``.  Cost: O(1) a name."""
    order = {name: index for index, name in enumerate(backups)}
    seen: set[str] = set()
    for start in backups:
        walk: dict[str, int] = {}
        at: str | None = start
        while at is not None and at not in seen:
            seen.add(at)
            walk[at] = len(walk)
            at = backups.get(at)
        if at is not None and at in walk:
            circle = list(walk)[walk[at] :]
            first = circle.index(min(circle, key=lambda name: order[name]))
            yield circle[first:] + circle[:first]


def first_along(backups: Mapping[str, str], wanted: frozenset[str]) -> dict[str, str]:
    """
    The first of ``wanted`` that each name comes to along its backups, itself included.

    Names that come to none are left out.  Cost: O(1) a name.
    """
    found: dict[str, str | None] = {name: name for name in wanted}
    for start in backups:
        walk: list[str] = []
        at: str | None = start
        while at is not None and at not in found:
            found[at] = None
            walk.append(at)
            at = backups.get(at)
        end = found[at] if at is not None else None
        for name in walk:
            found[name] = end
    return {name: end for name, end in found.items() if end is not None}
