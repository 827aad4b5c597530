"""One log line for each change of a lease, a server, a client or a POP; docs/events.rst lists the names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
from constantly import NamedConstant  # type: ignore[import-untyped]
from twisted.logger import Logger, LogLevel

from appliance.balancing.events import (
    ClientAssigned,
    ClientEvent,
    ClientReleased,
    QueueFull,
    ServerBack,
    ServerDrained,
    ServerEvent,
    ServerFailed,
    ServerTested,
    VirtualBack,
    VirtualEvent,
    VirtualFailed,
)
from appliance.control.words import WHYS
from appliance.delivery.events import DeliveryDown, DeliveryEvent, DeliveryUp
from appliance.events import (
    AddressAdded,
    AddressDeclined,
    AddressEvent,
    AddressFreed,
    AddressRemoved,
    ChoiceChanged,
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
from appliance.health import (
    PopsAgreed,
    PopsAlone,
    SubjectDown,
    SubjectEvent,
    SubjectFlapping,
    SubjectForced,
    SubjectUp,
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
    Pinned: ("address-pinned", "{event}: {address} for {site}, until {until}"),
    Unpinned: ("address-unpinned", "{event}: {address} of {site}"),
    Override: ("override-set", "{event}: {subject}: {setting} is {value}; the file says {configured}"),
}
_TAKEN_BACK = ("override-ended", "{event}: {subject}: {setting} is as configured, {configured}: {reason}")
_SILENT = (LeaseExtended, ChoiceChanged)
"""
A busy site has one of the former every few periods, a customer's names one of the latter whenever somebody else is the
best; nothing has changed that a person would look for.
"""

_ALARMS: dict[type[Event], tuple[str, str]] = {
    AddressDeclined: (
        "address-declined",
        "{event}: {address} of {pool} is left alone for {for_seconds} s{by_whom}, for it cannot be opened: {reason}",
    ),
    PoolExhausted: ("pool-exhausted", "{event}: {pool} has no address for {site}; said again after the next grant"),
}

_INFO, _WARN, _ERROR = LogLevel.info, LogLevel.warn, LogLevel.error

_BALANCING: dict[type[Event], tuple[str, str, NamedConstant]] = {
    ServerFailed: ("server-failed", "{event}: {server}, {why}; {then}{more}", _ERROR),
    ServerTested: ("server-tested", "{event}: {server} gets one connection, which decides", _INFO),
    ServerBack: ("server-back", "{event}: {server} takes new connections again: {reason}{more}", _INFO),
    ServerDrained: ("server-drained", "{event}: {server} has no connection left", _INFO),
    VirtualFailed: (
        "virtual-failed",
        "{event}: {virtual}, for nothing that is available to it takes new connections{more}",
        _ERROR,
    ),
    VirtualBack: ("virtual-back", "{event}: {virtual} takes connections again{more}", _INFO),
    QueueFull: ("queue-full", "{event}: {virtual} refuses connections, for all waiting places are taken{more}", _WARN),
    ClientAssigned: ("client-assigned", "{event}: {client} to instance {bind_id} of {site}: {reason}{more}", _INFO),
    ClientReleased: ("client-released", "{event}: {client} from instance {bind_id} of {site}{more}", _INFO),
}
_NETWORK: dict[type[Event], tuple[str, str, NamedConstant]] = {
    SubjectDown: ("subject-down", "{event}: {subject}{forced}: {reason}{more}", _ERROR),
    SubjectUp: ("subject-up", "{event}: {subject} after {for_seconds} s{forced}: {reason}{more}", _INFO),
    SubjectFlapping: ("subject-flapping", "{event}: {subject} goes up and down, {flaps} times lately{more}", _WARN),
    SubjectForced: ("subject-forced", "{event}: {subject} counts as {state}, {by}", _INFO),
    PopsAlone: ("pops-alone", "{event}: more than half of the others seem to be down{doubted}; {then}", _ERROR),
    PopsAgreed: ("pops-agreed", "{event}: believed are {observers}", _INFO),
    DeliveryDown: ("delivery-down", "{event}: {names} of {customer}: {why}{more}", _ERROR),
    DeliveryUp: ("delivery-up", "{event}: {names} of {customer} are answered as they should be{more}", _INFO),
}

_BY_STRANGERS = (QueueFull, ClientAssigned, ClientReleased)
"""Many clients together can cause these as often as they like."""
MOST_A_MINUTE = 10
"""Of the lines of one kind that strangers can cause."""
_BY_CROWDS = (
    *(ServerFailed, ServerBack, VirtualFailed, VirtualBack),
    *(SubjectDown, SubjectUp, SubjectFlapping, DeliveryDown, DeliveryUp),
)
"""
As many as share a server, a switch or a POP have these at one instant, and the reactor would do nothing but write for
long.
"""
MOST_AT_ONCE = 20
"""Of the lines of one kind, within a second: a millisecond of work.  Alarms and lists have them all."""


@attrs.define
class _Ration:
    """
    Some lines of one kind, and how many were kept back.

    :param most: so many in ``span`` seconds, which began at ``began_at``.
    """

    most: int
    span: float
    began_at: float = -math.inf
    written: int = 0
    kept_back: int = 0

    def allows(self, at: float) -> bool:
        if at - self.began_at >= self.span:
            self.began_at, self.written = at, 0
        self.written += 1
        if self.written > self.most:
            self.kept_back += 1
            return False
        return True

    def more(self) -> str:
        """To be said in the line that is written next."""
        kept_back, self.kept_back = self.kept_back, 0
        return f" ({kept_back} more since the last such line)" if kept_back else ""


class EventLog:
    """A subscriber of SharedState."""

    _log = Logger()

    def __init__(self) -> None:
        self._rations: dict[type[Event], _Ration] = {
            **{kind: _Ration(MOST_A_MINUTE, 60.0) for kind in _BY_STRANGERS},
            **{kind: _Ration(MOST_AT_ONCE, 1.0) for kind in _BY_CROWDS},
        }

    def __call__(self, event: Event) -> None:
        if isinstance(event, SubjectDown | SubjectUp) and event.subject.startswith("server "):
            return  # the balancing says it, and what follows: server-failed, server-back
        if type(event) in _BALANCING:
            self._rationed(event, *_BALANCING[type(event)], _fields(event))
        elif type(event) in _NETWORK:
            self._rationed(event, *_NETWORK[type(event)], _of_network(event))
        elif not isinstance(event, _SILENT):
            self._lease(event)

    def _lease(self, event: Event) -> None:
        alarm = _ALARMS.get(type(event))
        name, line = alarm or _LINES[type(event)]
        if isinstance(event, Override) and event.value is None:
            name, line = _TAKEN_BACK
        fields = {field: getattr(event, field) for field in ("site", "reason") if hasattr(event, field)}
        if isinstance(event, LeaseEvent | PoolEvent):
            fields["pool"] = event.pool
        if isinstance(event, LeaseEvent | AddressEvent | PinEvent):
            fields["address"] = str(event.address)
        if isinstance(event, Pinned):
            fields["until"] = "the file says something else" if event.static else "it is unpinned"
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

    def _rationed(self, event: Event, name: str, line: str, level: NamedConstant, fields: Mapping[str, object]) -> None:
        ration = self._rations.get(type(event))
        if ration is not None and not ration.allows(event.at):
            return
        more = ration.more() if ration is not None else ""
        self._log.emit(level, line, event=name, more=more, **fields)


def _fields(event: Event) -> Mapping[str, object]:
    """What a line about balancing, and a program that reads the log, may want to know."""
    fields: dict[str, object] = {}
    if isinstance(event, ServerEvent):
        fields["server"] = event.server
    if isinstance(event, ServerFailed):
        if event.retry_at is None:
            fields |= {"why": event.reason, "then": "back when its probes pass"}
        else:
            why = "its test failed" if event.again else f"{event.ditched} connections in a row were ditched"
            span = round(event.retry_at - event.at, 1)
            span = int(span) if span == int(span) else span  # it may be a part of a second
            fields |= {"why": f"{why} ({event.reason})" if event.reason else why, "then": f"tested in {span} s"}
            fields["for_seconds"] = span
    if isinstance(event, VirtualEvent):
        fields["virtual"] = event.virtual
    if isinstance(event, ClientEvent):
        fields |= {"site": event.site, "bind_id": event.bind_id, "client": str(event.client)}
    if isinstance(event, ServerFailed | ServerBack | ClientAssigned):
        fields["reason"] = event.reason
    return fields


def _of_network(event: Event) -> Mapping[str, object]:
    """The same about POPs, checks and customers' answers."""
    fields: dict[str, object] = {}
    if isinstance(event, SubjectEvent):
        fields["subject"] = event.subject
    if isinstance(event, SubjectDown | SubjectUp):
        forced = event.forced
        fields |= {"reason": event.reason, "forced": f" (by hand it is {forced.value})" if forced is not None else ""}
    if isinstance(event, SubjectUp):
        fields["for_seconds"] = round(event.after, 1)
    if isinstance(event, SubjectFlapping):
        fields["flaps"] = round(event.flaps, 1)
    if isinstance(event, SubjectForced):
        by_hand = event.forced is not None
        fields |= {"state": "up" if event.up else "down", "by": "by hand" if by_hand else "as it is measured"}
    if isinstance(event, PopsAlone):
        fields["doubted"] = f", also to {', '.join(event.doubted)}" if event.doubted else ""
        fields["then"] = "all configured POPs are answered" if event.everything else "what was last agreed on counts"
    if isinstance(event, PopsAgreed):
        fields["observers"] = ", ".join(event.observers)
    if isinstance(event, DeliveryEvent):
        fields |= {"customer": event.customer, "names": event.names}
    if isinstance(event, DeliveryDown):
        fields |= {"reason": event.reason, "why": WHYS[event.reason]}
    return fields
