"""
The last step: the values of a file in which nothing was wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import attrs
import dns.name

from appliance.config.clientnat import made_nat_pool
from appliance.config.delivery import made_delivery
from appliance.config.instances import Administrative, InstanceFields, instance_name
from appliance.config.market import made_market
from appliance.config.pops import made_pop
from appliance.config.probechecks import probe_ports
from appliance.config.probes import made_probe
from appliance.config.references import own_name
from appliance.config.schema import DEFAULT_LISTEN, MOST_TOLD, ControlFields, Root
from appliance.config.servers import ServerFields, inline_name, made_server
from appliance.config.shapes import Placed
from appliance.config.sites import SiteFields
from appliance.config.transfers import Keys
from appliance.config.values import Config, CookieConfig, DNSConfig, ManholeSocket, ManholeSSH, PeersListen, ZoneConfig
from appliance.model import Instance, Pool, Probe, Refusal, Server, Site


def build(
    root: Root,
    zones: dict[dns.name.Name, ZoneConfig | None],
    keys: Keys,
    folder: str,
    manhole: ManholeSocket | ManholeSSH | None,
    messages: Mapping[str, bytes],
) -> Config:
    """
    The values of a file without faults, where every key has its value or its default.

    What only the whole load knows is left empty: state folder, control socket, warnings.
    """
    appliance, control, name = root["appliance"], root["control"], own_name(root)
    assert name is not None, "nothing in the file is wrong"
    probes = {name: made_probe(name, probe.value, folder) for name, probe in root["probes"].items()}
    servers = {name: made_server(name, named.value, probes) for name, named in root["servers"].items()}
    known = _Known(servers, probes)
    sites = (_site(name, site.value, known, messages) for name, site in root["sites"].items())
    return Config(
        name=name,
        state_directory=None,
        snapshot_interval=appliance["snapshot_interval"],
        fsync=appliance["fsync"],
        history=appliance["history"],
        stop_timeout=appliance["stop_timeout"],
        max_files=appliance["max_files"],
        dns=_dns(root, name, zones, keys, folder),
        pools=_pools(root),
        servers=MappingProxyType(servers),
        client_nat=MappingProxyType(
            {name: made_nat_pool(name, pool.value) for name, pool in root["client_nat"].items()}
        ),
        sites=MappingProxyType({site.name: site for site in sites}),
        probes=MappingProxyType(probes),
        probe_ports=MappingProxyType(probe_ports(root)),
        pops=MappingProxyType({name: made_pop(name, pop.value) for name, pop in root["pops"].items()}),
        delivery=MappingProxyType(
            {name: made_delivery(name, each.value, servers) for name, each in root["delivery"].items()}
        ),
        market=made_market(root["market"]),
        peers=_peers(control),
        control_socket=None,
        manhole=manhole,
        log=control["log"],
    )


@attrs.frozen
class _Known:
    """What may be named."""

    servers: Mapping[str, Server]
    probes: Mapping[str, Probe]


def _peers(control: ControlFields) -> PeersListen | None:
    place = control["peers"]
    if place is None:
        return None
    listen, allow = place.value["listen"], tuple(each.value for each in place.value["allow"])
    return PeersListen(listen=listen.value, allow=allow) if listen else PeersListen(allow=allow)


def _dns(root: Root, name: str, zones: dict[dns.name.Name, ZoneConfig | None], keys: Keys, folder: str) -> DNSConfig:
    section = root["dns"]
    cookies, nsid = section["cookies"], section["nsid"]
    secret = cookies["secret"]
    return DNSConfig(
        listen=tuple(each.value for each in section["listen"] or ()) or (DEFAULT_LISTEN,),
        zones=tuple(zone for zone in zones.values() if zone),
        udp_payload=section["udp_payload"],
        tcp=section["tcp"],
        cookies=CookieConfig(
            enabled=cookies["enabled"],
            secret=os.path.abspath(os.path.join(folder, secret.value)) if secret else None,
        ),
        rate_limit=section["rate_limit"],
        # A TXT record takes 255 bytes, and a name may have any.
        nsid=name.encode()[:MOST_TOLD].decode(errors="ignore") if nsid is None else nsid,
        version=section["version"],
        client_subnet=section["client_subnet"],
        tsig=keys.keys,
    )


def _pools(root: Root) -> MappingProxyType[str, Pool]:
    return MappingProxyType(
        {
            name: Pool(
                name=name,
                addresses=tuple(address for run in pool.value["addresses"] for address in run.value.addresses()),
                periods=pool.value["period"],
                adequate=pool.value["adequate"],
                share_by_service=pool.value["share_by_service"],
                quota=pool.value["quota"],
                tiers=pool.value["pressure"],
                when_exhausted=pool.value["when_exhausted"],
            )
            for name, pool in root["pools"].items()
        }
    )


def _site(name: str, fields: SiteFields, known: _Known, messages: Mapping[str, bytes]) -> Site:
    pool, static, addresses = fields["pool"], fields["address"], fields["addresses"]
    nat, backup = fields["client_nat"], fields["backup"]
    return Site(
        name=name.lower().removesuffix("."),
        pool=pool.value if pool else "",
        services=tuple(service.value for service in fields["services"]),
        servers=_servers(fields["servers"], known),
        addresses=addresses.value if addresses else 1,
        address=static.value if static else None,
        aliases=tuple(alias.value for alias in fields["aliases"]),
        ipv6=tuple(address.value for address in fields["ipv6"]),
        timeouts=fields["timeouts"],
        max_sessions=fields["max_sessions"],
        client_nat=nat.value if nat else None,
        predictor=fields["predictor"],
        sticky=fields["sticky"],
        buddies=tuple(frozenset(port for run in tied.value for port in run.value) for tied in fields["buddies"]),
        backup=backup.value if backup else None,
        proxy_protocol=fields["proxy_protocol"],
        accept_proxy_from=tuple(network.value for network in fields["accept_proxy_from"]),
        max_per_client=fields["max_per_client"],
        instances=tuple(_instance(each.value, fields, known, messages) for each in fields["instances"]),
    )


def _instance(fields: InstanceFields, site: SiteFields, known: _Known, messages: Mapping[str, bytes]) -> Instance:
    """What is not given is as the site has it; an instance that answers by itself has no servers to choose from."""
    name, answer, welcome = instance_name(fields), fields["answer"], fields["welcome"]
    backup = fields["backup"] or (site["backup"] if answer is None else None)
    assert name is not None, "an instance has a bind id"
    return Instance(
        bind_id=fields["bind_id"].value,
        name=name,
        clients=tuple(client.value for client in fields["clients"]),
        behaviour=fields["behaviour"],
        services=tuple(service.value for service in fields["services"]),
        servers=_servers(fields["servers"], known),
        predictor=fields["predictor"] or site["predictor"],
        spill=fields["spill"],
        lend=fields["lend"],
        backup=backup.value if backup else None,
        answer=_said(answer, messages) if answer else None,
        welcome=messages[welcome.node.path] if welcome else b"",
        in_service=fields["state"] is Administrative.IN_SERVICE,
    )


def _said(answer: Placed[Refusal | str], messages: Mapping[str, bytes]) -> Refusal | bytes:
    return answer.value if isinstance(answer.value, Refusal) else messages[answer.node.path]


def _servers(entries: Iterable[Placed[ServerFields | str]], known: _Known) -> tuple[Server, ...]:
    return tuple(_server(entry.value, known) for entry in entries)


def _server(written: ServerFields | str, known: _Known) -> Server:
    if isinstance(written, str):
        return known.servers[written]
    name = inline_name(written)
    assert name is not None, "a server has an address"
    return made_server(name, written, known.probes)
