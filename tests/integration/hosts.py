"""
Hosts of a test's own: network namespaces, with wires between them.

A namespace lives as long as a process in it: one that waits for the end of its input, which comes with the end of the
test's process at the latest, and what the test runs there.  With it go its interfaces, rules and routes, however the
test ends.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.trial.unittest import SkipTest, TestCase

from tests.integration.process import PATIENCE, tool

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

Result = TypeVar("Result")

LEASED = "203.0.113."
"""The first three numbers of the addresses that the appliance's host has to lease, 8 to 15."""
CLIENTS = ("198.51.100.10", "198.51.100.66", "192.0.2.10", "192.0.2.66")
"""The client host's addresses, of two networks."""
SERVERS = ("10.0.0.11", "10.0.0.12", "10.0.0.13")
"""The server host's addresses."""
APPLIANCE_OUTSIDE, APPLIANCE_INSIDE = "198.51.100.1", "10.0.0.1"
"""What the appliance's host has besides, towards the clients and towards the servers."""


def need_namespaces() -> None:
    """A test without the right to make hosts is skipped; in continuous integration it fails."""
    for name, package in (
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
        ("nft", "nftables"),
    ):
        tool(name, package)
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return
    missing = f"network namespaces cannot be made without root ({tried.stderr.strip()})"
    if os.environ.get("CI") == "true":
        raise AssertionError(missing)
    raise SkipTest(missing)


def own_network(case: TestCase) -> None:
    """
    From here to its end, the test's own thread is on a host that has nothing but a loopback interface.

    For tests that open sockets in this process.  They must not start a thread meanwhile, for it would stay there.
    """
    need_namespaces()
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def leave() -> None:
        here = os.readlink("/proc/thread-self/ns/net")
        everywhere = [os.readlink(f"/proc/self/task/{task}/ns/net") for task in os.listdir("/proc/self/task")]
        _enter(before)
        os.close(before)
        case.assertEqual(everywhere.count(here), 1, "a thread was started on the test's host, and stays there")

    case.addCleanup(leave)
    if _libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Host:
    """A network namespace with a loopback interface, that forwards nothing."""

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo here; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._keeper.stdout is not None
        self._keeper.stdout.readline()
        self.pid = self._keeper.pid
        self._place = f"/proc/{self.pid}/ns/net"
        self.run("ip", "link", "set", "lo", "up")
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")

    def close(self) -> None:
        """Without anybody else there, it is gone now; else with the last process that is."""
        self._keeper.communicate(timeout=PATIENCE)

    def words(self) -> list[str]:
        """What to put in front of a command, so that it runs there."""
        return ["nsenter", f"--net={self._place}", "--"]

    def run(self, *words: str) -> str:
        """:return: what it prints.  A command that fails is an AssertionError with what it says."""
        done = subprocess.run(
            [*self.words(), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def tried(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A command that may fail."""
        return subprocess.run(
            [*self.words(), *words], capture_output=True, text=True, check=False, timeout=PATIENCE, input=given
        )

    def do(self, work: Callable[[], Result]) -> Result:
        """Call ``work`` in a thread of its own that is there.  Sockets that it makes stay there, whoever uses them."""
        results: list[Result] = []
        errors: list[BaseException] = []

        def enter_and_work() -> None:
            try:
                place = os.open(self._place, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    _enter(place)
                finally:
                    os.close(place)
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=enter_and_work)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def connect(self, address: str, port: int, source: tuple[str, int] = ("", 0)) -> socket.socket:
        """A client there."""
        return self.do(lambda: socket.create_connection((address, port), PATIENCE, source_address=source))


def _enter(place: int) -> None:
    if _libc.setns(place, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Hosts:
    """
    Three: clients, the appliance, servers.

    Clients reach the leased addresses, but no server; servers reach the appliance, but no client.  They are removed
    when the test ends.
    """

    def __init__(self, case: TestCase) -> None:
        need_namespaces()
        self.clients, self.appliance, self.servers = (self._host(case) for _ in range(3))
        self._wire(self.clients, self.appliance)
        self._wire(self.servers, self.appliance)
        for number in range(8, 16):
            self.appliance.run("ip", "address", "add", f"{LEASED}{number}/32", "dev", "lo")
        for address in CLIENTS:
            self.clients.run("ip", "address", "add", f"{address}/24", "dev", f"to{self.appliance.pid}")
        for address in SERVERS:
            self.servers.run("ip", "address", "add", f"{address}/24", "dev", f"to{self.appliance.pid}")
        outside, inside = f"to{self.clients.pid}", f"to{self.servers.pid}"
        self.appliance.run("ip", "address", "add", f"{APPLIANCE_OUTSIDE}/24", "dev", outside)
        self.appliance.run("ip", "address", "add", f"{APPLIANCE_INSIDE}/24", "dev", inside)
        self.appliance.run("ip", "route", "add", "192.0.2.0/24", "dev", outside)
        self.clients.run("ip", "route", "add", f"{LEASED}0/24", "via", APPLIANCE_OUTSIDE)

    def _host(self, case: TestCase) -> Host:
        host = Host()
        case.addCleanup(host.close)
        return host

    def _wire(self, one: Host, other: Host) -> None:
        """A link, called ``toPID`` on each side."""
        words = ["ip", "link", "add", f"to{other.pid}", "netns", str(one.pid), "type", "veth"]
        subprocess.run([*words, "peer", "name", f"to{one.pid}", "netns", str(other.pid)], check=True, timeout=PATIENCE)
        one.run("ip", "link", "set", f"to{other.pid}", "up")
        other.run("ip", "link", "set", f"to{one.pid}", "up")


class Pages:
    """
    A server: answers each request with its name, the port that it came to, and who asks; over HTTP or plain lines.

    :param address: its own, on ``host``.
    """

    def __init__(self, case: TestCase, host: Host, address: str, ports: Sequence[int], name: str) -> None:
        self._name = name
        self.asked: list[int] = []
        for port in ports:
            sock = host.do(lambda port=port: socket.create_server((address, port)))  # type: ignore[misc]
            case.addCleanup(self._stop, sock)
            threading.Thread(target=self._serve, args=(sock, port), daemon=True).start()

    @staticmethod
    def _stop(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_RDWR)  # wakes its thread
        sock.close()

    def _serve(self, listening: socket.socket, port: int) -> None:
        while True:
            try:
                client, peer = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client, port, peer[0]), daemon=True).start()

    def _answer(self, client: socket.socket, port: int, peer: str) -> None:
        client.settimeout(PATIENCE)
        with client:
            try:
                while request := client.recv(65536):
                    self.asked.append(port)
                    page = f"{self._name} at {port} for {peer}\n"
                    if request.startswith(b"GET "):
                        page = f"HTTP/1.0 200 OK\r\nContent-Length: {len(page)}\r\n\r\n{page}"
                    client.sendall(page.encode())
            except OSError:
                pass


def table_names(host: Host) -> list[str]:
    """The tables of the packet filter there."""
    return [line.split()[-1] for line in host.run("nft", "list", "tables").splitlines()]
