"""What others may read of the state: rows for people, the data path, the name server and the snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from appliance.events import Entry
from appliance.interfaces import Journal
from appliance.leasing import Connections, LeaseTable
from appliance.model import Pool, Site
from appliance.naming import Zones
from appliance.shared.overrides import Overrides
from appliance.shared.pins import Pins
from appliance.shared.tables import Tables
from appliance.shared.telling import Telling


class Shown:
    """Nothing here changes anything; what is returned is what the rules work on, and not for the reader to change."""

    def __init__(self, seconds: Callable[[], float], journal: Journal, tables: Tables, telling: Telling) -> None:
        self._seconds = seconds
        self._journal = journal
        self._tables = tables
        self._telling = telling

    def now(self) -> float:
        return self._seconds()

    @property
    def sites(self) -> Mapping[str, Site]:
        return self._tables.sites

    @property
    def pools(self) -> Mapping[str, Pool]:
        return self._tables.pools

    @property
    def zones(self) -> Zones:
        return self._tables.zones

    @property
    def pins(self) -> Pins:
        return self._tables.pins

    @property
    def overrides(self) -> Overrides:
        """What people have set at run time."""
        return self._tables.overrides

    @property
    def connections(self) -> Connections:
        return self._tables.connections

    @property
    def happened(self) -> Counter[str]:
        """How many events of each kind there were, and renewals, since the start."""
        return self._telling.happened

    @property
    def failure(self) -> str | None:
        """Why no new lease can be recorded now; None while all is well."""
        return self._journal.failure

    def tables(self) -> Mapping[str, LeaseTable]:
        """The lease tables by pool, for reading; a pool that left the configuration stays until its leases are over."""
        return self._tables.by_pool

    def entries(self) -> Iterator[Entry]:
        """What a snapshot has to hold; each entry is as it is when it is taken, while the tables may go on changing."""
        return self._tables.entries(self._seconds)
