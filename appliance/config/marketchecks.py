"""What the section ``market`` says of servers: which are counted twice, and which nobody connects to (2.1)."""

from __future__ import annotations

from appliance.config.backups import backups_of
from appliance.config.faults import Faults
from appliance.config.references import entries_of
from appliance.config.schema import Root
from appliance.config.servers import inline_name
from appliance.config.sitechecks import check_servers_once
from appliance.config.tree import shorten


def check_market(root: Root, faults: Faults) -> None:
    """Note what does not fit; that a server is there at all is seen to elsewhere."""
    place = root.get("market", {}).get("capacity")
    if place is None:
        return
    servers = place.value.get("servers", ())
    check_servers_once(root, servers, faults)
    if not servers or "sites" not in root:
        return
    sent = _sent(root)
    for server in servers:
        if server.value in root.get("servers", {}) and server.value not in sent:
            unseen = "gets no connections from here, so that its load is always 0: no site uses it"
            faults.warn(server.node, f"server '{shorten(server.value)}' {unseen}")


def _sent(root: Root) -> set[str]:
    """Servers that sites send connections to, those for which they are a backup included."""
    backups = {name: place.value for name, place in backups_of(root.get("servers", {})).items()}
    found: set[str] = set()
    for site in root.get("sites", {}).values():
        for entry in entries_of(site.value):
            at = entry.value if isinstance(entry.value, str) else inline_name(entry.value)
            if not isinstance(entry.value, str) and at is not None:
                found.add(at)
                backup = entry.value.get("backup")
                at = backup.value if backup is not None else None
            while at is not None and at not in found:
                found.add(at)
                at = backups.get(at)
    return found
