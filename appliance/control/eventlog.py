"""One log line for each change that somebody may look for; docs/events.rst lists the names."""

from __future__ import annotations

from twisted.logger import Logger

from appliance.events import (
    AddressAdded,
    AddressDeclined,
    AddressEvent,
    AddressFreed,
    AddressRemoved,
    Event,
    LeaseBound,
    LeaseDraining,
    LeaseEvent,
    LeaseExtended,
    LeaseGranted,
    LeaseReclaimed,
    LeaseReset,
    Override,
    PinEvent,
    Pinned,
    PoolEvent,
    PoolExhausted,
    Unpinned,
)

_LINES: dict[type[Event], tuple[str, str]] = {
    LeaseGranted: ("lease-granted", "{event}: {address} to {site} ({server})"),
    LeaseBound: ("lease-bound", "{event}: {address} by the first connection to {site}"),
    LeaseReset: ("lease-reset", "{event}: {address} stays with {site}, which has live connections"),
    LeaseDraining: ("lease-draining", "{event}: {address} of {site} is not answered any more: {reason}"),
    LeaseReclaimed: ("lease-reclaimed", "{event}: {address} from {site}; cools for {for_seconds} s"),
    AddressFreed: ("address-freed", "{event}: {address} of {pool}"),
    AddressAdded: ("address-added", "{event}: {address} to {pool}"),
    AddressRemoved: ("address-removed", "{event}: {address} from {pool}"),
    Pinned: ("address-pinned", "{event}: {address} for {site}, until it is unpinned"),
    Unpinned: ("address-unpinned", "{event}: {address} of {site}"),
    Override: ("override-set", "{event}: {subject}: {setting} is {value}; the file says {configured}"),
}
_TAKEN_BACK = ("override-ended", "{event}: {subject}: {setting} is as configured, {configured}: {reason}")
_SILENT = (LeaseExtended,)
"""A busy site has one of these every few periods; nothing has changed that a person would look for."""

_ALARMS: dict[type[Event], tuple[str, str]] = {
    AddressDeclined: (
        "address-declined",
        "{event}: {address} of {pool} is left alone for {for_seconds} s{by_whom}, for it cannot be opened: {reason}",
    ),
    PoolExhausted: ("pool-exhausted", "{event}: {pool} has no address for {site}; said again after the next grant"),
}


class EventLog:
    """A subscriber of SharedState."""

    _log = Logger()

    def __call__(self, event: Event) -> None:
        if isinstance(event, _SILENT):
            return
        alarm = _ALARMS.get(type(event))
        name, line = alarm or _LINES[type(event)]
        if isinstance(event, Override) and event.value is None:
            name, line = _TAKEN_BACK
        fields = {field: getattr(event, field) for field in ("site", "reason") if hasattr(event, field)}
        if isinstance(event, LeaseEvent | PoolEvent):
            fields["pool"] = event.pool
        if isinstance(event, LeaseEvent | AddressEvent | PinEvent):
            fields["address"] = str(event.address)
        if isinstance(event, LeaseEvent):
            fields["server"] = event.lease.server
        if isinstance(event, Override):
            fields.update(subject=event.subject, setting=event.setting, value=event.value)
            fields["configured"] = "nothing" if event.configured is None else event.configured
            fields["reason"] = event.reason or "it was taken back"
        if isinstance(event, LeaseReclaimed):
            fields["for_seconds"] = round(event.lease.ends_at - event.at)
        if isinstance(event, AddressDeclined):
            fields["for_seconds"] = round(event.until - event.at)
            fields["by_whom"] = "" if event.by_all else f" by {event.site}"
        write = self._log.warn if alarm else self._log.info
        write(line, event=name, **fields)
