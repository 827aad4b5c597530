"""
Who is meant: how people name servers and virtual servers (5.10).

A virtual server is ``SITE[:PORT[/udp][:BIND]]``, or the same with a leased address in place of the site, which then
means the site that holds it; port and bind id are 0 where they are not said, and port 0 is all ports of the bind id.  A
real server is a name of the configuration, or ``ADDRESS[:PORT]``.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import attrs

from appliance.balancing.subjects import endpoint_of
from appliance.control.words import is_number
from appliance.errors import BalancingError, RequestError
from appliance.model import UDP_KEYS, Address
from appliance.shared import SharedState

REAL, VIRTUAL, POP = "real", "virtual", "pop"
_PREFIXES = {REAL: "server ", VIRTUAL: "virtual ", POP: "pop "}
_NAMES = {REAL: "a real server", VIRTUAL: "a virtual server", POP: "a POP"}


@attrs.frozen
class Subject:
    """
    A server, virtual server or POP that is there.

    :param kind: :data:`REAL`, :data:`VIRTUAL` or :data:`POP`.
    :param name: ``NAME``, or ``SITE:PORT[/udp]:BIND``.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        """As it is known to those who keep its overrides."""
        return _PREFIXES[self.kind] + self.name

    def covers(self, virtual: str) -> bool:
        """Is the virtual server ``SITE:PORT[/udp]:BIND`` this one, or one of its bind id where port 0 means all?"""
        site, port, bind_id = self.name.split(":")
        if self.name == virtual:
            return True
        other_site, other_port, other_bind_id = virtual.split(":")
        if (site, bind_id) != (other_site, other_bind_id) or port not in ("0", "0/udp"):
            return False
        return port == "0" or other_port.endswith("/udp")


class Subjects:
    """Finds them."""

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def real(self, text: str) -> Subject:
        """:raises BalancingError: there is no such server, or the address is several."""
        return self._known(REAL, text)

    def pop(self, text: str) -> Subject:
        """:raises RequestError: there is no such POP."""
        pops = self._state.network.pops.pops
        if text not in pops:
            raise RequestError("not-found", f"no POP '{text}'; there is {', '.join(pops) or 'none'}", field=POP)
        return Subject(POP, text)

    def refuse_circle(self, text: str) -> None:
        """
        As the check of the configuration does.

        :raises RequestError: a server of this name would be at one of our own addresses.
        """
        endpoint = endpoint_of(text)
        address = endpoint[0] if endpoint is not None else None
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped
        if address is None:
            return
        pools = [name for name, table in self._state.tables().items() if address in table]
        if pools or address in self._state.pins:
            whose = f"in pool {pools[0]}" if pools else "a site's for good"
            raise RequestError("in-use", f"{address} is {whose}; traffic to it would come back", field="real")

    def virtual(self, text: str) -> Subject:
        """:raises RequestError: there is no such virtual server, or several hold the address."""
        return self._known(VIRTUAL, self.virtual_text(text))

    def either(self, text: str, kind: str = "", *, pops: bool = False) -> Subject:
        """
        :param kind: :data:`REAL`, :data:`VIRTUAL` or :data:`POP`, where it is known.
        :param pops: a POP may be meant.
        :raises RequestError: there is none, or several.
        """
        allowed = (REAL, VIRTUAL, POP) if pops else (REAL, VIRTUAL)
        if kind not in ("", *allowed):
            raise RequestError("invalid", f"found '{kind}'; allowed: {' or '.join(allowed)}", field="kind")
        if kind == POP:
            return self.pop(text)
        found: list[Subject] = []
        if pops and not kind and text in self._state.network.pops.pops:
            found.append(Subject(POP, text))
        problems: list[RequestError] = []
        for each, find in ((REAL, self.real), (VIRTUAL, self.virtual)):
            if kind in ("", each):
                try:
                    found.append(find(text))
                except RequestError as problem:
                    problems.append(problem)
        if len(found) > 1:
            found.sort(key=lambda subject: allowed.index(subject.kind))
            write = " or ".join(f"'{subject.kind} {text}'" for subject in found)
            message = f"{text} is {' and '.join(_NAMES[subject.kind] for subject in found)}; write {write}"
            raise RequestError("ambiguous", message, field="name")
        if found:
            return found[0]
        telling = [problem for problem in problems if problem.code != "not-found"]
        if not telling and "." in text.partition(":")[0] and ":" in text:
            # Who writes a port of a site, or of an address, wants to know which there are.
            telling = problems[-1:]
        if telling or len(problems) == 1:
            first = (telling or problems)[0]
            if len(problems) > 1 and first.code == "not-found" and self._is_nobodys(text):
                made = f"no server {text}, which 'appliance real {text} in-service' makes"
                raise RequestError(first.code, f"{made}; {first}", field="name")
            raise RequestError(first.code, str(first), field="name")
        raise RequestError("not-found", self._nobody(text, pops=pops), field="name")

    def _nobody(self, text: str, *, pops: bool) -> str:
        if pops:
            listed = "'appliance servers', 'appliance virtuals' and 'appliance pops' list them"
            return f"no real server, virtual server or POP '{text}'; {listed}"
        if text in self._state.network.pops.pops:
            return f"{text} is a POP; this is for real and virtual servers, and 'out-of-service' for POPs too"
        return f"no real or virtual server '{text}'; 'appliance servers' and 'appliance virtuals' list them"

    def virtual_text(self, text: str) -> str:
        """
        ``SITE...`` of what may be ``ADDRESS...``; whether there is such a virtual server is not looked at.

        :raises RequestError: nobody holds the address, or several sites that have the port do.
        """
        holder, colon, rest = text.partition(":")
        try:
            address = IPv4Address(holder)
        except ValueError:
            return text
        sites = self.holders(address)
        if not sites:
            raise RequestError("not-found", f"nobody holds {address}", field="virtual")
        having = [site for site in sites if self._has(site, rest.partition(":")[0])]
        if len(having) != 1:
            if having:
                listed = ", ".join(f"{site}{colon}{rest}" for site in having)
                raise RequestError("ambiguous", f"several sites hold {address}: {listed}", field="virtual")
            what = f"no site at {address} has that port; there is {', '.join(sites)}"
            raise RequestError("not-found", what, field="virtual")
        return f"{having[0]}{colon}{rest}"

    def holders(self, address: Address) -> list[str]:
        """The sites that are answered with ``address``, or have it for good."""
        sites = [
            lease.site
            for table in self._state.tables().values()
            for lease in table.holders(address)
            if lease.state.value != "cooling"
        ]
        pin = self._state.pins.at(address)
        if pin is not None and pin.standing:
            sites.append(pin.site)
        return sorted(set(sites))

    def _is_nobodys(self, text: str) -> bool:
        """Is it ADDRESS:PORT, which may be meant as a server's, for no site has the address?"""
        host, _, port = text.partition(":")
        try:
            return port.isascii() and port.isdigit() and not self.holders(IPv4Address(host))
        except ValueError:
            return False

    def _has(self, name: str, port: str) -> bool:
        """Has the site that port?  What is no port, or 0, everybody has: the balancing says what is wrong with it."""
        number, _, transport = port.partition("/")
        site = self._state.sites.get(name)
        if site is None or not is_number(number) or int(number) == 0:
            return True
        return int(number) + (UDP_KEYS if transport == "udp" else 0) in site.keys

    def _known(self, kind: str, text: str) -> Subject:
        prefix = _PREFIXES[kind]
        try:
            return Subject(kind, self._state.carrying.canonical(prefix + text).removeprefix(prefix))
        except BalancingError as problem:
            raise BalancingError(problem.code, str(problem), field=kind) from None
