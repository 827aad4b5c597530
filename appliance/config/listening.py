"""Where the appliance itself listens, beside the addresses that sites hold."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from appliance.config.schema import DEFAULT_LISTEN, Root
from appliance.config.tree import Node
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


def listeners(root: Root) -> Iterator[Listener]:
    """Those of the name server, the default where none is written, and the manhole's; control sockets are files."""
    if "listen" in root.get("dns", {}):
        written = [(each.value, each.node) for each in root["dns"]["listen"] or ()]
        for endpoint, node in written or [(DEFAULT_LISTEN, Node("dns.listen", 0, "nothing"))]:
            yield Listener(endpoint, node, frozenset(Transport))
    manhole = root.get("control", {}).get("manhole")
    ssh = manhole.value.get("ssh") if manhole is not None else None
    if ssh is not None:
        yield Listener(ssh.value, ssh.node, frozenset({Transport.TCP}))
