"""What is asked of a target to see whether it works, what came back, and what others say of it (requirement 3.2)."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address

import attrs

from appliance.model.endpoints import Endpoint


class ProbeType(enum.Enum):
    """How a target is looked at."""

    TCP = "tcp"
    """A connection is taken."""
    HTTP = "http"
    HTTPS = "https"
    """As ``http``, and the certificate is for that name, from somebody who is trusted, and not expired."""
    FTP = "ftp"
    """The banner; with a user a log-in; with a path its SIZE or the file itself."""
    DNS = "dns"
    SMTP = "smtp"
    EXEC = "exec"
    """A program says it with its exit code."""
    LOAD = "load"
    """A page of JSON that tells how busy the target is."""


@attrs.frozen(kw_only=True, cache_hash=True)
class Probe:
    """
    How a target is checked, how often, and how often it has to fail until that is believed.

    :param port: 0: the port that the server has, or else the first one that a site sends it connections on
        (``Config.probe_ports``).
    :param interval: seconds between the beginnings of two checks while nothing is in doubt.
    :param fast_interval: the same while it is: failures that are not enough, or successes that are not.
    :param idle_interval: the same while nobody asks for what the target serves.
    :param timeout: seconds for a whole check.
    :param rise: successes in a row that bring a target back.
    :param fall: failures that take it away; they need not follow each other until ``ok`` successes do.
    :param ok: successes in a row after which earlier failures are forgotten (gdnsd's ``ok_thresh``).
    :param path: http, https, load: what is asked for; ftp: whose size or content is.  Empty: ``/``, or for ftp nothing.
    :param host: http, https, load: the Host header; https: the name in the certificate, too; smtp: what EHLO
        says.  Empty: the address.
    :param expect: http, https: runs of codes that are right.
    :param contains: http, https: bytes that the body has to have; smtp, ftp: the banner.  Empty: any will do.
    :param most_bytes: a body that is longer is wrong.
    :param verify: https: the certificate is looked at.
    :param ca: https: absolute path of a file with those who are trusted; None: the system's.
    :param expiry: https: seconds for which the certificate has to be valid at least.
    :param user: ftp; empty: nobody logs in; ``password``: absolute path of the file that has it, or None: ``user@``.
    :param transfer: ftp: ``path`` is fetched, rather than its SIZE asked for.
    :param qname: dns: what is asked, with ``qtype``; an answer of NOERROR with at least one record is right.
    :param stream: dns: over TCP.
    :param command: exec: the program, absolute, and its arguments; ``{address}`` and ``{port}`` are filled in.
    """

    name: str
    type: ProbeType
    port: int = 0
    interval: float = 5.0
    fast_interval: float = 1.0
    idle_interval: float = 60.0
    timeout: float = 2.0
    rise: int = 2
    fall: int = 3
    ok: int = 1
    path: str = ""
    host: str = ""
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    contains: str = ""
    most_bytes: int = 1 << 20
    verify: bool = True
    ca: str | None = None
    expiry: float = 0.0
    user: str = ""
    password: str | None = None
    transfer: bool = False
    qname: str = ""
    qtype: str = "A"
    stream: bool = False
    command: tuple[str, ...] = ()


@attrs.frozen(cache_hash=True)
class Check:
    """
    One target looked at in one way.  Two that are equal are done once, whoever wants them.

    :param port: 0 where the probe needs none (exec).
    """

    probe: Probe
    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"{self.probe.name} of {Endpoint(self.address, self.port) if self.port else self.address}"


class Layer(enum.Enum):
    """How far a check came; where it ended, if it failed."""

    LOCAL = "local"
    """It could not begin here: no files, no program."""
    CONNECT = "connect"
    TLS = "tls"
    APPLICATION = "application"


class Cause(enum.Enum):
    """What a check found.  Only ``OK`` is well."""

    OK = "ok"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CLOSED = "closed"
    """It ended, or was reset, before it had said enough."""
    CERTIFICATE = "certificate"
    STATUS = "status"
    """It said, in its own protocol, that it does not work."""
    CONTENT = "content"
    """It works, and said something else than was expected."""
    PROTOCOL = "protocol"
    """It does not speak what was expected."""
    TOO_LONG = "too-long"
    ERROR = "error"
    """Anything else; the detail says what."""


@attrs.frozen(kw_only=True)
class Load:
    """
    How busy a machine says that it is; None is not said.

    :param cpu: part of its processors that is used, 0 to 1; more is a queue.
    :param memory: part of its memory that is used, 0 to 1.
    :param connections: what it has now.
    :param capacity: what it can have; 0: it does not say.
    :param lag: seconds that its work waits for its turn (the reactor's, p99).
    :param egress: bytes a second that it sends.
    """

    cpu: float | None = None
    memory: float | None = None
    connections: float | None = None
    capacity: float | None = None
    lag: float | None = None
    egress: float | None = None


@attrs.frozen(kw_only=True)
class Result:
    """
    What one check found.

    :param latency: seconds from the beginning until the target had answered; None where it did not.
    :param connect: seconds until the connection was there; None where none was.
    :param detail: for people, one line, e.g. ``503 Service Unavailable``.
    :param load: what a ``load`` check read.
    """

    layer: Layer
    cause: Cause
    latency: float | None = None
    connect: float | None = None
    detail: str = ""
    load: Load | None = None

    @property
    def ok(self) -> bool:
        return self.cause is Cause.OK

    def __str__(self) -> str:
        said = f"{self.layer.value} {self.cause.value}"
        return f"{said}: {self.detail}" if self.detail else said


class Forced(enum.Enum):
    """What a person says of a target, whatever is measured."""

    UP = "up"
    DOWN = "down"


@attrs.frozen(kw_only=True)
class Health:
    """
    What is known of a subject (a server, a POP) at one instant.

    :param up: what counts: the forced state, or else the measured one.  What was never measured counts as up.
    :param measured: what its checks say; None while one has not said anything yet and none is down, or there are none.
    :param until: the earliest instant at which ``up`` could be another; infinity: not by itself.
    :param latency: seconds, decayed mean over successful checks; ``deviation`` of it likewise.  None: never.
    :param connect: the same of the time until a connection stood: the way there and back, without the work.
    :param http: the same as ``latency`` of its http and https checks alone, ``ftp`` of its ftp ones.
    :param load: the last that was read; None where nothing was, or too long ago.
    :param flaps: changes of the measured state, decayed.
    :param reason: the newest failure of a check that is down, or else in doubt; for people.
    """

    up: bool
    measured: bool | None
    forced: Forced | None = None
    until: float
    latency: float | None = None
    deviation: float | None = None
    connect: float | None = None
    http: float | None = None
    ftp: float | None = None
    load: Load | None = None
    flaps: float = 0.0
    reason: str = ""


@attrs.frozen(kw_only=True)
class Row:
    """
    What one POP has seen of another.

    :param pop: of whom.
    :param up: as it measured it.
    :param latency: seconds, its own.
    :param promised: connections that its answers have promised to ``pop`` and that may still come.
    """

    pop: str
    up: bool
    latency: float | None = None
    http: float | None = None
    ftp: float | None = None
    load: Load | None = None
    promised: float = 0.0


@attrs.frozen(kw_only=True)
class Rows:
    """
    What one POP has seen of all others, and of itself.

    :param observer: its name.
    :param epoch: of its process: a larger one is a later process; ``version`` grows within it.
    :param age: seconds since it was made, as of its sending.
    """

    observer: str
    epoch: int
    version: int
    age: float = 0.0
    rows: tuple[Row, ...] = ()
