"""
What happened: frozen facts that SharedState hands to journal and subscribers.

Every change of the tables is one of these, and carries the whole state of what it changed: whoever remembers the last
one of each lease knows the tables.  Instants are seconds on the process's one clock (boot time).
"""

from __future__ import annotations

import enum
import math

import attrs

from appliance.model import Address, Keys, shown


class State(enum.Enum):
    """Where a lease stands; ``leasing/lease.py`` draws it.  An address without a lease is free or declined."""

    OFFERED = "offered"
    BOUND = "bound"
    DRAINING = "draining"
    COOLING = "cooling"


@attrs.frozen(kw_only=True)
class LeaseRecord:
    """
    All that a lease is at one instant, and all that is needed to take it up after a restart.

    :param server: name of its home server.
    :param promised_until: the latest instant that an answer may promise before more is written: its durable horizon.
    :param ends_at: ``promised_until + grace``; while cooling, when others may have the address.
    :param longest: longest TTL that an answer may have had before more is written, seconds.
    :param unused: renewals since the last connection.
    :param requests: connections to the server, decayed, as of the record.
    :param keys: what it takes on the address; empty: not known.
    :param given_up: the site may not take it up again.
    :param drain_until: while draining, when its connections are ended; infinity: they are not.
    """

    pool: str
    address: Address
    site: str
    server: str
    state: State
    granted_at: float
    promised_until: float
    ends_at: float
    longest: int
    unused: int
    requests: float
    keys: Keys = attrs.field(default=frozenset(), repr=shown)
    given_up: bool = False
    drain_until: float = math.inf


@attrs.frozen(kw_only=True)
class Event:
    """:param at: when it happened."""

    at: float


@attrs.frozen(kw_only=True)
class LeaseEvent(Event):
    """Something about one lease, which is now as ``lease`` says."""

    lease: LeaseRecord

    @property
    def pool(self) -> str:
        return self.lease.pool

    @property
    def address(self) -> Address:
        return self.lease.address

    @property
    def site(self) -> str:
        return self.lease.site


@attrs.frozen(kw_only=True)
class LeaseGranted(LeaseEvent):
    """
    The site got the address; it was free, or the same site took it up again before anybody else could.

    :param former: the lease that it had there until now, where that had not ended; for the history.
    """

    former: LeaseRecord | None = None


@attrs.frozen(kw_only=True)
class LeaseBound(LeaseEvent):
    """The first connection since the grant came."""


@attrs.frozen(kw_only=True)
class LeaseExtended(LeaseEvent):
    """
    Answers may reach further than before; said ahead of need, so that most renewals need not be written.

    Also where a start has to know something else of it that changes nothing now: a reload has changed what it takes on
    its address, or it was given up while it cools.
    """


@attrs.frozen(kw_only=True)
class LeaseReset(LeaseEvent):
    """The lease was at its end with a live connection, and got another period (1.6)."""


@attrs.frozen(kw_only=True)
class LeaseDraining(LeaseEvent):
    """It is not answered or renewed any more; ``reason`` is a few words for people."""

    reason: str


@attrs.frozen(kw_only=True)
class LeaseReclaimed(LeaseEvent):
    """
    The lease ended; the address cools, and the former site's data path stays, until ``lease.ends_at``.

    :param connections_end: the connections that are left have had their time to drain.
    """

    connections_end: bool = False


@attrs.frozen(kw_only=True)
class PoolEvent(Event):
    """Something about a pool."""

    pool: str


@attrs.frozen(kw_only=True)
class PoolExhausted(PoolEvent):
    """A site asked and there was no address for it; said once, until a grant succeeds again."""

    site: str


@attrs.frozen(kw_only=True)
class AddressEvent(PoolEvent):
    """Something about one address of the pool."""

    address: Address


@attrs.frozen(kw_only=True)
class AddressFreed(AddressEvent):
    """
    ``former`` holds nothing at ``address`` any more; None where it had been declined.

    :param held: its lease, where that had not ended, because the site has the address for good now; for the history.
    """

    former: str | None
    held: LeaseRecord | None = None


@attrs.frozen(kw_only=True)
class AddressDeclined(AddressEvent):
    """
    The data path for ``site`` could not be opened, and ``address`` is left alone until ``until``.

    :param by_all: by every site; else by this one only, whose port is taken there.
    """

    site: str
    by_all: bool
    reason: str
    until: float


@attrs.frozen(kw_only=True)
class AddressAdded(AddressEvent):
    """A configuration brought ``address`` into the pool."""


@attrs.frozen(kw_only=True)
class AddressRemoved(AddressEvent):
    """
    ``address`` left the pool: at once when it was free, else when its last holder (``former``) was done with it.

    :param held: as of :class:`AddressFreed`.
    """

    former: str | None
    held: LeaseRecord | None = None


@attrs.frozen(kw_only=True)
class PinEvent(Event):
    """Something about an address that one site has for good."""

    site: str
    address: Address


@attrs.frozen(kw_only=True)
class Pinned(PinEvent):
    """
    ``site`` has ``address`` for good.

    :param static: as long as the configuration says so; else a person gave it, until a person takes it back.
    :param longest: longest TTL that an answer may have had before more is written, seconds; 0: not known.
    :param waits: somebody else has it still, or may have been promised it.
    """

    static: bool = False
    longest: int = 0
    waits: bool = False


@attrs.frozen(kw_only=True)
class Unpinned(PinEvent):
    """It is leased again like others, after it has cooled."""


@attrs.frozen(kw_only=True)
class ChoiceChanged(Event):
    """
    The names of ``customer`` would be answered otherwise than before, some of them to somebody.

    Never on the disk: a start knows nothing of who is up, and chooses anew.
    """

    customer: str


@attrs.frozen(kw_only=True)
class Override(Event):
    """
    A person has set something of the running process, beside what the file says; it outlasts restarts (5.10).

    There is one of each ``setting`` of a ``subject``: the last one counts.

    :param subject: what it is about, a kind and a name: ``server alpha-1``, ``virtual www.example.test:80:1``.
    :param setting: ``state``, ``weight``, ``backup``; or what is one of many: ``client 198.51.100.0/24``.
    :param value: None: it is taken back, and what the file says counts again.
    :param configured: what the file said when it was made; None: nothing.
    :param reason: why it is taken back, a few words for people; empty: somebody wanted it.
    """

    subject: str
    setting: str
    value: str | None
    configured: str | None = None
    reason: str = ""


Entry = LeaseRecord | AddressFreed | Pinned | Override
"""
What a snapshot consists of: the leases, who had the free addresses last (longest free first), the pins, and what was
set at run time.
"""


@attrs.frozen(kw_only=True)
class Recovered:
    """
    What was on disk at the start; all instants are on this process's clock already.

    :param entries: as a snapshot's, each lease once, in the order in which they were last recorded.
    :param crashed: the former process did not end in order: the last things it said may not be here.
    :param unsure: leases may be missing altogether (a crash without ``fsync: grant``, or damage): addresses that
        seem free may have been promised.
    :param maximum: seconds; the longest that any process before may have promised what is not known,
    :param minimum: and what it promised without the disk.  0: no longer than this one does.
    """

    entries: tuple[Entry, ...] = ()
    crashed: bool = False
    unsure: bool = False
    maximum: float = 0.0
    minimum: float = 0.0


class Fsync(enum.Enum):
    """When what is recorded is forced to the disk."""

    GRANT = "grant"
    """Before anybody is told of it: nothing that was promised is lost, whatever happens to the machine."""
    INTERVAL = "interval"
    """Once a second: survives the end of the process; the machine's may cost the last second."""
    NEVER = "never"
    """When the operating system likes."""
