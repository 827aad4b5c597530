"""
What people and programs may order of servers and virtual servers while they run, by the words of the API (5.10).

An order lies over what the file says until it is taken back, or the file says something else; it survives a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from twisted.internet.defer import Deferred

from appliance.control.carried import Carried
from appliance.control.delivered import Delivered
from appliance.control.subjects import POP, REAL, VIRTUAL, Subject, Subjects
from appliance.control.words import Row, address_of, known, text
from appliance.errors import BalancingError, JournalError, RequestError
from appliance.events import Override
from appliance.shared import SharedState

IN_SERVICE, OUT_OF_SERVICE, DRAINING = "in-service", "out-of-service", "draining"
NO_BACKUP = "none"
MOST_SHOWN = 1000
"""Rows of what was ordered about, in one answer."""

_LIMITS = ("weight", "threshold", "max_connections")


class Orders:
    """
    Each method is one verb: it takes the request's JSON and returns what is answered, both plain dicts.  What it orders
    holds when it returns, and is on its way to the disk.

    :param carried: makes the rows of what was ordered about; ``delivered``: those of POPs.
    """

    def __init__(self, state: SharedState, carried: Carried, delivered: Delivered) -> None:
        self._state = state
        self._carried = carried
        self._delivered = delivered
        self._subjects = Subjects(state)

    def kept(self, answer: Row) -> Row | Deferred[Row]:
        """
        The answer, when what was ordered is on the disk, as far as ``appliance.fsync`` asks for that.

        Where the disk does not take it the order holds all the same, for whoever takes a server out of service must not
        have to mend the disk first; the answer says so under ``warning``.
        """
        waiting = self._state.carrying.durable() if answer["changed"] else None
        if waiting is None:
            return answer

        def failed(failure: Any) -> Row:
            failure.trap(JournalError)
            return {**answer, "warning": f"it holds, but a restart will not know of it: {failure.value}"}

        return waiting.addCallbacks(lambda _: answer, failed)

    # -- one server ------------------------------------------------------------------------------------------------

    def virtual(self, request: Mapping[str, Any]) -> Row:
        """``{virtual, state?}``: its state; with ``in-service`` an instance is made that the file does not know."""
        known(request, "virtual", "state")
        named, state = text(request, "virtual"), text(request, "state", required=False)
        if state not in ("", IN_SERVICE, OUT_OF_SERVICE):
            raise RequestError("invalid", f"found '{state}'; allowed: {IN_SERVICE} or {OUT_OF_SERVICE}", field="state")
        settings = {"state": state} if state else {}
        try:
            subject = self._subjects.virtual(named)
        except BalancingError as problem:
            if state == IN_SERVICE and problem.code == "not-found":
                return self._make(VIRTUAL, self._subjects.virtual_text(named), settings, problem)
            raise
        return self._set(subject, settings)

    def real(self, request: Mapping[str, Any]) -> Row:
        """
        ``{real, state?, weight?, threshold?, max_connections?}``: all of it, or nothing.

        With ``in-service`` a server is made of an address that the file does not know.
        """
        known(request, "real", "state", *_LIMITS)
        named, state = text(request, "real"), text(request, "state", required=False)
        settings = {"state": state} if state else {}
        for limit in _LIMITS:
            if request.get(limit) is not None:
                settings[limit] = number(request, limit)
        try:
            subject = self._subjects.real(named)
        except BalancingError as problem:
            if state == IN_SERVICE and problem.code == "not-found":
                return self._make(REAL, named, settings, problem)
            raise
        return self._set(subject, settings)

    def in_service(self, request: Mapping[str, Any]) -> Row:
        """``{name, kind?}``: it takes new connections again; a POP is answered again as far as it is up."""
        return self._set(self._named(request, pops=True), {"state": IN_SERVICE})

    def out_of_service(self, request: Mapping[str, Any]) -> Row:
        """``{name, kind?}``: no new connections; those that exist go on.  A POP is answered no more, by this one."""
        return self._set(self._named(request, pops=True), {"state": OUT_OF_SERVICE})

    def drain(self, request: Mapping[str, Any]) -> Row:
        """
        ``{name, kind?}``: it takes no new connections, and the answer says how many are left.

        A virtual server that drains is one that is out of service; of a server it is said when it is empty.
        """
        subject = self._named(request)
        return self._set(subject, {"state": DRAINING if subject.kind == REAL else OUT_OF_SERVICE}, counts=True)

    # -- what belongs together -------------------------------------------------------------------------------------

    def bind(self, request: Mapping[str, Any]) -> Row:
        """``{virtual, real}``: the server takes connections of the virtual server."""
        return self._tie(request, "bound")

    def unbind(self, request: Mapping[str, Any]) -> Row:
        """``{virtual, real}``: it takes none of them any more; those that exist go on."""
        return self._tie(request, "unbound")

    def assign(self, request: Mapping[str, Any]) -> Row:
        """``{virtual, client, mask?}``: the client, or its subnet, belongs to the instance (5.3)."""
        return self._assign(request, "assigned")

    def unassign(self, request: Mapping[str, Any]) -> Row:
        """``{virtual, client, mask?}``: it does not any more."""
        return self._assign(request, "unassigned")

    def backup(self, request: Mapping[str, Any]) -> Row:
        """``{name, kind?, backup}``: who takes its connections while it is failed; null is nobody."""
        known(request, "name", "kind", "backup")
        if "backup" not in request:
            raise RequestError("invalid", "'backup' is missing; null is none", field="backup")
        backup = NO_BACKUP if request["backup"] is None else text(request, "backup")
        subject = self._either(request)
        if subject.kind == VIRTUAL and backup != NO_BACKUP:
            backup = self._site(backup)
        return self._set(subject, {"backup": backup})

    # -- taking back -----------------------------------------------------------------------------------------------

    def revert(self, request: Mapping[str, Any]) -> Row:
        """
        ``{name, kind?, setting?}``: what the file says holds again, of one setting or of all that persons have changed.

        Port 0 is all ports of the bind id here, too.
        """
        known(request, "name", "kind", "setting")
        subject, setting = self._either(request, pops=True), self._setting(text(request, "setting", required=False))
        mine = [each for each in self._state.overrides.current() if _is_about(each, subject)]
        wanted = [each for each in mine if setting in ("", each.setting)]
        if not wanted:
            changed = f"; changed are {', '.join(each.setting for each in mine)}" if mine and setting else ""
            what = f"{setting} of {subject.name}" if setting else subject.name
            message = f"{what}: nobody has changed it{changed}"
            raise RequestError("not-found", message, field="setting" if setting else "name")
        rows = []
        # What somebody made goes last, and all about it with it.
        for each in sorted(wanted, key=lambda override: override.setting == "made"):
            if subject.kind == POP:
                self._state.network.forcing.order(subject.name, IN_SERVICE)
            elif self._state.overrides.of(each.subject, each.setting) is not None:
                self._state.carrying.override(each.subject, each.setting, None)
            rows.append(_changed(each.setting, each.configured, each.configured))
        return self._answered(subject, rows)

    def _setting(self, written: str) -> str:
        """As overrides have it."""
        what, _, name = written.partition(" ")
        if what == "client" and name:
            return f"client {a_prefix(name)}"
        if what in ("server", "real") and name:
            return str(self._subjects.real(name))
        return written.replace("-", "_")

    # -- inside ----------------------------------------------------------------------------------------------------

    def _named(self, request: Mapping[str, Any], *, pops: bool = False) -> Subject:
        known(request, "name", "kind")
        return self._either(request, pops=pops)

    def _either(self, request: Mapping[str, Any], *, pops: bool = False) -> Subject:
        return self._subjects.either(text(request, "name"), text(request, "kind", required=False), pops=pops)

    def _tie(self, request: Mapping[str, Any], value: str) -> Row:
        known(request, "virtual", "real")
        virtual = self._subjects.virtual(text(request, "virtual"))
        return self._set(virtual, {str(self._subjects.real(text(request, "real"))): value})

    def _assign(self, request: Mapping[str, Any], value: str) -> Row:
        known(request, "virtual", "client", "mask")
        virtual = self._subjects.virtual(text(request, "virtual"))
        client, mask = text(request, "client"), text(request, "mask", required=False)
        if mask:
            if "/" in client:
                raise RequestError("invalid", f"{client} has a prefix already", field="mask")
            client = f"{client}/{prefix_length(mask)}"
        return self._set(virtual, {f"client {client}": value})

    def _site(self, backup: str) -> str:
        """The site that holds the address, where one is given; a virtual server's backup is a site."""
        try:
            address = IPv4Address(backup)
        except ValueError:
            return backup
        return self._subjects.virtual_text(str(address))

    def _make(self, kind: str, name: str, settings: Mapping[str, str], problem: BalancingError) -> Row:
        """
        What the file does not know.

        :raises RequestError: ``problem``, where a name says nothing that can be made.
        """
        prefix = "server" if kind == REAL else "virtual"
        if kind == REAL:
            self._subjects.refuse_circle(name)
        try:
            rows = self._order(f"{prefix} {name}", {"made": "yes", **settings})
        except BalancingError as hindrance:
            # A name that is no address, and a port that bind id 0 has not, are simply not there.
            unfit = hindrance.code in ("invalid", "exists") and hindrance.field == prefix
            raise problem if unfit else hindrance from None
        subject = (self._subjects.real if kind == REAL else self._subjects.virtual)(name)
        return self._answered(subject, [row for row in rows if row["setting"] != "state"])

    def _set(self, subject: Subject, settings: Mapping[str, str], *, counts: bool = False) -> Row:
        if subject.kind == POP:
            self._state.network.forcing.order(subject.name, settings["state"])
            return self._answered(subject, [_changed("state", settings["state"], IN_SERVICE)])
        return self._answered(subject, self._order(str(subject), settings), counts=counts)

    def _order(self, subject: str, settings: Mapping[str, str]) -> list[Row]:
        """:return: what was ordered, and what the file says of it."""
        done = self._state.carrying.override_all(subject, settings)
        return [
            _changed(override.setting, override.value, override.configured)
            if override is not None
            else _changed(setting, settings[setting], settings[setting])
            for setting, override in done.items()
        ]

    def _answered(self, subject: Subject, changed: list[Row], *, counts: bool = False) -> Row:
        rows = self._rows(subject)
        return {
            "name": subject.name,
            "kind": subject.kind,
            "changed": changed,
            "connections": sum(row["connections"] for row in rows) if counts else None,
            "items": rows,
            "warning": None,
        }

    def _rows(self, subject: Subject) -> list[Row]:
        if subject.kind == POP:
            return self._delivered.pops(name=subject.name)
        if subject.kind == REAL:
            return self._carried.servers_of(subject, limit=MOST_SHOWN)
        return self._carried.virtuals_of(subject, limit=MOST_SHOWN)


def _changed(setting: str, value: str | None, configured: str | None) -> Row:
    return {"setting": setting, "value": value, "configured": configured}


def _is_about(override: Override, subject: Subject) -> bool:
    if subject.kind in (REAL, POP):
        return override.subject == str(subject)
    kind, _, name = override.subject.partition(" ")
    return kind == "virtual" and subject.covers(name)


def number(request: Mapping[str, Any], field: str) -> str:
    """A whole number, as the balancing takes it, which knows its range. :raises RequestError: it is none."""
    value = request[field]
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestError("invalid", f"'{field}' is no whole number", field=field)
    return str(value)


def a_prefix(written: str) -> IPv4Network:
    """:raises RequestError: it is no address or prefix."""
    try:
        return IPv4Network(written)
    except ValueError as problem:
        raise RequestError("invalid", f"'{written}': {problem}", field="setting") from None


def prefix_length(mask: str) -> int:
    """Of 255.255.255.0, 24. :raises RequestError: it is no netmask."""
    bits = int(address_of(mask, field="mask"))
    length = bits.bit_count()
    if bits != (1 << 32) - (1 << 32 - length):
        raise RequestError("invalid", f"'{mask}' is no netmask; 255.255.255.0 is one", field="mask")
    return length
