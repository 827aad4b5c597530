"""
What persons ordered, laid upon what the file says (5.10).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from ipaddress import IPv4Network

from appliance.balancing.real import Real
from appliance.balancing.subjects import NO_BACKUP, RealSubject, Subject, prefix_of
from appliance.balancing.values import Administrative, Override
from appliance.balancing.virtual import Virtual
from appliance.model import Instance, Server, Site, Transport

_Ranked = tuple[int, Override]
"""With a number that is higher for what was ordered later."""


class Orders:
    """The overrides that hold."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], _Ranked] = {}
        self._by_subject: dict[str, dict[str, _Ranked]] = {}
        self._made: dict[str, dict[str, Override]] = {}
        self._ranks = itertools.count(1)

    def all(self) -> list[Override]:
        """In the order in which they were made."""
        return [override for _, override in self._stored.values()]

    def get(self, subject: str, setting: str) -> Override | None:
        ranked = self._stored.get((subject, setting))
        return ranked[1] if ranked is not None else None

    def of(self, subject: str) -> dict[str, _Ranked]:
        """By setting."""
        return self._by_subject.get(subject, {})

    def made_at(self, site: str) -> list[Override]:
        """Those that made instances of ``site``."""
        return list(self._made.get(site, {}).values())

    def put(self, override: Override) -> None:
        """One that holds from now on, in place of what was ordered of the same."""
        self.drop(override)
        ranked = next(self._ranks), override
        self._stored[override.subject, override.setting] = ranked
        self._by_subject.setdefault(override.subject, {})[override.setting] = ranked
        if override.setting == "made":
            self._made.setdefault(_site_of(override), {})[override.subject] = override

    def drop(self, override: Override) -> None:
        """It holds no more, if it did."""
        if self._stored.pop((override.subject, override.setting), None) is not None:
            settings = self._by_subject[override.subject]
            del settings[override.setting]
            if not settings:
                del self._by_subject[override.subject]
            if override.setting == "made":
                del self._made[_site_of(override)][override.subject]

    # -- laid upon the file ----------------------------------------------------------------------------------------

    def order_real(self, real: Real) -> None:
        """Let ``real`` be as the file and persons say."""
        real.configure(real.server)
        former, real.administrative = real.administrative, Administrative.IN_SERVICE
        for setting, (_, override) in self.of(f"server {real.name}").items():
            match setting:
                case "state":
                    real.administrative = Administrative(override.value)
                case "weight":
                    real.weight = int(override.value)
                case "threshold":
                    real.threshold = int(override.value)
                case "max_connections":
                    real.most = int(override.value) or math.inf
                case "backup":
                    real.backup = None if override.value == NO_BACKUP else override.value
        if real.administrative is not former:
            real.told_empty = False
        real.settle()

    def order_virtual(self, virtual: Virtual, reals: Mapping[str, Real]) -> None:
        """
        Let ``virtual`` be as the file and persons say.

        What was ordered for it counts more than what was ordered for all ports of its bind id.
        """
        section = virtual.section
        instance, site = section.instance, section.place.site
        servers = instance.servers if instance is not None else site.servers
        bound = {server.name: reals[server.name] for server in servers}
        virtual.in_service = instance.in_service if instance is not None else True
        virtual.backup = instance.backup if instance is not None else site.backup
        prefixes = instance.clients if instance is not None else ()
        virtual.clients = dict.fromkeys(prefixes, (-section.bind_id, "configured"))
        for setting, (rank, override) in self._for(virtual).items():
            match setting.split(" ", 1):
                case ["state"]:
                    virtual.in_service = override.value == "in-service"
                case ["backup"]:
                    virtual.backup = None if override.value == NO_BACKUP else override.value
                case ["server", name] if override.value == "bound":
                    bound.setdefault(name, reals[name])
                case ["server", name]:
                    bound.pop(name, None)
                case ["client", prefix] if override.value == "assigned":
                    virtual.clients[prefix_of(prefix)] = rank, "by hand"
                case ["client", prefix]:
                    virtual.clients.pop(prefix_of(prefix), None)
        virtual.bound = list(bound.values())

    def order_client(self, virtual: Virtual, prefix: IPv4Network) -> None:
        """The same for one client alone."""
        instance = virtual.section.instance
        virtual.clients.pop(prefix, None)
        if instance is not None and prefix in instance.clients:
            virtual.clients[prefix] = -virtual.section.bind_id, "configured"
        for subject in subjects_of(virtual):
            ranked = self._stored.get((subject, f"client {prefix}"))
            if ranked is not None:
                virtual.clients.pop(prefix, None)
                if ranked[1].value == "assigned":
                    virtual.clients[prefix] = ranked[0], "by hand"

    def _for(self, virtual: Virtual) -> dict[str, _Ranked]:
        settings: dict[str, _Ranked] = {}
        for subject in subjects_of(virtual):
            settings |= self.of(subject)
        return settings


def subjects_of(virtual: Virtual) -> list[str]:
    """The subjects whose overrides concern it; the later ones count more."""
    start, bind_id = f"virtual {virtual.section.place.name}:0", virtual.section.bind_id
    subjects = [f"{start}:{bind_id}", f"{start}/udp:{bind_id}", f"virtual {virtual.name}"]
    if virtual.transport is not Transport.UDP:
        del subjects[1]
    return list(dict.fromkeys(subjects))


def _site_of(override: Override) -> str:
    """Nothing for a server's."""
    kind, _, name = override.subject.partition(" ")
    return name.split(":")[0] if kind == "virtual" else ""


def configured(subject: Subject, setting: str) -> str:
    """
    What the file says.

    :param setting: in canonical form.
    """
    if isinstance(subject, RealSubject):
        return _of_server(subject.real.server, setting, made=subject.real.made)
    instance = subject.place.sections[subject.bind_id].instance
    return _of_virtual(subject.place.site, instance, setting)


def _of_server(server: Server, setting: str, *, made: bool) -> str:
    match setting:
        case "state":
            return Administrative.IN_SERVICE.value
        case "made":
            return "no" if made else "yes"
        case "backup":
            return server.backup or NO_BACKUP
        case _:
            return str(getattr(server, setting))


def _of_virtual(site: Site, instance: Instance | None, setting: str) -> str:
    match setting.split(" ", 1):
        case ["state"]:
            return "in-service" if instance is None or instance.in_service else "out-of-service"
        case ["backup"]:
            return (instance.backup if instance is not None else site.backup) or NO_BACKUP
        case ["server", name]:
            servers = instance.servers if instance is not None else site.servers
            return "bound" if any(server.name == name for server in servers) else "unbound"
        case ["client", prefix]:
            clients = instance.clients if instance is not None else ()
            return "assigned" if prefix_of(prefix) in clients else "unassigned"
        case _:
            return "yes" if instance is None or instance in site.instances else "no"
