"""What stands in for the world in unit tests: values, a data path and a journal that remember and may refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from appliance.errors import Blame, DataPathError, JournalError
from appliance.events import (
    AddressFreed,
    AddressRemoved,
    Entry,
    Event,
    LeaseEvent,
    LeaseRecord,
    Override,
    Pinned,
    Recovered,
    Unpinned,
)
from appliance.model import Address, Asker, Periods, Pool, Proof, Quota, Server, Service, Site, Tiers
from appliance.naming import Answer, NeedsChoice, chosen, to_text, unchosen

PERIODS = Periods(base=20, minimum=5, maximum=60, offer=10, grace=1, cooling=20, unused_renewals=3)
"""A site that nobody connects to is promised 10 s (half of the base)."""


def addresses(count: int) -> tuple[Address, ...]:
    """``count`` addresses from 192.0.2.1 on (or more, for the large pools of benchmarks)."""
    return tuple(IPv4Address("192.0.2.1") + number for number in range(count))


NO_TIERS = Tiers(cookie=1.0, tcp=1.0, reputation=1.0)

NO_QUOTA = Quota(per_source=10**6, per_site=10**6)
QUOTA = Quota(per_source=3, per_site=2)

ASKER = Asker(IPv4Address("198.51.100.7"), Proof.NONE)
"""Somebody who sent a datagram."""


def pool(count: int, periods: Periods = PERIODS, **more: object) -> Pool:
    """A pool that is always adequate, and open to everybody, unless the test says otherwise."""
    defaults: dict[str, object] = {"adequate": 0.0, "tiers": NO_TIERS, "quota": NO_QUOTA}
    return Pool(name="public", addresses=addresses(count), periods=periods, **{**defaults, **more})  # type: ignore[arg-type]


def site(
    name: str, *, pool: str = "public", server: str = "10.0.0.1", port: int = 80, addresses: int = 1, **more: object
) -> Site:
    """One with as many servers as it may have addresses: the given one, and those after it."""
    return Site(
        name=name,
        pool=pool,
        services=(Service(first_port=port, last_port=port, to=port),),
        servers=tuple(
            Server(name=f"server {number} of {name}", address=IPv4Address(server) + number)
            for number in range(addresses)
        ),
        addresses=addresses,
        **more,  # type: ignore[arg-type]
    )


@attrs.define
class FakeDataPath:
    """
    Remembers what is open, as {(address, site name): (site, server)}.

    :param broken: addresses that cannot be opened.
    :param taken: (address, site) where the site's port belongs to somebody else.
    :param exhausted: nothing can be opened.
    :param aborted: (address, site) whose connections were ended.
    """

    open_paths: dict[tuple[Address, str], tuple[Site, Server]] = attrs.Factory(dict)
    broken: set[Address] = attrs.Factory(set)
    taken: set[tuple[Address, str]] = attrs.Factory(set)
    exhausted: bool = False
    aborted: list[tuple[Address, str]] = attrs.Factory(list)

    def open(self, address: Address, site: Site, server: Server) -> None:
        if self.exhausted:
            raise DataPathError(f"{address}:80/tcp: too many open files", blame=Blame.PROCESS)
        if (address, site.name) in self.taken:
            raise DataPathError(f"{address}:80/tcp: port in use by another program", blame=Blame.PORT)
        if address in self.broken:
            raise DataPathError(f"{address}:80/tcp: address not on this host")
        for (other_address, other), (standing, _) in self.open_paths.items():
            if other_address == address and other != site.name and not standing.keys.isdisjoint(site.keys):
                raise DataPathError(f"{address}:80/tcp: port in use by {other}", blame=Blame.PORT)
        self.open_paths[address, site.name] = site, server

    def close(self, address: Address, site: str) -> None:
        self.open_paths.pop((address, site), None)

    def abort(self, address: Address, site: str) -> None:
        self.aborted.append((address, site))

    def sites_at(self, address: Address) -> list[str]:
        """The names of the sites that ``address`` leads to, sorted."""
        return sorted(site for other, site in self.open_paths if other == address)


@attrs.define
class FakeJournal:
    """
    Remembers events.

    :param failure: refuses them from now on.
    :param slow: events are on their way until :meth:`write` or :meth:`lose`.
    :param events: those that are safe; ``on_their_way`` are not yet.
    :param snapshot: what was safe before them.
    :ivar asked: how many of the events somebody made sure of; a crash may lose what came after.
    """

    events: list[Event] = attrs.Factory(list)
    snapshot: list[Entry] = attrs.Factory(list)
    on_their_way: list[Event] = attrs.Factory(list)
    failure: str | None = None
    slow: bool = False
    asked: int = 0
    _waiting: list[Deferred[None]] = attrs.Factory(list)

    def record(self, event: Event) -> None:
        if self.failure is None:
            (self.on_their_way if self.slow else self.events).append(event)

    def durable(self) -> Deferred[None] | None:
        if self.failure is not None:
            return fail(JournalError(self.failure))
        if not self.on_their_way:
            self.asked = len(self.events)
            return None
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def write(self) -> None:
        """The disk has it all."""
        self.events += self.on_their_way
        self.on_their_way = []
        self.asked = len(self.events)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def lose(self) -> None:
        """The disk has none of what was on its way."""
        self.on_their_way = []
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.errback(Failure(JournalError("no space left on device")))

    def heal(self, entries: Iterable[Entry]) -> None:
        """It works again, and begins with a new snapshot."""
        self.failure = None
        self.snapshot = list(entries)
        self.events = []
        self.asked = 0

    def be(self, what: str, entries: Iterable[Entry]) -> None:
        """:param what: ``slow``, ``written``, ``lost``, ``full`` or ``mended``; then with a snapshot of these."""
        if what in ("lost", "full"):
            self.failure = "no space left on device"
            self.lose()
        elif what == "slow":
            self.slow = True
        else:
            self.slow = False
            if what == "mended" and self.failure is not None:
                self.heal(entries)
            else:
                self.write()

    def crash(self, *, lost: int, now: float, synced: bool) -> None:
        """
        The machine dies.

        :param lost: most events that do not get to the disk, of those that may not.
        :param synced: what was made sure of is there; else what is older than a second.
        """
        if synced:
            written = max(0, len(self.on_their_way) - lost)
            lost = 0 if written else lost
            self.events += self.on_their_way[:written]
        self.on_their_way = []
        while lost and len(self.events) > (self.asked if synced else 0) and (synced or self.events[-1].at >= now - 1):
            del self.events[-1]
            lost -= 1

    def recovered(self, *, crashed: bool = True) -> Recovered:
        """What a start would find: the last that was said of each lease, address, pin and setting."""
        leases: dict[tuple[Address, str], LeaseRecord] = {}
        freed: dict[tuple[Address, str], AddressFreed] = {}
        pins: dict[str, Pinned] = {}
        overrides: dict[tuple[str, str], Override] = {}
        for item in (*self.snapshot, *self.events):
            if isinstance(item, LeaseEvent):
                item = item.lease
            if isinstance(item, LeaseRecord):
                leases.pop((item.address, item.site), None)
                leases[item.address, item.site] = item
                freed.pop((item.address, item.site), None)
            elif isinstance(item, AddressFreed | AddressRemoved) and item.former is not None:
                leases.pop((item.address, item.former), None)
                freed.pop((item.address, item.former), None)
                if isinstance(item, AddressFreed):
                    freed[item.address, item.former] = item
            elif isinstance(item, Pinned):
                pins[item.site] = item
            elif isinstance(item, Unpinned):
                pins.pop(item.site, None)
            elif isinstance(item, Override):
                overrides.pop((item.subject, item.setting), None)
                if item.value is not None:
                    overrides[item.subject, item.setting] = item
        entries: tuple[Entry, ...] = (*leases.values(), *freed.values(), *pins.values(), *overrides.values())
        return Recovered(entries=entries, crashed=crashed)


class FakeChoosing:
    """
    Who chooses for customers.

    :ivar addresses: what a customer's names are answered with; of a family that has none there is no data.
    :ivar customers: whose a name is; ``shop`` has all others.
    :ivar apart: customers whose answers are not everybody's.
    :ivar asked: the owners it was asked for, and by whom.
    :ivar afterwards: called when an answer is made, before it is given.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, list[IPv4Address | IPv6Address]] = {
            "shop": [IPv4Address("198.51.100.1"), IPv6Address("2001:db8::1")]
        }
        self.customers: dict[str, str] = {}
        self.apart: set[str] = set()
        self.ttl, self.scope = 10, 0
        self.asked: list[tuple[str, Asker | None]] = []
        self.afterwards: Callable[[], None] = lambda: None

    def complete(self, needs: NeedsChoice, asker: Asker | None) -> Answer:
        owner = to_text(needs.owner)
        self.asked.append((owner, asker))
        customer = self.customers.get(owner, "shop")
        for_all = customer not in self.apart
        found = [address for address in self.addresses[customer] if address.version == needs.family]
        if found:
            answer = chosen(needs, found, self.ttl, customer=customer, for_all=for_all, scope=self.scope)
        else:
            answer = unchosen(needs, customer=customer, for_all=for_all, scope=self.scope)
        self.afterwards()
        return answer
