"""TCP through the NAT proxy, between real peers."""

from __future__ import annotations

import hashlib
import os
import socket
from ipaddress import IPv4Address

import attrs
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import gatherResults
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from appliance.errors import DataPathError
from appliance.model import Endpoint, Timeouts, Transport
from tests.integration.sockets import (
    LEASED,
    ORIGIN,
    NatCase,
    coroutine,
    free_port,
    in_thread,
    read_all,
    read_to_reset,
    reset,
    turns,
    until,
)

MEGABYTE = 1 << 20


class Bytes(NatCase):
    """What one side sends arrives at the other, whole and in order."""

    async def test_there_and_back(self) -> None:
        client, server = await self.pair()
        client.sendall(b"question")
        self.assertEqual(await in_thread(server.recv, 100), b"question")
        server.sendall(b"answer!")
        self.assertEqual(await in_thread(client.recv, 100), b"answer!")
        [flow] = self.nat.connections()
        self.assertEqual((flow.from_client_bytes, flow.from_server_bytes), (8, 7))
        self.assertEqual((flow.transport, flow.state, flow.site), (Transport.TCP, "open", "a.example"))
        host, port = client.getsockname()
        self.assertEqual(flow.client, Endpoint(address=IPv4Address(host), port=port))
        self.assertEqual((flow.address, flow.port), (LEASED, client.getpeername()[1]))

    async def test_what_was_delivered_is_counted_beyond_its_end(self) -> None:
        """From servers to clients alone."""
        client, server = await self.pair()
        client.sendall(b"question")
        self.assertEqual(await in_thread(server.recv, 100), b"question")
        server.sendall(b"answer!")
        self.assertEqual(await in_thread(client.recv, 100), b"answer!")
        self.assertEqual((self.nat.count(), self.nat.delivered_bytes()), (1, 7))
        client.close()
        server.close()
        await until(lambda: not self.nat.connections())
        self.assertEqual((self.nat.count(), self.nat.delivered_bytes()), (0, 7))

    async def test_bytes_sent_before_the_server_is_connected(self) -> None:
        origin = self.origin()
        site = self.site(origin)
        self.nat.open(LEASED, site, site.servers[0])
        client = self.connect(site)
        client.sendall(b"early")
        server = await self.accept(origin)
        self.assertEqual(await in_thread(server.recv, 100), b"early")

    async def test_megabytes_both_ways_at_once(self) -> None:
        client, server = await self.pair()
        up, down = os.urandom(12 * MEGABYTE), os.urandom(12 * MEGABYTE)

        def send(sock: socket.socket, data: bytes) -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        work = (in_thread(send, client, up), in_thread(send, server, down))
        reads = (in_thread(read_all, client), in_thread(read_all, server))
        _, _, got_down, got_up = await gatherResults([coroutine(each) for each in (*work, *reads)])
        self.assertEqual(hashlib.sha256(got_up).digest(), hashlib.sha256(up).digest())
        self.assertEqual(hashlib.sha256(got_down).digest(), hashlib.sha256(down).digest())
        await until(lambda: not self.nat.connections())

    async def test_a_reader_that_does_not_read_stops_the_sender(self) -> None:
        client, server = await self.pair()
        sent = await self.flood(server)
        self.assertLess(len(sent), 64 * MEGABYTE)
        [flow] = self.nat.connections()
        carried = flow.from_server_bytes
        await turns()
        self.assertEqual(self.nat.connections()[0].from_server_bytes, carried)
        [connection] = self.nat._fabric.connections
        assert connection._client is not None
        self.assertLessEqual(len(connection._client.leftover), len(self.nat._fabric.buffer))
        self.assertGreater(len(connection._client.leftover), 0)
        server.close()
        self.assertEqual(hashlib.sha256(await in_thread(read_all, client)).digest(), hashlib.sha256(sent).digest())


class Ends(NatCase):
    """An end is an end, a reset is a reset, and each direction ends by itself."""

    async def test_the_reply_to_a_client_that_has_ended_is_whole(self) -> None:
        client, server = await self.pair()
        reply = os.urandom(4 * MEGABYTE)
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(await in_thread(read_all, server), b"request")
        self.assertEqual(self.nat.connections()[0].state, "half-closed")
        sending = coroutine(in_thread(server.sendall, reply))
        sending.addCallback(lambda _: server.close())
        self.assertEqual(await in_thread(read_all, client), reply)
        await sending
        await until(lambda: not self.nat.connections())

    async def test_a_client_may_go_on_after_the_server_has_ended(self) -> None:
        client, server = await self.pair()
        late = os.urandom(4 * MEGABYTE)
        server.sendall(b"banner")
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(await in_thread(read_all, client), b"banner")
        sending = coroutine(in_thread(client.sendall, late))
        sending.addCallback(lambda _: client.close())
        self.assertEqual(await in_thread(read_all, server), late)
        await sending
        await until(lambda: not self.nat.connections())

    async def test_a_reset_of_the_server_after_data(self) -> None:
        client, server = await self.pair()
        server.sendall(b"last words")
        reset(server)
        self.assertEqual(await in_thread(read_to_reset, client), b"last words")
        await until(lambda: not self.nat.connections())

    async def test_a_reset_of_the_client_after_data(self) -> None:
        client, server = await self.pair()
        client.sendall(b"last words")
        reset(client)
        self.assertEqual(await in_thread(read_to_reset, server), b"last words")
        await until(lambda: not self.nat.connections())

    async def test_a_reset_behind_a_reader_that_lags_is_no_clean_end(self) -> None:
        client, server = await self.pair()
        await self.flood(server)
        reset(server)
        await turns()
        self.assertGreater(len(await in_thread(read_to_reset, client)), 65536)
        await until(lambda: not self.nat.connections())

    async def test_a_lagging_client_is_reset_while_its_server_still_sends(self) -> None:
        client, server = await self.pair()
        await self.flood(server)
        reset(client)
        await in_thread(read_to_reset, server)
        await until(lambda: not self.nat.connections())

    async def test_what_the_server_said_before_it_refused_the_rest(self) -> None:
        """A server that answers and closes with unread input resets: its answer must arrive, then the reset."""
        client, server = await self.pair()
        client.sendall(b"x" * 100)
        await until(lambda: self.nat.connections()[0].from_client_bytes == 100)
        server.sendall(b"413 too large")
        server.close()
        self.assertEqual(await in_thread(read_to_reset, client), b"413 too large")

    async def refused_while_sending(self) -> socket.socket:
        """:return: a client whose last bytes could not be sent on, and whose server's last bytes are not read yet."""
        client, server = await self.pair()
        client.sendall(b"x" * 100)
        await until(lambda: self.nat.connections()[0].from_client_bytes == 100)
        server.sendall(b"413 too large")
        server.close()
        client.sendall(b"more")
        [connection] = self.nat._fabric.connections
        assert connection._client is not None
        connection._client.doRead()  # before the reactor sees what the server sent
        self.assertEqual(self.nat.connections()[0].state, "breaking")
        return client

    async def test_what_the_server_said_before_sending_to_it_failed(self) -> None:
        client = await self.refused_while_sending()
        self.assertEqual(await in_thread(read_to_reset, client), b"413 too large")

    async def test_both_sides_fail(self) -> None:
        client = await self.refused_while_sending()
        reset(client)
        await until(lambda: not self.nat.connections())

    async def test_a_lagging_client_that_has_ended_is_reset(self) -> None:
        """It is only written to then, and the reactor sees its reset as a hang-up."""
        client, server = await self.pair()
        client.shutdown(socket.SHUT_WR)
        await self.flood(server)
        self.assertEqual(await in_thread(read_all, server), b"")
        reset(client)
        with self.assertRaises(ConnectionError):
            await in_thread(server.sendall, bytes(64 * MEGABYTE))
        await until(lambda: not self.nat.connections())

    async def test_events_that_are_out_of_date(self) -> None:
        """A hang-up that was meant for an earlier owner of the descriptor's number changes nothing."""
        client, server = await self.pair()
        self.hang_up_falsely()
        client.sendall(b"question")
        self.assertEqual(await in_thread(server.recv, 100), b"question")
        server.sendall(b"answer")
        self.assertEqual(await in_thread(client.recv, 100), b"answer")

    async def test_events_that_are_out_of_date_while_bytes_wait(self) -> None:
        client, server = await self.pair()
        sent = await self.flood(server)
        self.hang_up_falsely()
        server.close()
        self.assertEqual(await in_thread(read_all, client), sent)

    def hang_up_falsely(self) -> None:
        [connection] = self.nat._fabric.connections
        for reason in (ConnectionLost(), ConnectionDone()):
            for side in (connection._client, connection._server):
                assert side is not None
                self.nat._fabric.poll.removeReader(side)
                self.nat._fabric.poll.removeWriter(side)
                side.connectionLost(Failure(reason))

    async def test_a_reset_after_the_end_of_the_other_side(self) -> None:
        client, server = await self.pair()
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(await in_thread(read_all, server), b"")
        reset(server)
        self.assertEqual(await in_thread(read_to_reset, client), b"")
        await until(lambda: not self.nat.connections())

    async def test_abort(self) -> None:
        client, server = await self.pair()
        self.nat.abort(LEASED, "other.example")
        self.assertEqual(len(self.nat.connections()), 1)
        self.nat.abort(LEASED, "a.example")
        await in_thread(read_to_reset, client)
        await in_thread(read_to_reset, server)


class Connecting(NatCase):
    """A server that cannot be reached is a reset for the client."""

    async def test_refused(self) -> None:
        site = self.site(free_port(ORIGIN))
        self.nat.open(LEASED, site, site.servers[0])
        client = self.connect(site)
        await in_thread(read_to_reset, client)
        self.assertEqual(self.nat.counters.connects_failed, 1)
        self.assertEqual(self.tally.opened, {(str(LEASED), "a.example"): 1})

    def busy_origin(self) -> tuple[socket.socket, list[socket.socket]]:
        """:return: a server that does not answer, and the clients that fill its queue: the kernel drops other SYNs."""
        origin = self.origin(backlog=0)
        fillers = [self.keep(socket.socket()) for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(origin.getsockname())
        return origin, fillers

    async def test_no_answer(self) -> None:
        origin, _ = self.busy_origin()
        site = self.site(origin, timeouts=Timeouts(connect=3.0))
        self.nat.open(LEASED, site, site.servers[0])
        client = self.connect(site)
        await until(lambda: bool(self.nat.connections()))
        self.assertEqual(self.nat.connections()[0].state, "connecting")
        self.clock.advance(2.9)
        await turns()
        self.assertEqual(len(self.nat.connections()), 1)
        self.clock.advance(0.5)
        await in_thread(read_to_reset, client)
        self.assertEqual(self.nat.counters.connects_failed, 1)

    async def test_a_server_that_refuses_late(self) -> None:
        origin, _ = self.busy_origin()
        site = self.site(origin)
        self.nat.open(LEASED, site, site.servers[0])
        client = self.connect(site)
        await until(lambda: bool(self.nat.connections()))
        origin.close()  # the kernel tries again after a second, and is refused
        await in_thread(read_to_reset, client)
        self.assertEqual(self.nat.counters.connects_failed, 1)

    async def test_a_server_that_answers_late(self) -> None:
        origin, fillers = self.busy_origin()
        site = self.site(origin)
        self.nat.open(LEASED, site, site.servers[0])
        client = self.connect(site)
        await until(lambda: bool(self.nat.connections()))
        client.sendall(b"patience")
        for filler in fillers:
            reset(filler)

        def find() -> bytes:
            while True:
                server, _ = origin.accept()
                server.settimeout(10)
                with server:
                    try:
                        if data := server.recv(100):
                            return data
                    except ConnectionResetError:
                        pass

        self.assertEqual(await in_thread(find), b"patience")


class Patience(NatCase):
    """Connections that nobody uses end, and not before."""

    async def test_idle(self) -> None:
        client, server = await self.pair(timeouts=Timeouts(idle=100.0))
        self.clock.advance(99)
        client.sendall(b"x")
        await in_thread(server.recv, 1)
        self.clock.pump([33, 33, 33])
        server.sendall(b"y")
        await in_thread(client.recv, 1)
        self.clock.pump([33, 33, 33])
        await turns()
        self.assertEqual(len(self.nat.connections()), 1)
        self.clock.advance(2)
        await in_thread(read_to_reset, client)
        await in_thread(read_to_reset, server)

    async def test_half_closed(self) -> None:
        client, server = await self.pair(timeouts=Timeouts(idle=1000.0, half_closed=5.0))
        self.clock.advance(500)
        client.shutdown(socket.SHUT_WR)
        await in_thread(read_all, server)
        self.clock.advance(4.9)
        server.sendall(b"still here")
        self.assertEqual(await in_thread(client.recv, 100), b"still here")
        self.clock.advance(4.9)
        await turns()
        self.assertEqual(len(self.nat.connections()), 1)
        self.clock.advance(0.5)
        await in_thread(read_to_reset, client)

    async def test_an_idle_timeout_shorter_than_the_connect_timeout(self) -> None:
        client, _ = await self.pair(timeouts=Timeouts(idle=1.0, connect=20.0))
        self.clock.advance(1.1)
        await in_thread(read_to_reset, client)

    async def test_a_short_connection_leaves_the_timers_as_it_ends(self) -> None:
        client, server = await self.pair()
        self.assertEqual(len(self.nat._fabric.timers), 1)
        client.close()
        server.close()
        await until(lambda: not self.nat.connections())
        self.assertEqual(len(self.nat._fabric.timers), 0)

    async def test_a_closed_connection_does_not_stay_in_the_timers(self) -> None:
        client, server = await self.pair()
        self.clock.advance(10)  # now its entry stands at a time far off
        client.close()
        server.close()
        await until(lambda: not self.nat.connections())
        self.clock.pump([31, 31])
        self.assertEqual(len(self.nat._fabric.timers), 0)


class NoDescriptors(NatCase):
    """A process that runs out of descriptors refuses, rests, and recovers by itself."""

    async def test_accept(self) -> None:
        origin = self.origin()
        site = self.site(origin)
        self.nat.open(LEASED, site, site.servers[0])
        clients = [self.keep(socket.socket()) for _ in range(2)]
        held = await self.exhaust_descriptors()
        clients[0].connect((str(LEASED), site.services[0].first_port))
        await in_thread(read_to_reset, clients[0])
        self.assertEqual(self.nat.counters.accepts_refused, 1)
        [listener] = self.nat._holdings[LEASED, "a.example"].listeners.values()
        self.assertNotIn(listener, global_reactor.getReaders())
        clients[1].connect((str(LEASED), site.services[0].first_port))
        while held:
            os.close(held.pop())
        await turns()
        self.assertEqual(self.nat.connections(), [])  # it rests
        self.clock.advance(0.3)
        await until(lambda: bool(self.nat.connections()))

    async def test_the_reserve_is_there_again(self) -> None:
        site = self.site(self.origin(), ports=(free_port(LEASED), free_port(LEASED)))
        self.nat.open(LEASED, site, site.servers[0])
        clients = [self.keep(socket.socket()) for _ in range(4)]
        await self.exhaust_descriptors()
        for count, client in enumerate(clients):
            client.connect((str(LEASED), site.services[count % 2].first_port))
            await in_thread(read_to_reset, client)
            self.assertEqual(self.nat.counters.accepts_refused, count + 1)
            self.clock.advance(0.3 * (count % 2))

    async def test_connect(self) -> None:
        origin = self.origin()
        site = self.site(origin)
        self.nat.open(LEASED, site, site.servers[0])
        client = self.keep(socket.socket())
        held = await self.exhaust_descriptors()
        os.close(held.pop())  # enough to accept, not to connect
        client.connect((str(LEASED), site.services[0].first_port))
        await in_thread(read_to_reset, client)
        self.assertEqual(self.nat.counters.connects_failed, 1)


class Holding(NatCase):
    """What listens follows the site that holds the address."""

    async def test_close_keeps_connections(self) -> None:
        client, server = await self.pair()
        port = client.getpeername()[1]
        self.nat.close(LEASED, "other.example")
        self.assertListens(port, listens=True)
        self.nat.close(LEASED, "a.example")
        self.nat.close(LEASED, "a.example")
        self.assertListens(port, listens=False)
        client.sendall(b"still")
        self.assertEqual(await in_thread(server.recv, 100), b"still")

    async def test_the_same_site_again_is_nothing_new(self) -> None:
        site = self.site(self.origin())
        self.nat.open(LEASED, site, site.servers[0])
        before = self.nat._holdings[LEASED, site.name]
        self.nat.open(LEASED, site, site.servers[0])
        self.assertIs(self.nat._holdings[LEASED, site.name], before)

    async def test_a_changed_site_is_a_difference(self) -> None:
        one, two = self.origin(), self.origin()
        ports = tuple(free_port(LEASED) for _ in range(3))
        before, after = self.site(one, ports=ports[:2]), self.site(two, ports=ports[1:])
        self.nat.open(LEASED, before, before.servers[0])
        client = self.connect(before, service=1)
        server = await self.accept(one)
        self.nat.open(LEASED, after, after.servers[0])
        for port, listens in zip(ports, (False, True, True), strict=True):
            self.assertListens(port, listens=listens)
        client.sendall(b"to the old")
        self.assertEqual(await in_thread(server.recv, 100), b"to the old")
        newcomer = self.connect(after)
        newcomer.sendall(b"to the new")

        def find() -> bytes:
            while True:  # the probes above came here too
                accepted, _ = two.accept()
                with accepted:
                    accepted.settimeout(10)
                    try:
                        if data := accepted.recv(100):
                            return data
                    except ConnectionResetError:
                        pass

        self.assertEqual(await in_thread(find), b"to the new")

    async def test_another_server(self) -> None:
        """New connections go there; those that run stay where they are."""
        one, two = self.origin(), self.origin()
        site = self.site(one)
        first = site.servers[0]
        second = attrs.evolve(first, name="second", port=two.getsockname()[1])
        site = attrs.evolve(site, servers=(first, second))
        self.nat.open(LEASED, site, first)
        client = self.connect(site)
        server = await self.accept(one)
        self.nat.open(LEASED, site, second)
        self.connect(site)
        await self.accept(two)
        client.sendall(b"still")
        self.assertEqual(await in_thread(server.recv, 100), b"still")
        self.assertEqual(sorted(flow.server for flow in self.nat.connections()), ["second", site.servers[0].name])

    async def test_listening_again_beside_old_connections(self) -> None:
        origin = self.origin()
        site = self.site(origin)
        self.nat.open(LEASED, site, site.servers[0])
        self.connect(site)
        await self.accept(origin)
        self.nat.close(LEASED, site.name)
        self.nat.open(LEASED, site, site.servers[0])
        self.assertListens(site.services[0].first_port, listens=True)
        await until(lambda: len(self.nat.connections()) >= 2)

    async def test_a_port_that_is_taken(self) -> None:
        free, taken = free_port(LEASED), self.keep(socket.create_server((str(LEASED), 0))).getsockname()[1]
        before = self.site(self.origin())
        self.nat.open(LEASED, before, before.servers[0])
        for after in (self.site(9, ports=(free, taken)), self.site(9, name="b.example", ports=(free, taken))):
            error = self.assertRaises(DataPathError, self.nat.open, LEASED, after, after.servers[0])
            self.assertEqual(str(error), f"{LEASED}:{taken}/tcp: port in use by another program (ss -lnp shows which)")
            self.assertListens(free, listens=False)
            self.assertListens(before.services[0].first_port, listens=True)
        self.nat.close(LEASED, "a.example")
        self.assertListens(before.services[0].first_port, listens=False)

    async def test_an_address_that_is_not_here(self) -> None:
        site, elsewhere = self.site(9, ports=(80,)), IPv4Address("192.0.2.9")
        error = self.assertRaises(DataPathError, self.nat.open, elsewhere, site, site.servers[0])
        advice = "address not on this host (add it to an interface: ip address add 192.0.2.9/32 dev ...)"
        self.assertEqual(str(error), f"192.0.2.9:80/tcp: {advice}")


class Stopping(NatCase):
    """The end of the room."""

    async def test_connections_may_end_by_themselves(self) -> None:
        client, server = await self.pair()
        stopping = coroutine(self.nat.stop(60))
        client.sendall(b"a little more")
        client.close()
        self.assertEqual(await in_thread(read_all, server), b"a little more")
        server.close()
        await stopping
        await self.nat.stop(60)

    async def test_those_that_do_not_end_are_reset(self) -> None:
        client, _ = await self.pair()
        port = client.getpeername()[1]
        stopping = coroutine(self.nat.stop(60))
        self.clock.advance(59)
        await turns()
        self.assertEqual(len(self.nat.connections()), 1)
        with socket.socket() as late:
            self.assertNotEqual(late.connect_ex((str(LEASED), port)), 0)
        self.clock.advance(2)
        await stopping
        await in_thread(read_to_reset, client)
        site = self.site(9)
        self.assertRaises(DataPathError, self.nat.open, LEASED, site, site.servers[0])

    async def test_a_second_stop_with_less_patience(self) -> None:
        await self.pair()
        stopping = coroutine(self.nat.stop(60))
        await self.nat.stop(0)
        await stopping


class Contained(NatCase):
    """An error of ours costs one connection at most, and is logged."""

    async def test_the_tables_raise(self) -> None:
        def refuse(address: IPv4Address, site: str) -> None:
            self.tally.opened[str(address), site] += 1
            raise ValueError("a bug")

        self.tally.connection_opened = refuse  # type: ignore[method-assign]
        client, server = await self.pair()
        client.sendall(b"anyway")
        self.assertEqual(await in_thread(server.recv, 100), b"anyway")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_a_side_raises(self) -> None:
        client, server = await self.pair()
        [connection] = self.nat._fabric.connections
        assert connection._client is not None
        connection._client.recv_into = None  # type: ignore[assignment]
        client.sendall(b"bang")
        await in_thread(read_to_reset, client)
        await in_thread(read_to_reset, server)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
