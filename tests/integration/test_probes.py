"""Checks over real sockets: servers that hang, dribble, flood, refuse, reset, or are not there."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from appliance.model import Endpoint
from appliance.model.delivery import Url
from appliance.model.health import Cause, Layer, Load, ProbeType, Result, Row, Rows
from appliance.peering import load_json, rows_json
from appliance.probe.program import MOST_OUTPUT_BYTES
from tests.integration.probing import ProbingCase
from tests.integration.process import free_port
from tests.integration.sockets import reset, until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SHORT = 0.3
"""Seconds: a timeout that is to come."""


def request_then(answer: bytes) -> Any:
    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(answer)
        peer.recv(1)

    return talk


def stay(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


class ReachTests(ProbingCase):
    def check(self, result: Result, layer: Layer, cause: Cause) -> None:
        self.assertEqual((result.layer, result.cause), (layer, cause), str(result))

    async def test_a_target_that_has_left(self) -> None:
        """The connection ends at once, though it hangs, and nothing is heard of it."""
        ended: list[bool] = []

        def talk(peer: socket.socket) -> None:
            try:
                while peer.recv(65536):
                    pass
            except ConnectionResetError:
                pass
            ended.append(True)

        target = self.target(talk)
        self.ask(ProbeType.HTTP, target.port, timeout=60.0)
        await until(lambda: self.prober.checking == 1)
        self.watch.useless(list(self.watch.waiting))
        self.assertEqual(self.prober.checking, 0)
        await until(lambda: bool(ended))
        self.assertEqual(self.watch.heard_of, [])

    async def test_a_connection(self) -> None:
        target = self.target(stay)
        result = await self.ask(ProbeType.TCP, target.port)
        self.check(result, Layer.CONNECT, Cause.OK)
        assert result.latency is not None
        self.assertTrue(0 < result.latency < 5)
        self.assertEqual(result.connect, result.latency)

    async def test_a_mere_connection_does_not_wake_the_program(self) -> None:
        """The reset takes the place of the acknowledgement: nobody accepts anything."""
        with socket.create_server((self.address, 0)) as listener:
            for _ in range(3):
                self.check(await self.ask(ProbeType.TCP, listener.getsockname()[1]), Layer.CONNECT, Cause.OK)
            self.assertEqual(select.select([listener], [], [], 0.1)[0], [])

    async def test_nobody_listens(self) -> None:
        port = free_port(self.address)
        for kind in (ProbeType.TCP, ProbeType.HTTP, ProbeType.HTTPS, ProbeType.SMTP, ProbeType.FTP):
            self.check(await self.ask(kind, port), Layer.CONNECT, Cause.REFUSED)
        result = await self.ask(ProbeType.DNS, port, qname="a.example")
        self.check(result, Layer.CONNECT, Cause.REFUSED)

    async def test_nobody_answers(self) -> None:
        """A full queue of a listener drops what knocks."""
        with socket.create_server((self.address, 0), backlog=0) as listener:
            place = listener.getsockname()
            with contextlib.ExitStack() as stack:
                for _ in range(4):
                    knocking = stack.enter_context(socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
                    knocking.connect_ex(place)
                before = time.monotonic()
                result = await self.ask(ProbeType.HTTP, place[1], timeout=SHORT)
                self.check(result, Layer.CONNECT, Cause.TIMEOUT)
                self.assertGreaterEqual(time.monotonic() - before, SHORT)
                self.assertIsNone(result.connect)

    async def test_silence(self) -> None:
        target = self.target(stay)
        for kind, layer in (
            (ProbeType.HTTP, Layer.APPLICATION),
            (ProbeType.SMTP, Layer.APPLICATION),
            (ProbeType.FTP, Layer.APPLICATION),
            (ProbeType.HTTPS, Layer.TLS),
        ):
            result = await self.ask(kind, target.port, timeout=SHORT)
            self.check(result, layer, Cause.TIMEOUT)
            self.assertIsNotNone(result.connect)
            self.assertIsNone(result.latency)

    async def test_silence_over_udp(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind((self.address, 0))
            result = await self.ask(ProbeType.DNS, silent.getsockname()[1], qname="a", timeout=SHORT)
            self.check(result, Layer.APPLICATION, Cause.TIMEOUT)

    async def test_an_end_and_a_reset(self) -> None:
        for end in (socket.socket.close, reset):
            target = self.target(lambda peer, end=end: (peer.recv(65536), end(peer)))  # type: ignore[misc]
            self.check(await self.ask(ProbeType.HTTP, target.port), Layer.APPLICATION, Cause.CLOSED)
            self.check(await self.ask(ProbeType.HTTPS, target.port), Layer.TLS, Cause.CLOSED)

    async def test_dribbling_ends_at_the_deadline(self) -> None:
        def dribble(peer: socket.socket) -> None:
            for byte in itertools.chain(OK[:-3], itertools.repeat(ord("x"))):
                peer.send(bytes([byte]))
                time.sleep(0.01)

        target = self.target(dribble)
        before = time.monotonic()
        result = await self.ask(ProbeType.HTTP, target.port, timeout=SHORT)
        self.check(result, Layer.APPLICATION, Cause.TIMEOUT)
        self.assertLess(time.monotonic() - before, 2)

    async def test_a_gigabyte_is_not_read(self) -> None:
        sent = []

        def flood(peer: socket.socket) -> None:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            block = b"x" * 65536
            for _ in range(16_384):
                sent.append(peer.send(block))

        target = self.target(flood)
        result = await self.ask(ProbeType.HTTP, target.port, most_bytes=100_000)
        self.check(result, Layer.APPLICATION, Cause.TOO_LONG)
        await until(lambda: not any(thread.is_alive() for thread in target._threads[1:]))
        self.assertLess(sum(sent), 50_000_000)

    async def test_endless_heads(self) -> None:
        def flood(peer: socket.socket) -> None:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                peer.sendall(b"X-Field: more and more\r\n")

        self.check(await self.ask(ProbeType.HTTP, self.target(flood).port), Layer.APPLICATION, Cause.TOO_LONG)

    async def test_redirects_are_not_followed(self) -> None:
        requests = []

        def talk(peer: socket.socket) -> None:
            requests.append(peer.recv(65536))
            peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

        port = self.target(talk).port
        self.check(await self.ask(ProbeType.HTTP, port), Layer.APPLICATION, Cause.OK)
        result = await self.ask(ProbeType.HTTP, port, expect=((200, 299),))
        self.check(result, Layer.APPLICATION, Cause.STATUS)
        self.assertEqual(len(requests), 2)

    async def test_a_page_of_a_connection_that_stays_open(self) -> None:
        result = await self.ask(ProbeType.HTTP, self.target(request_then(OK)).port)
        self.check(result, Layer.APPLICATION, Cause.OK)
        self.assertEqual((result.detail, self.prober.checking), ("200 OK", 0))
        assert result.latency is not None
        assert result.connect is not None
        self.assertLessEqual(result.connect, result.latency)

    async def test_a_failing_good_bye_changes_nothing(self) -> None:
        def talk(peer: socket.socket) -> None:
            peer.sendall(b"220 x\r\n")
            peer.recv(1000)
            peer.sendall(b"250 y\r\n")
            stay(peer)

        port = self.target(talk).port
        result = await self.ask(ProbeType.SMTP, port, timeout=SHORT)
        self.check(result, Layer.APPLICATION, Cause.OK)
        assert result.latency is not None
        self.assertLess(result.latency, SHORT)

    async def test_a_load(self) -> None:
        load = Load(cpu=0.25, connections=17, lag=0.001)
        body = load_json(load)
        said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        result = await self.ask(ProbeType.LOAD, self.target(request_then(said)).port, path="/load")
        self.assertEqual(result.load, load)

    async def test_the_end_of_the_service_ends_checks_unheard(self) -> None:
        ends = []

        def note(peer: socket.socket) -> None:
            try:
                stay(peer)
            except ConnectionResetError:
                ends.append("reset")
            else:
                ends.append("end")

        target = self.target(note)
        found = self.ask(ProbeType.HTTP, target.port)
        self.ask(ProbeType.EXEC, 0, command=("/bin/sleep", "60"))
        await until(lambda: bool(target.peers))
        self.prober.stopService()
        self.assertEqual(self.prober.checking, 0)
        self.assertFalse(found.called)
        await until(lambda: bool(ends))
        self.assertEqual(ends, ["reset"])

    async def test_no_descriptors(self) -> None:
        """The target is not blamed, and the next checks wait until there are some."""
        target = self.target(stay)
        self.prober._ground.ceiling = 3
        result = await self.ask(ProbeType.TCP, target.port)
        self.check(result, Layer.LOCAL, Cause.ERROR)
        following = self.ask(ProbeType.TCP, target.port)
        self.prober._ground.ceiling = 100_000
        await deferLater(global_reactor, 0.2)
        self.assertFalse(following.called)
        self.check(await following, Layer.CONNECT, Cause.OK)


class RowsTests(ProbingCase):
    def fetch(self, answer: bytes, path: str = "/") -> Deferred[tuple[Result, Rows | None]]:
        self.heard: list[bytes] = []

        def talk(peer: socket.socket) -> None:
            self.heard.append(peer.recv(65536))
            peer.sendall(answer)

        port = self.target(talk).port
        url = Url(endpoint=Endpoint(IPv4Address(self.address), port), host=f"{self.address}:{port}", path=path)
        found: Deferred[tuple[Result, Rows | None]] = Deferred()
        self.prober.rows(url, 5.0, lambda result, rows: found.callback((result, rows)))
        return found

    async def test_rows(self) -> None:
        rows = Rows(observer="fra1", epoch=1, version=2, rows=(Row(pop="ams1", up=False, promised=3),))
        result, found = await self.fetch(b"HTTP/1.1 200 OK\r\n\r\n" + rows_json(rows), "/peers/")
        self.assertEqual((result.cause, found), (Cause.OK, rows))
        self.assertTrue(self.heard[0].startswith(b"GET /peers/rows HTTP/1.1\r\n"))

    async def test_what_are_none(self) -> None:
        result, found = await self.fetch(b'HTTP/1.1 200 OK\r\n\r\n{"rows": []}')
        self.assertEqual((result.cause, found), (Cause.CONTENT, None))
        result, found = await self.fetch(b"HTTP/1.1 404 Not Found\r\n\r\n")
        self.assertEqual((result.cause, found), (Cause.STATUS, None))


class ProgramTests(ProbingCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def run_script(self, script: str, **more: Any) -> Deferred[Result]:
        words = ("/bin/sh", "-c", script, "sh", "{address}", "{port}", "{other}")
        return self.ask(ProbeType.EXEC, 4711, command=words, **more)

    async def test_the_exit_code_says_it_and_the_first_line_why(self) -> None:
        result = await self.run_script('echo "$1 $2 $3"; echo more; exit 0')
        self.assertEqual((result.cause, result.detail), (Cause.OK, f"{self.address} 4711 {{other}}"))
        self.assertIsNotNone(result.latency)
        result = await self.run_script("echo no >&2; exit 3")
        self.assertEqual((result.cause, result.detail), (Cause.STATUS, "exit 3: no"))
        result = await self.run_script("kill -9 $$")
        self.assertEqual((result.cause, result.detail), (Cause.ERROR, "ended by SIGKILL"))

    async def test_it_inherits_nothing(self) -> None:
        result = await self.run_script('test -z "$HOME$PYTHONPATH" && cd / && ls /proc/self/fd | wc -l; cat')
        self.assertEqual((result.cause, result.detail), (Cause.OK, "4"))  # three, and ls has the folder open

    async def test_a_flood_of_output(self) -> None:
        found = self.run_script("head -c 10000000 /dev/zero; sleep 0.1; echo end")
        await until(lambda: len(self.prober._programs) == 1)
        (program,) = self.prober._programs._running
        result = await found
        self.assertIs(result.cause, Cause.OK)
        self.assertEqual(len(program._output), MOST_OUTPUT_BYTES)
        self.assertLessEqual(len(result.detail), 120)

    async def test_a_program_that_is_not_there(self) -> None:
        result = await self.ask(ProbeType.EXEC, 0, command=("/nonexistent",))
        self.assertEqual((result.layer, result.detail), (Layer.LOCAL, "No such file or directory"))

    def gone(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    async def test_its_target_has_left(self) -> None:
        """It is killed at once, and nothing is heard of it."""
        place = self.folder / "pid"
        self.run_script(f"echo $$ > {place}; sleep 60", timeout=60.0)
        await until(lambda: place.exists() and place.read_text().strip() != "")
        self.watch.useless(list(self.watch.waiting))
        await until(lambda: self.gone(int(place.read_text())))
        self.assertEqual((self.prober.checking, self.watch.heard_of), (0, []))

    async def test_one_that_hangs_is_killed_with_its_children(self) -> None:
        place = self.folder / "pids"
        script = f"trap '' TERM; sleep 60 & echo $$ $! > {place}; wait; sleep 60"
        before = time.monotonic()
        result = await self.run_script(script, timeout=SHORT)
        self.assertEqual((result.layer, result.cause), (Layer.APPLICATION, Cause.TIMEOUT))
        self.assertLess(time.monotonic() - before, 0.9)  # it is told before the second that SIGTERM has
        pids = [int(word) for word in place.read_text().split()]
        await until(lambda: all(self.gone(pid) for pid in pids))
        await until(lambda: self.prober.checking == 0)

    async def test_who_is_left_behind_is_killed(self) -> None:
        place = self.folder / "pid"
        result = await self.run_script(f"sleep 60 & echo $! > {place}; echo fine")
        self.assertEqual((result.cause, result.detail), (Cause.OK, "fine"))
        pid = int(place.read_text())
        await until(lambda: self.gone(pid))

    async def test_so_many_at_once(self) -> None:
        self.prober._programs._most = 2
        running = [self.run_script(f"sleep 0.2; exit {number}", timeout=10.0) for number in range(4)]
        impatient = self.run_script("exit 9", timeout=0.1)
        await until(lambda: len(self.prober._programs) == 2)
        result = await impatient
        self.assertEqual((result.layer, result.cause), (Layer.LOCAL, Cause.TIMEOUT))
        found = [(await program).detail for program in running]
        self.assertEqual(found, ["", "exit 1", "exit 2", "exit 3"])
        self.assertEqual(len(self.prober._programs), 0)

    async def test_descriptors_are_given_back(self) -> None:
        await self.run_script("exit 0")
        before = len(os.listdir("/proc/self/fd"))
        for number in range(5):
            await self.run_script(f"exit {number}")
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
