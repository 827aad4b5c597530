"""
The server for one connection, as things are: company first, then servers that are tested, then the tiers (5.6 to 5.8).
"""

from __future__ import annotations

from appliance.balancing.real import Real
from appliance.balancing.virtual import Virtual


def choose(virtual: Virtual, client: int, tried: frozenset[Real], company: Real | None, now: float) -> Real | None:
    """
    A server that takes the connection now.

    :param tried: servers that have ditched it; they are not asked again.
    :param company: the server that it has to go to, while that may have it (5.12).
    :return: None where nobody has room.
    """
    if company is not None and is_held_by(virtual, company):
        return company if company.live < company.most else None
    if tried:
        return _choose_another(virtual, tried)
    for real in virtual.testers:
        if real.is_testable():
            return real
    for tier in virtual.tiers:
        found = tier.pick(client, now)
        if found is not None:
            return found
    return None


def may_wait(virtual: Virtual, tried: frozenset[Real], company: Real | None) -> bool:
    """Is there a server that may take it when there is room?"""
    if company is not None and is_held_by(virtual, company):
        return True
    if not tried:
        return bool(virtual.tiers or virtual.testers)
    return any(real not in tried for real in virtual.members()) or any(real not in tried for real in virtual.testers)


def is_held_by(virtual: Virtual, company: Real) -> bool:
    """Does a client of ``virtual`` have to go to ``company``, where its buddy is (5.12)?"""
    return company in virtual.reach and company.keeps_company()


def _choose_another(virtual: Virtual, tried: frozenset[Real]) -> Real | None:
    """Whatever the predictor: the one of the first tier with room that has least to do."""
    for real in virtual.testers:
        if real.is_testable() and real not in tried:
            return real
    for tier in virtual.tiers:
        others = [real for real in tier.with_room() if real not in tried]
        if others:
            return min(others, key=lambda real: real.load)
    return None
