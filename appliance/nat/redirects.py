"""
All TCP ports of an address lead to one (5.1): the table of nftables that does it, beside what it should be.

A connection to any port of an address in ``every`` is translated to the port that stands there, on the same address.
``exact`` has the ports with a listener of their own, which win.  Only the first packet of a connection looks; for the
others the kernel remembers where they went.  Hence

- connections go on when their address leaves the map, and reach nobody else;
- the table has to stand, empty or not, for as long as there are connections: with the last chain of its kind the kernel
  stops translating at all, and they would break.

``flags owner`` makes the table ours alone: no ``flush ruleset`` of a firewall's reload takes it away, and it goes with
the process, after a ``kill -9`` too, so that a start never finds what was left behind.
"""

from __future__ import annotations

import os
import secrets
import typing
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address

import attrs

from appliance.errors import Blame, DataPathError
from appliance.nat.netfilter import NetfilterError

_TABLE = """\
add table ip {table} {{ flags owner; }}
add map ip {table} every {{ type ipv4_addr : ipv4_addr . inet_service; }}
add set ip {table} exact {{ type ipv4_addr . inet_service; }}
add chain ip {table} arriving {{ type nat hook prerouting priority -90; }}
add chain ip {table} leaving {{ type nat hook output priority -90; }}
flush map ip {table} every
flush set ip {table} exact
flush chain ip {table} arriving
flush chain ip {table} leaving
add rule ip {table} arriving ip daddr . tcp dport @exact accept
add rule ip {table} arriving meta l4proto tcp dnat ip to ip daddr map @every
add rule ip {table} leaving ip daddr . tcp dport @exact accept
add rule ip {table} leaving meta l4proto tcp dnat ip to ip daddr map @every
"""
"""
Makes the table where there is none, and empties it where there is.

``arriving`` is for clients elsewhere, ``leaving`` for those on this host.  The priority is behind the usual one for
such chains (-100), so that an operator's own translation of a port comes first.
"""


class PacketFilter(typing.Protocol):
    """What takes the commands; :class:`~appliance.nat.netfilter.Netfilter` does."""

    def run(self, commands: str) -> None: ...
    def close(self) -> None: ...


@attrs.frozen
class Redirect:
    """
    :param port: where all TCP connections to an address come in,
    :param exact: but for those to these ports.
    """

    port: int
    exact: frozenset[int] = frozenset()


class Redirects:
    """
    The redirected addresses, here and in the kernel.

    A change takes a tenth of a millisecond, and 4 us more for each exact port that comes or goes (beside a firewall of
    some thousand rules 0.2 ms).  The first one, which loads the library and makes the table, takes 10 ms, and longer
    where the kernel has to load its modules: :meth:`prepare` is for that.

    :ivar table: its name in the list that ``nft list tables`` prints.
    """

    def __init__(self, packet_filter: PacketFilter) -> None:
        self._filter = packet_filter
        self.table = (
            f"appliance_{os.getpid()}_{secrets.token_hex(4)}"  # pids are not unique where containers share a host
        )
        self._wanted: dict[IPv4Address, Redirect] = {}
        self._made = False
        # Where the kernel may have something else than what is wanted; then the whole is told anew, for _made is False.
        self._stale: set[IPv4Address] = set()

    def prepare(self) -> None:
        """
        Make the table, so that nobody has to wait for it later.

        :raises NetfilterError: it cannot be had.
        """
        if not self._made:
            self._begin_anew(self._wanted)

    def standing(self, address: IPv4Address) -> Redirect | None:
        return self._wanted.get(address)

    def lead(self, address: IPv4Address, redirect: Redirect | None) -> None:
        """
        From now on new connections to ``address`` go where ``redirect`` says; None: as they would without us.

        :raises DataPathError: and all is as it was before.
        """
        before = self._wanted.get(address)
        if redirect == before and address not in self._stale:
            return
        try:
            self._change(address, before, redirect)
        except NetfilterError as error:
            raise DataPathError(f"{address}: port: all {error}", blame=Blame.PROCESS) from error
        self._want(address, redirect)

    def give_up(self, address: IPv4Address, redirect: Redirect | None) -> None:
        """
        As :meth:`lead`, where there is no way back.  What the kernel does not take is told it again with the next
        change, and before anything else is led to ``address``.

        :raises DataPathError: it does not know it yet.
        """
        try:
            self.lead(address, redirect)
        except DataPathError:
            self._want(address, redirect)
            self._stale.add(address)
            raise

    def close(self) -> None:
        """Take the table away.  Connections that it has translated break."""
        self._filter.close()
        self._made = False
        self._wanted.clear()
        self._stale.clear()

    def _want(self, address: IPv4Address, redirect: Redirect | None) -> None:
        if redirect is None:
            self._wanted.pop(address, None)
        else:
            self._wanted[address] = redirect

    def _change(self, address: IPv4Address, before: Redirect | None, after: Redirect | None) -> None:
        if self._made:
            try:
                self._filter.run("\n".join(self._difference(address, before, after)))
                return
            except NetfilterError:
                # Whatever is there is not what we left.
                self._made = False
        wanted = dict(self._wanted)
        wanted.pop(address, None)
        self._begin_anew(wanted if after is None else {**wanted, address: after})

    def _begin_anew(self, wanted: Mapping[IPv4Address, Redirect]) -> None:
        every = (_every(address, redirect) for address, redirect in wanted.items())
        exact = (_exact(address, port) for address, redirect in wanted.items() for port in sorted(redirect.exact))
        commands = [*self._elements("add", "every", every), *self._elements("add", "exact", exact)]
        self._filter.run(_TABLE.format(table=self.table) + "\n".join(commands))
        self._made = True
        self._stale.clear()

    def _difference(self, address: IPv4Address, before: Redirect | None, after: Redirect | None) -> Iterator[str]:
        if before is not None and (after is None or after.port != before.port):
            yield from self._elements("delete", "every", [str(address)])
        if after is not None and (before is None or after.port != before.port):
            yield from self._elements("add", "every", [_every(address, after)])
        had = before.exact if before is not None else frozenset()
        has = after.exact if after is not None else frozenset()
        yield from self._elements("delete", "exact", (_exact(address, port) for port in sorted(had - has)))
        yield from self._elements("add", "exact", (_exact(address, port) for port in sorted(has - had)))

    def _elements(self, verb: str, where: str, elements: Iterable[str]) -> Iterator[str]:
        listed = ", ".join(elements)
        if listed:
            yield f"{verb} element ip {self.table} {where} {{ {listed} }}"


def _every(address: IPv4Address, redirect: Redirect) -> str:
    return f"{address} : {address} . {redirect.port}"


def _exact(address: IPv4Address, port: int) -> str:
    return f"{address} . {port}"
