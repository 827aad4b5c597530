"""What probes say about servers: which port they look at, and what is learnt of an origin (3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.config.backups import backups_of
from appliance.config.faults import Faults
from appliance.config.references import Written, all_servers
from appliance.config.schema import Root
from appliance.config.servers import ServerFields, inline_name
from appliance.config.shapes import Fields, Placed
from appliance.model import ProbeType, Service

_NO_PORT = 0


def check_probes(root: Root, faults: Faults) -> None:
    """Note the probes that a server has twice, and those that do not know where to look."""
    seen: set[str] = set()
    ports = probe_ports(root)
    for written in all_servers(root):
        names: set[str] = set()
        again = written.name in seen  # one server in many sites is told once
        seen.add(written.name or "")
        for place in written.fields.get("probes", ()):
            if place.value in names:
                faults.add(place.node, f"probe '{place.value}' is already in this list")
            names.add(place.value)
        if not again and written.name is not None and ports.get(written.name) == _NO_PORT:
            _check_port(root, written, faults)


def probe_ports(root: Root) -> dict[str, int]:
    """
    What a probe without a port looks at, for each server with probes.

    That is the server's own port, or else the first one that a site sends it connections on, in the order of the file;
    those for which a server is a backup count as its own.  0: there is none.  Servers with faults are left out.
    """
    sent = _sent(root)
    found: dict[str, int] = {}
    for written in all_servers(root):
        name, port = written.name, written.fields.get("port")
        if name is None or port is None or not written.fields.get("probes"):
            continue
        found.setdefault(name, port or sent.get(name, _NO_PORT))
    return found


def _check_port(root: Root, written: Written, faults: Faults) -> None:
    for place in written.fields.get("probes", ()):
        probe = root.get("probes", {}).get(place.value)
        if probe is None or probe.value.get("port") != _NO_PORT or not _needs_port(probe.value):
            continue
        where = "neither it nor the server has a port, nor does a site send the server connections"
        faults.add(place.node, f"probe '{place.value}' has nowhere to look: {where}; set 'port' of one of them")


def _needs_port(probe: Fields) -> bool:
    if probe.get("type") is not ProbeType.EXEC:
        return "type" in probe
    return any("{port}" in each.value for each in probe.get("command", ()))


def _sent(root: Root) -> dict[str, int]:
    """The first port that sites send connections on, by the server; each server is met once."""
    backups = {name: place.value for name, place in backups_of(root.get("servers", {})).items()}
    found: dict[str, int] = {}
    for entries, services in _lists(root):
        port = next((service.value.to for service in services if not service.value.every), _NO_PORT)
        if port == _NO_PORT:
            continue
        for entry in entries:
            at = _name(entry.value)
            if at is not None and not isinstance(entry.value, str):
                found.setdefault(at, port)
                backup = entry.value.get("backup")
                at = backup.value if backup is not None else None
            while at is not None and at not in found:
                found[at] = port
                at = backups.get(at)
    return found


def _lists(root: Root) -> Iterator[tuple[Iterable[Placed[ServerFields | str]], Iterable[Placed[Service]]]]:
    """Every list of servers, with the services that lead there."""
    for site in root.get("sites", {}).values():
        services = site.value.get("services", ())
        yield site.value.get("servers", ()), services
        for instance in site.value.get("instances", ()):
            yield instance.value.get("servers", ()), instance.value.get("services", ()) or services


def _name(written: ServerFields | str) -> str | None:
    return written if isinstance(written, str) else inline_name(written)
