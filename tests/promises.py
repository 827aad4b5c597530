"""What was promised to whom, as the model of ``test_model.py`` remembers it."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs

from appliance.model import Keys, Site

Place = tuple[IPv4Address, str]
"""An address and a site."""


@attrs.define
class Promises:
    """
    :ivar until: by place, for each key when the last answer that named it runs out.
    :ivar ended: by place, when the lease there ended; not while it goes on.
    :ivar longest: by place, the longest TTL since its site came there.
    """

    cooling: float
    until: dict[Place, dict[int, float]] = attrs.Factory(dict)
    ended: dict[Place, float] = attrs.Factory(dict)
    longest: dict[Place, int] = attrs.Factory(dict)

    def last(self, place: Place) -> float:
        return max(self.until.get(place, {}).values(), default=0.0)

    def made(self, place: Place, keys: Keys, ttl: int, now: float) -> None:
        known = self.until.setdefault(place, {})
        for key in keys:
            known[key] = max(known.get(key, 0.0), now + ttl)
        self.ended.pop(place, None)
        self.longest[place] = max(self.longest.get(place, 0), ttl)

    def contradict(self, address: IPv4Address, site: Site, now: float, sites: dict[str, Site]) -> list[str]:
        """
        What is wrong with an answer that names ``address`` for ``site``.

        :param sites: as they are configured; a key that one of them has given up cools from its last answer on.
        """
        wrong = []
        for place, known in self.until.items():
            if place[0] != address or place[1] == site.name:
                continue
            for key in known.keys() & site.keys:
                until, ended_at = known[key], self.ended.get(place)
                if until > now:
                    wrong.append(f"{address}:{key} answered for {site.name} while {place[1]} is promised it")
                if key not in sites[place[1]].keys:
                    ended_at = until if ended_at is None else min(until, ended_at)
                if ended_at is None or now < max(until, ended_at + self.cooling):
                    wrong.append(f"{address}:{key} given to {site.name} before it had cooled from {place[1]} (1.11)")
        return wrong

    def freed(self, place: Place, at: float) -> bool:
        """:return: it has cooled for as long as the longest TTL."""
        longest, ended_at = self.longest.pop(place, 0), self.ended.get(place)
        return ended_at is None or at >= ended_at + longest - 1e-6
