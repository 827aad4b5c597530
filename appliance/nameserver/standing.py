"""What the wire cache asks of SharedState; kept apart, for nothing here knows of the other."""

from __future__ import annotations

from typing import Protocol

from appliance.leasing import Promise
from appliance.model import Address, Asker
from appliance.naming import Zones


class Standing(Protocol):
    """What the wire cache asks of SharedState."""

    @property
    def zones(self) -> Zones: ...

    def renew(self, site_name: str, asker: Asker | None = None, ahead: float = 0.0) -> Promise | None: ...

    def answered_also(self, site_name: str, address: Address, count: int) -> None: ...
