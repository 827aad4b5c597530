"""What holds of SharedState after every step of the model of ``test_model.py``."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from appliance.events import State
from appliance.shared import SharedState
from tests import fakes
from tests.test_shared import Setting


class Invariants(RuleBasedStateMachine):
    """
    :ivar alive: the connections that live, by number.
    :ivar wrong: what was heard or answered and should not have been.
    :ivar in_use: (address, site) whose lease was reclaimed with a live connection.
    """

    sharing = False

    def __init__(self) -> None:
        super().__init__()
        self.setting = Setting([])
        self.alive: dict[int, tuple[IPv4Address, str]] = {}
        self.wrong: list[str] = []
        self.in_use: set[tuple[IPv4Address, str]] = set()

    @property
    def state(self) -> SharedState:
        return self.setting.state

    @invariant()
    def nothing_was_wrong(self) -> None:
        """What was heard and answered agreed with what had been promised."""
        assert not self.wrong, self.wrong
        assert not self.in_use, f"{self.in_use} ended in use (1.6)"

    @invariant()
    def addresses_are_in_one_place(self) -> None:
        """Free, held and kept-back ones partition the pool, and holders of one address have no key in common."""
        table = self.state.tables()["public"]
        counts = table.counts(self.setting.clock.seconds())
        held: dict[IPv4Address, list[Any]] = {}
        for lease in table.held():
            held.setdefault(lease.address, []).append(lease)
        free = list(table.free())
        resting, _ = table.resting()
        assert len(held) == counts.leased + counts.cooling - resting
        assert not set(held) & set(free) and len(free) == counts.free
        assert counts.all <= 3
        cooling = [a for a, leases in held.items() if all(lease.state is State.COOLING for lease in leases)]
        assert len(cooling) == counts.cooling - resting
        for leases in held.values():
            assert len(leases) == 1 or self.sharing
            assert len(frozenset().union(*(lease.keys for lease in leases))) == sum(len(x.keys) for x in leases)
        for site in self.state.sites.values():
            active = [x for x in table.leases_of(site.name) if x.state in (State.OFFERED, State.BOUND)]
            assert len(active) <= site.addresses
            assert len({lease.server for lease in active}) == len(active)

    @invariant()
    def offers_keep_to_their_quota(self) -> None:
        """1.9: per prefix and per site, counted from the leases themselves."""
        table = self.state.tables()["public"]
        by_prefix: dict[int, int] = {}
        for lease in table.held():
            if lease.asked_by:
                assert lease.state is State.OFFERED
                by_prefix[lease.asked_by] = by_prefix.get(lease.asked_by, 0) + 1
        for prefix, offers in by_prefix.items():
            assert offers == table.gates.offers(prefix) <= fakes.QUOTA.per_source
        for name in self.state.sites:
            offers = sum(lease.state is State.OFFERED for lease in table.leases_of(name))
            assert offers <= fakes.QUOTA.per_site + self.state.sites[name].addresses

    @invariant()
    def data_paths_are_those_of_the_leases(self) -> None:
        """Every lease and every standing pin has its data path, and an address that nobody holds has none."""
        table = self.state.tables()["public"]
        holders = {(lease.address, lease.site) for lease in table.held()}
        holders |= {(pin.address, pin.site) for pin in self.state.pins if pin.standing}
        open_paths = set(self.setting.path.open_paths)
        assert open_paths <= holders
        broken = {key for key in holders - open_paths if key[1] in self.state.sites}
        for address, site in broken:
            leases = [lease for lease in table.holders(address) if lease.site == site]
            assert all(lease.given_up or lease.state is State.COOLING for lease in leases), (address, site)

    @invariant()
    def connections_are_those_that_live(self) -> None:
        """The counts of SharedState are the flows of the model."""
        for address, site in self.alive.values():
            expected = sum(flow == (address, site) for flow in self.alive.values())
            assert self.state.connections.count(address, site) == expected
