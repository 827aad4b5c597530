"""From what a check wants to the conversation that finds it out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path

from appliance.model.health import Check, Probe, ProbeType
from appliance.probe.conversation import Conversation
from appliance.probe.filevisit import FileVisit
from appliance.probe.ftp import Ftp
from appliance.probe.ground import Ground
from appliance.probe.http import Http
from appliance.probe.pages import LoadPage
from appliance.probe.question import Question
from appliance.probe.smtp import Smtp
from appliance.probe.tls import Secured, Trust
from appliance.probe.visit import Done, Visit
from appliance.secretfiles import read_secret

_PORTS = {ProbeType.HTTP: 80, ProbeType.LOAD: 80, ProbeType.HTTPS: 443}


class Maker:
    """
    Makes visits.

    :param wall: seconds since 1970, for certificates.
    """

    def __init__(self, ground: Ground, wall: Callable[[], float] = time.time) -> None:
        self._ground = ground
        self._wall = wall
        self._trust = Trust()

    def visit(self, check: Check, done: Done) -> Visit:
        """
        :raises ValueError: for a probe that cannot be carried out as it is.
        :raises OSError: when a file of it cannot be read.
        :raises SecretError: when others can read its password.
        """
        probe = check.probe
        if probe.type is ProbeType.FTP:
            ftp = Ftp.of(probe, self._password(probe))
            return FileVisit(self._ground, check.address, check.port, probe.timeout, ftp, done)
        conversation = self._conversation(check)
        datagrams = probe.type is ProbeType.DNS and not probe.stream
        return Visit(self._ground, check.address, check.port, probe.timeout, conversation, done, datagrams=datagrams)

    def _conversation(self, check: Check) -> Conversation | None:
        probe = check.probe
        match probe.type:
            case ProbeType.TCP:
                return None
            case ProbeType.HTTP:
                return Http.of(probe, _authority(check))
            case ProbeType.HTTPS:
                return self._secured(check)
            case ProbeType.LOAD:
                return LoadPage.of(probe, _authority(check))
            case ProbeType.DNS:
                return Question(probe.qname, probe.qtype, secrets.randbelow(65536), stream=probe.stream)
            case ProbeType.SMTP:
                return Smtp(probe.host, probe.contains.encode())
            case other:
                raise ValueError(f"{other.value} is no conversation")

    def _secured(self, check: Check) -> Conversation:
        probe = check.probe
        context = self._trust.context(probe.ca, verify=probe.verify)
        name = _name_of(probe.host) or str(check.address)
        expiry = probe.expiry if probe.verify else None
        return Secured(Http.of(probe, _authority(check)), context, name, self._wall(), expiry)

    def _password(self, probe: Probe) -> str:
        if probe.password is None or not probe.user:
            return "user@"
        return read_secret("probes", Path(probe.password)).strip("\r\n")


def _authority(check: Check) -> str:
    """The Host header where none is configured (RFC 9110 s7.2)."""
    host = f"[{check.address}]" if isinstance(check.address, IPv6Address) else str(check.address)
    return host if check.port == _PORTS[check.probe.type] else f"{host}:{check.port}"


def _name_of(host: str) -> str:
    """The name in a Host header, which may have a port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host
