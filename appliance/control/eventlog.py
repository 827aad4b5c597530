"""One log line for each lease change; docs/events.rst lists the names."""

from __future__ import annotations

from twisted.logger import Logger

from appliance.events import (
    AddressAdded,
    AddressDeclined,
    AddressFreed,
    AddressRemoved,
    Event,
    LeaseBound,
    LeaseGranted,
    LeaseReclaimed,
    LeaseReset,
    PoolExhausted,
)

_LINES: dict[type[Event], tuple[str, str]] = {
    LeaseGranted: ("lease-granted", "{event}: {address} to {site} for {for_seconds} s"),
    LeaseBound: ("lease-bound", "{event}: {address} by the first connection to {site}"),
    LeaseReset: ("lease-reset", "{event}: {address} stays with {site}, which has live connections"),
    LeaseReclaimed: ("lease-reclaimed", "{event}: {address} from {site}; cools for {for_seconds} s"),
    AddressFreed: ("address-freed", "{event}: {address} of {pool}"),
    AddressAdded: ("address-added", "{event}: {address} to {pool}"),
    AddressRemoved: ("address-removed", "{event}: {address} from {pool}"),
}
_ALARMS: dict[type[Event], tuple[str, str]] = {
    AddressDeclined: (
        "address-declined",
        "{event}: {address} of {pool} is left alone for {for_seconds} s{by_whom}, for it cannot be opened: {reason}",
    ),
    PoolExhausted: ("pool-exhausted", "{event}: {pool} has no address for {site}; said again after the next grant"),
}
_ENDS = ("ends_at", "cooling_until", "until")


class EventLog:
    """A subscriber of SharedState."""

    _log = Logger()

    def __call__(self, event: Event) -> None:
        alarm = _ALARMS.get(type(event))
        name, line = alarm or _LINES[type(event)]
        fields = {field: getattr(event, field) for field in ("site", "reason") if hasattr(event, field)}
        if hasattr(event, "address"):
            fields["address"] = str(event.address)
        for end in _ENDS:
            if hasattr(event, end):
                fields["for_seconds"] = round(getattr(event, end) - event.at)
        if isinstance(event, AddressDeclined):
            fields["by_whom"] = "" if event.by_all else f" by {event.site}"
        write = self._log.warn if alarm else self._log.info
        write(line, event=name, pool=event.pool, **fields)
