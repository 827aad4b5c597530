"""
The keys of ``dns`` that are about zone transfers: TSIG keys, where a zone comes from, and who may have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import TypedDict

import dns.exception
import dns.name

from appliance.config.faults import Faults, Unusable
from appliance.config.limits import network
from appliance.config.scalars import choice, host_endpoint, secret_file, text
from appliance.config.shapes import Fields, Key, Placed, Shape, placed, sequence
from appliance.config.tree import Node, shorten
from appliance.config.values import Primary, TransferConfig, TSIGAlgorithm, TSIGKey
from appliance.model import Endpoint

MOST_ENTRIES = 1000
"""Of a zone's lists; each network is looked at for every request."""


class TSIGFields(TypedDict, total=False):
    algorithm: TSIGAlgorithm
    secret: Placed[str] | None


class PrimaryFields(TypedDict, total=False):
    address: Placed[Endpoint]
    key: Placed[str] | None


class TransferFields(TypedDict, total=False):
    allow: tuple[Placed[IPv4Network | IPv6Network], ...]
    keys: tuple[Placed[str], ...]
    notify: tuple[Placed[Endpoint], ...]


def _primary(node: Node, faults: Faults) -> Fields:
    if node.kind == "nothing":
        raise faults.wrong(node, "found nothing; allowed: {address: ENDPOINT}, and 'key' beside it")
    return _PRIMARY.read(node, faults)


def _algorithm(node: Node, faults: Faults) -> TSIGAlgorithm:
    if node.text.lower().startswith("hmac-md5"):
        raise faults.wrong(node, f"found {node.found()}, which is not safe any more; use hmac-sha256")
    return choice(TSIGAlgorithm)(node, faults)


_BASE64 = r"[0-9A-Za-z+/]{16,}={1,2}|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[0-9A-Za-z+/]{22,}"
"""With or without padding; names of files seldom have all of these."""
_TSIG = Shape(
    "dns.tsig.*",
    {
        "algorithm": Key(_algorithm, TSIGAlgorithm.SHA256),
        "secret": Key(placed(secret_file(_BASE64)), None),
    },
)
_PRIMARY = Shape("dns.zones.*.primary", {"address": Key(placed(host_endpoint)), "key": Key(placed(text), None)})
_TRANSFER = Shape(
    "dns.zones.*.transfer",
    {
        "allow": Key(sequence(network), ()),
        "keys": Key(sequence(text), ()),
        "notify": Key(sequence(host_endpoint), ()),
    },
)
tsig = _TSIG.read
primary = placed(_primary)
transfer = placed(_TRANSFER.read)


class Keys:
    """
    The TSIG keys of a file.

    :param written: the section ``dns.tsig``; None where it could not be read, so that any name may be one of it.
    """

    def __init__(
        self, written: Mapping[str, Placed[TSIGFields]] | None, folder: str, state: str | None, faults: Faults
    ) -> None:
        self._known = written is not None
        self._faults = faults
        self._used: set[dns.name.Name] = set()
        self._places: dict[dns.name.Name, Node] = {}
        self.keys: tuple[TSIGKey, ...] = tuple(self._read(written or {}, folder, state))

    def _read(self, written: Mapping[str, Placed[TSIGFields]], folder: str, state: str | None) -> Iterator[TSIGKey]:
        for name, place in written.items():
            try:
                absolute = self._name(name, place.node)
            except Unusable:
                continue
            if absolute in self._places:
                before = self._places[absolute]
                self._faults.add(place.node, f"the key is already {before.path} (line {before.line})")
                continue
            self._places[absolute] = place.node
            if not {"algorithm", "secret"} <= place.value.keys():
                continue
            secret = place.value["secret"]
            yield TSIGKey(absolute, place.value["algorithm"], self._file(place, secret, folder, state))

    def _name(self, written: str, node: Node) -> dns.name.Name:
        try:
            name = dns.name.from_text(written.lower()) if written.isascii() else dns.name.root
        except (dns.exception.DNSException, UnicodeError, ValueError) as error:
            raise self._faults.wrong(node, f"'{shorten(written)}' cannot name a key: {error}") from None
        if name == dns.name.root:
            raise self._faults.wrong(node, f"'{shorten(written)}' cannot name a key; allowed: a DNS name")
        return name

    def _file(
        self, place: Placed[TSIGFields], secret: Placed[str] | None, folder: str, state: str | None
    ) -> str | None:
        if secret is None:
            if state is None:
                self._faults.add(
                    place.node, "'secret' is required, for appliance.state_directory is 'none' and cannot keep one"
                )
            return None
        file = os.path.abspath(os.path.join(folder, secret.value))
        if not os.path.isfile(file):
            self._faults.add(
                secret.node, f"'{file}' is no file; the other side has the same secret, so none can be made up here"
            )
        return file

    def find(self, place: Placed[str]) -> dns.name.Name | None:
        """The key that is named somewhere; None after noting that there is none."""
        try:
            name = self._name(place.value, place.node)
        except Unusable:
            return None
        self._used.add(name)
        if name in self._places or not self._known:
            return name
        known = [each.to_text(omit_final_dot=True) for each in self._places]
        near = self._faults.did_you_mean(place.value, known)
        some = f"; there is {', '.join(known[:5])}" if known else "; dns.tsig has none"
        self._faults.add(place.node, f"unknown key '{shorten(place.value)}'{near or some}")
        return None

    def warn_unused(self) -> None:
        for name, node in self._places.items():
            if name not in self._used:
                self._faults.warn(node, "no zone uses this key")


def primary_of(place: Placed[PrimaryFields], keys: Keys, listen: frozenset[Endpoint], faults: Faults) -> Primary | None:
    """Where a zone comes from; None after noting what is wrong with it."""
    fields = place.value
    name = fields.get("key")
    key = keys.find(name) if name is not None else None
    if not {"address", "key"} <= fields.keys() or (name is not None and key is None):
        return None
    address = fields["address"]
    if address.value in listen:
        faults.add(address.node, f"{address.value} is in dns.listen; a zone cannot come from the appliance itself")
        return None
    return Primary(address.value, key)


def transfer_of(
    place: Placed[TransferFields], keys: Keys, listen: frozenset[Endpoint], faults: Faults
) -> TransferConfig:
    """Who may have a zone, and who is told of a new one; without what is wrong."""
    fields = place.value
    for name in ("allow", "keys", "notify"):
        written = place.node.entries.get(name)
        if written is not None and len(written.items) > MOST_ENTRIES:
            faults.add(written, f"found {len(written.items)} entries; allowed: at most {MOST_ENTRIES}")
    for told in fields.get("notify", ()):
        if told.value in listen:
            faults.add(told.node, f"{told.value} is in dns.listen; the appliance need not be told of its own zones")
    if fields.get("notify") and not place.node.entries.keys() & {"allow", "keys"}:
        faults.warn(place.node, "'notify' tells servers that may not have the zone; list them in 'allow', or their key")
    names = [keys.find(each) for each in fields.get("keys", ())]
    return TransferConfig(
        allow=tuple(each.value for each in fields.get("allow", ())),
        keys=tuple(dict.fromkeys(name for name in names if name is not None)),
        notify=tuple(dict.fromkeys(each.value for each in fields.get("notify", ()))),
    )
