"""What people and programs may do to the running process, by the words of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred

from appliance.control.words import Row, known, text
from appliance.errors import JournalError, RequestError
from appliance.model import Address, Endpoint
from appliance.shared import SharedState


class Changing:
    """
    Each method is one verb: it takes the request's JSON and returns what is answered, both plain dicts.

    :param reload: reads the configuration again; says whether it was taken over, and what to tell the person.
    :param listen: where the name server listens.
    :param snapshot: writes the state to the disk; None where it is kept in memory only.
    """

    def __init__(
        self,
        state: SharedState,
        *,
        reload: Callable[[], Deferred[tuple[bool, str]]],
        listen: Callable[[], Iterable[Endpoint]],
        snapshot: Callable[[], Deferred[None]] | None,
    ) -> None:
        self._state = state
        self._reload = reload
        self._listen = listen
        self._snapshot = snapshot

    def release(self, request: Mapping[str, Any]) -> Row:
        """``{address, site?, now?}``: end a lease: drain it, or with ``now`` end its connections."""
        known(request, "address", "site", "now")
        address = an_address(request)
        site = text(request, "site", required=False) or None
        at_once = request.get("now", False)
        if not isinstance(at_once, bool):
            raise RequestError("invalid", "'now' is true or false", field="now")
        sites = self._state.by_hand.release(address, site.lower().removesuffix(".") if site else None, at_once=at_once)
        return {"address": str(address), "released": sites, "state": "ended" if at_once else "draining"}

    def pin(self, request: Mapping[str, Any]) -> Row:
        """``{site, address}``: give a site an address for good."""
        known(request, "site", "address")
        site, address = text(request, "site"), an_address(request)
        if (use := self._used_for(address)) is not None:
            raise RequestError("in-use", f"{address} is {use}", field="address")
        standing = self._state.by_hand.pin(site, address)
        return {"site": site, "address": str(address), "state": "pinned" if standing else "waiting"}

    def _used_for(self, address: Address) -> str | None:
        """What an address is used for that cannot be a site's; None where it may be."""
        if any(endpoint.address == address for endpoint in self._listen()):
            return "where the name server listens"
        if any(row.address == address for row in self._state.carrying.servers()):
            return "the address of a server; traffic to it would come back to the appliance"
        return None

    def unpin(self, request: Mapping[str, Any]) -> Row:
        """``{site}``: the site leases like others again."""
        known(request, "site")
        site = text(request, "site")
        return {"site": site, "address": str(self._state.by_hand.unpin(site)), "state": "unpinned"}

    def snapshot(self, request: Mapping[str, Any]) -> Deferred[Row]:
        """``{}``: write a snapshot now; answered when it is on the disk."""
        known(request)
        if self._snapshot is None:
            raise RequestError("no-state", "appliance.state_directory is 'none': there is nowhere to write to")

        def failed(failure: Any) -> Row:
            failure.trap(JournalError)
            raise RequestError("journal", str(failure.value))

        return self._snapshot().addCallbacks(lambda _: {"snapshot": "written"}, failed)

    def reload(self, request: Mapping[str, Any]) -> Deferred[Row]:
        """``{}``: read the configuration again, as HUP does; answered when it is taken over."""
        known(request)

        def told(outcome: tuple[bool, str]) -> Row:
            done, said = outcome
            if not done:
                raise RequestError("refused", said)
            return {"reload": said}

        return self._reload().addCallback(told)


def an_address(request: Mapping[str, Any]) -> Address:
    """:raises RequestError: where it is missing, or cannot be leased."""
    value = text(request, "address")
    try:
        found = IPv4Address(value)
    except ValueError:
        raise RequestError("invalid", f"'{value}' is no IPv4 address", field="address") from None
    if found.is_multicast or found.is_unspecified or found == IPv4Address("255.255.255.255"):
        raise RequestError("invalid", f"{found} is not the address of one host", field="address")
    return found
