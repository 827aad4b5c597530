"""What a virtual server may use, told from the rules alone and from the states: what the balancer is compared with."""

from __future__ import annotations

from appliance.balancing import Administrative, Operational
from appliance.balancing.real import Real
from appliance.balancing.virtual import Virtual
from appliance.model import Spill
from tests.balancing.driver import Driver


def usable_by_buddies(real: Real) -> bool:
    out = real.administrative is Administrative.OUT_OF_SERVICE
    return not out and real.operational is Operational.UP and not real.gone


def has_room(real: Real, *, idle: bool) -> bool:
    if real.operational is Operational.TESTING:
        return real.test is None and real.live < real.most
    return real.live < real.limit and not (idle and real.live)


def own(driver: Driver, virtual: Virtual) -> tuple[list[Real], list[Real]]:
    """Who takes connections for its servers, and who of them and their backups is tested."""
    taking, testing = [], []
    for real in virtual.bound:
        seen: list[Real] = []
        following: Real | None = real
        settled = False
        while following is not None and following not in seen and not following.gone:
            seen.append(following)
            up = following.operational is Operational.UP and following.administrative is Administrative.IN_SERVICE
            if not settled and following.weight == 0:
                settled = True
            elif not settled and up:
                settled = True
                taking.append(following)
            in_service = following.administrative is Administrative.IN_SERVICE and following.weight > 0
            if following.operational is Operational.TESTING and in_service:
                testing.append(following)
            following = driver.balancer._board.reals.get(following.backup or "")
    return taking, testing


def spills(driver: Driver, virtual: Virtual) -> bool:
    """May its clients use the general servers, as things are (5.6)?"""
    general, spill = virtual.general, virtual.spill
    if virtual is general or spill is Spill.NEVER or not general.in_service or virtual.answer is not None:
        return False
    lacking = any(not real.takes() for real in virtual.bound)
    taking, _ = own(driver, virtual)
    return spill is Spill.BUSY or not taking or (spill is Spill.ONE_FAILED and lacking)


def usable_by(driver: Driver, virtual: Virtual, *, tested: bool = True) -> dict[Real, bool]:
    """
    The servers that ``virtual`` may use now, told from the rules alone; with whether only while it has no connection.

    :param tested: those that are tested too.
    """
    board = driver.balancer._board
    taking, testing = own(driver, virtual)
    usable = list(taking)
    general = virtual.general
    if spills(driver, virtual):
        theirs, tests = own(driver, general)
        usable += theirs
        if not taking:
            testing += tests
    lent: list[Real] = []
    if virtual is general:
        for section in virtual.section.place.sections.values():
            if section.instance is not None and section.instance.lend:
                lenders = [each for each in section.virtuals if each.general is virtual and each.in_service]
                lent += [real for each in lenders for real in each.bound if real.takes()]
    backup, seen = virtual.backup, [virtual]
    while not usable and backup is not None and backup in board.places:
        other = board.places[backup].general_for(virtual)
        if other is None or other in seen:
            break
        seen.append(other)
        backup = other.backup
        if other.in_service:
            theirs, tests = own(driver, other)
            usable += theirs
            testing += tests
    return dict.fromkeys(lent, True) | dict.fromkeys(usable + (testing if tested else []), False)
