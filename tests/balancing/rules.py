"""What a virtual server may use, told from the rules alone and from the states: what the balancer is compared with."""

from __future__ import annotations

from appliance.balancing import Administrative, Operational, ServerRow, Ticket
from appliance.balancing.real import Real
from appliance.balancing.virtual import Virtual
from appliance.model import Spill
from tests.balancing.driver import Driver, client


def is_up(driver: Driver, real: Real) -> bool:
    """For live connections and for its probes."""
    return real.operational is Operational.UP and real.name not in driver.sick


def takes(driver: Driver, real: Real) -> bool:
    in_service = real.administrative is Administrative.IN_SERVICE and real.weight > 0 and not real.gone
    return in_service and is_up(driver, real)


def usable_by_buddies(driver: Driver, real: Real) -> bool:
    return real.administrative is not Administrative.OUT_OF_SERVICE and is_up(driver, real) and not real.gone


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
            up = is_up(driver, following) and following.administrative is Administrative.IN_SERVICE
            if not settled and following.weight == 0:
                settled = True
            elif not settled and up:
                settled = True
                taking.append(following)
            in_service = following.administrative is Administrative.IN_SERVICE and following.weight > 0
            if following.operational is Operational.TESTING and in_service and following.name not in driver.sick:
                testing.append(following)
            following = driver.balancer._board.reals.get(following.backup or "")
    return taking, testing


def spills(driver: Driver, virtual: Virtual) -> bool:
    """May its clients use the general servers, as things are (5.6)?"""
    general, spill = virtual.general, virtual.spill
    if virtual is general or spill is Spill.NEVER or not general.in_service or virtual.answer is not None:
        return False
    lacking = any(not takes(driver, real) for real in virtual.bound)
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
                lent += [real for each in lenders for real in each.bound if takes(driver, real)]
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


def file_servers(driver: Driver) -> list[Real]:
    """Those that the file has."""
    return [real for real in driver.balancer._board.reals.values() if not real.made and not real.gone]


def linked_as_anew(driver: Driver, clients: list[int]) -> None:
    """See that another balancer with the same file and the same overrides is linked in the same way."""
    former = driver.balancer
    places = former._board.places
    fresh = Driver(*(each.site for each in places.values()), spare=tuple(r.server for r in file_servers(driver)))
    assert fresh.balancer.restore(former.overrides(), 0.0) == []
    assert fresh.balancer.overrides() == former.overrides()
    for new, old in zip(fresh.balancer._board.virtuals(), former._board.virtuals(), strict=True):
        assert (new.name, new.backup, new.in_service) == (old.name, old.backup, old.in_service)
        assert [real.name for real in new.bound] == [real.name for real in old.bound], old.name
        assert {r.name: by for r, by in new.reach.items()} == {r.name: by for r, by in old.reach.items()}, old.name
        assert {c: by for c, (_, by) in new.clients.items()} == {c: by for c, (_, by) in old.clients.items()}
        assert all(old in real.users for real in old.reach)
    for name, place in places.items():
        for key in (80, 443):
            port, same = place.port(key), fresh.balancer._board.places[name].port(key)
            if port is None or same is None:
                assert port is same
                continue
            for number in clients:
                one, other = port.assigned.find(client(number)), same.assigned.find(client(number))
                assert (one and (one[0].name, one[1])) == (other and (other[0].name, other[1])), number
    for real in former._board.reals.values():
        assert all(real in virtual.reach and not virtual.gone for virtual in real.users)
        assert all(need.tickets and real in need.virtual.reach for need in real.hungry)


def given_rightly(driver: Driver, ticket: Ticket, row: ServerRow) -> None:
    """Nobody is given a server that takes none, and one that is tested has one connection that decides."""
    drains = row.administrative is Administrative.DRAINING
    assert row.administrative is Administrative.IN_SERVICE or (drains and ticket.buddy), row
    assert row.operational is not Operational.FAILED, row
    assert row.name not in driver.sick, "its probes say that it is down"
    assert row.weight > 0 or ticket.buddy, row
    assert ticket.real is not None and ticket.real not in ticket.tried, "a server that has ditched it"
    assert ticket.real.live <= ticket.real.most, "more than max_connections"
    if row.operational is Operational.TESTING:
        assert ticket.real.test is ticket
    elif takes(driver, ticket.real) and not ticket.buddy:  # those belong together, however it grows
        assert ticket.real.live <= ticket.real.limit, "more than slow start allows"
