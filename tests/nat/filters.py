"""A packet filter that knows the few words of nft's language that redirects are told in."""

from __future__ import annotations

import re

import attrs

from appliance.nat.netfilter import NetfilterError

_ELEMENTS = re.compile(r"(add|delete) element ip (\S+) (every|exact) \{ (.*) \}")


@attrs.define
class FakePacketFilter:
    """
    Holds what it was told, as the kernel does.

    :param failure: it takes nothing.
    :param every: address to (address, port); ``exact``: (address, port).
    :ivar table: its name; None where there is none.
    """

    failure: str | None = None
    table: str | None = None
    every: dict[str, tuple[str, int]] = attrs.Factory(dict)
    exact: set[tuple[str, int]] = attrs.Factory(set)
    runs: int = 0

    def run(self, commands: str) -> None:
        self.runs += 1
        if self.failure is not None:
            raise NetfilterError(self.failure)
        before = self.table, dict(self.every), set(self.exact)
        try:
            for line in filter(None, commands.split("\n")):
                self._run(line)
        except NetfilterError:
            self.table, self.every, self.exact = before
            raise

    def close(self) -> None:
        self.table = None
        self.every.clear()
        self.exact.clear()

    def _run(self, line: str) -> None:
        match = _ELEMENTS.fullmatch(line)
        words = line.split()
        if match is None:
            if words[:3] == ["add", "table", "ip"]:
                self.table = words[3]
            self._need(line, fits=self.table is not None and self.table in words)
            if words[0] == "flush" and words[1] in ("map", "set"):
                (self.every if words[4] == "every" else self.exact).clear()
            return
        self._need(line, fits=match[2] == self.table)
        for element in match[4].split(", "):
            self._element(match[1], match[3], element, line)

    def _element(self, verb: str, where: str, element: str, line: str) -> None:
        key, _, value = element.partition(" : ")
        if where == "exact":
            address, port = key.split(" . ")
            place = address, int(port)
            self._need(line, fits=(place in self.exact) == (verb == "delete"))
            (self.exact.remove if verb == "delete" else self.exact.add)(place)
        elif verb == "delete":
            self._need(line, fits=key in self.every)
            del self.every[key]
        else:
            self._need(line, fits=key not in self.every)
            address, port = value.split(" . ")
            self.every[key] = address, int(port)

    def _need(self, line: str, *, fits: bool) -> None:
        if not fits:
            raise NetfilterError(f"was refused by nftables: No such file or directory, or File exists ({line})")
