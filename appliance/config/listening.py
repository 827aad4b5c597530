"""Where the appliance itself listens, beside the addresses that sites hold."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from appliance.config.schema import DEFAULT_LISTEN, Root
from appliance.config.shapes import Placed
from appliance.config.tree import Node
from appliance.config.values import DEFAULT_PEERS
from appliance.model import Endpoint, Transport


@attrs.frozen
class Listener:
    """One endpoint; ``transports`` are those that it serves."""

    endpoint: Endpoint
    node: Node
    transports: frozenset[Transport]

    def __str__(self) -> str:
        line = f" (line {self.node.line})" if self.node.line else ""
        return f"{self.node.path}{line}"


def listeners(root: Root, *, manhole: bool = True) -> Iterator[Listener]:
    """Those of the name server, the default where none is written, the manhole's and the peers'; others are files."""
    if "listen" in root.get("dns", {}):
        written = [(each.value, each.node) for each in root["dns"]["listen"] or ()]
        for endpoint, node in written or [(DEFAULT_LISTEN, Node("dns.listen", 0, "nothing"))]:
            yield Listener(endpoint, node, frozenset(Transport))
    prompt = root.get("control", {}).get("manhole") if manhole else None
    ssh = prompt.value.get("ssh") if prompt is not None else None
    if ssh is not None:
        yield Listener(ssh.value, ssh.node, frozenset({Transport.TCP}))
    peers = root.get("control", {}).get("peers")
    if peers is not None and "listen" in peers.value:
        listen = peers.value["listen"] or Placed(DEFAULT_PEERS, peers.node)
        yield Listener(listen.value, listen.node, frozenset({Transport.TCP}))
