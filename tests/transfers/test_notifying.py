"""Who is told of a new serial, how often, and who is not."""

from __future__ import annotations

import socket
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.tsig
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import capturedLogs

from appliance.transfers import notifying
from tests.integration.process import free_port, own_address
from tests.transfers.test_outgoing import indented
from tests.transfers.world import KEY, Primary, Served, World, reactor, records, until


class Told(DatagramProtocol):
    """A secondary that answers its notifications, or not."""

    def __init__(self, case: World, key: dns.tsig.Key | None = None) -> None:
        self.address = own_address()
        self.port = free_port(self.address)
        self.where = f"'{self.address}:{self.port}'"
        self.messages: list[dns.message.Message] = []
        self.silent = 0
        self.rcode = dns.rcode.NOERROR
        self._keyring = {key.name: key} if key is not None else None
        port = reactor.listenUDP(self.port, self, interface=self.address)
        case.addCleanup(port.stopListening)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = dns.message.from_wire(datagram, keyring=self._keyring)
        self.messages.append(message)
        if self.silent:
            self.silent -= 1
            return
        response = dns.message.make_response(message)
        response.set_rcode(self.rcode)
        assert self.transport is not None
        self.transport.write(response.to_wire(), addr)

    @property
    def serials(self) -> list[int]:
        return [message.answer[0][0].serial for message in self.messages]


class NotifyTests(World):
    def setUp(self) -> None:
        self.patch(notifying, "WAITS", (0.2, 0.2, 0.2))

    def text(self, told: str, serial: int = 1, keys: str = "") -> str:
        return (
            "dns:\n  listen: [LISTEN]\n  tsig: {k.test: {secret: secret}, z.test: {secret: secret}}\n  zones:\n"
            f"    in.test:\n      transfer: {{notify: [{told}], keys: [{keys}]}}\n"
            f"      records: |\n{indented(records(serial))}"
        )

    async def quiet(self, served: Served) -> None:
        await until(lambda: not served.transfers._notifying._doing)

    async def test_at_a_start_and_a_reload(self) -> None:
        """Once for each serial; of the same serial nobody is told again, but for those who are new."""
        one, two = Told(self), Told(self)
        served = self.serve(self.text(one.where)).start()
        await self.quiet(served)
        [message] = one.messages
        self.assertEqual((message.opcode(), message.flags & ~0x7800), (dns.opcode.NOTIFY, dns.flags.AA))
        self.assertEqual(message.question[0].rdtype, dns.rdatatype.SOA)
        self.assertFalse(message.had_tsig)
        served.reload(self.text(f"{one.where}, {two.where}"))
        await self.quiet(served)
        self.assertEqual((one.serials, two.serials), ([1], [1]))
        served.reload(self.text(f"{one.where}, {two.where}", serial=2))
        await self.quiet(served)
        self.assertEqual((one.serials, two.serials), ([1, 2], [1, 2]))

    async def test_signed(self) -> None:
        """With exactly one key."""
        for keys, signed in (("k.test", True), ("k.test, z.test", False)):
            told = Told(self, KEY)
            served = self.serve(self.text(told.where, keys=keys)).start()
            await self.quiet(served)
            self.assertEqual([message.had_tsig for message in told.messages], [signed])

    async def test_until_it_answers(self) -> None:
        """The same message, a few times; then it is given up."""
        told = Told(self)
        told.silent = 2
        served = self.serve(self.text(told.where)).start()
        await self.quiet(served)
        self.assertEqual(len({message.id for message in told.messages}), 1)
        self.assertEqual(told.serials, [1, 1, 1])
        told.silent = 99
        served.reload(self.text(told.where, serial=2))
        await self.quiet(served)
        self.assertEqual(told.serials[3:], [2, 2, 2])

    async def test_a_reload_tells_again(self) -> None:
        """Those who could not be told, and those who have another key now; until then the status says it."""
        told = Told(self, KEY)
        told.rcode = dns.rcode.NOTAUTH
        served = self.serve(self.text(told.where)).start()
        await self.quiet(served)
        trouble = f"zone in.test: {told.where[1:-1]} could not be told of it: it says NOTAUTH"
        self.assertEqual(served.transfers.troubles(), [trouble])
        told.rcode = dns.rcode.NOERROR
        for _ in range(2):
            served.reload(self.text(told.where))
            await self.quiet(served)
        self.assertEqual((told.serials, served.transfers.troubles()), ([1, 1], []))
        served.reload(self.text(told.where, keys="k.test"))
        await self.quiet(served)
        self.assertEqual(
            ([message.had_tsig for message in told.messages], served.transfers.troubles()), ([False, False, True], [])
        )

    async def test_a_serial_that_was_not_raised(self) -> None:
        """A person is told, where somebody may have the zone and its records are others."""
        told = Told(self)
        text = self.text(told.where, serial=5)
        changed = text.replace("192.0.2.1", "192.0.2.2")
        served = self.serve(text).start()
        for now, warned in ((text, False), (changed, True), (changed, False), (text.replace(" 5 ", " 6 "), False)):
            with capturedLogs() as events:
                served.reload(now)
            said = [event for event in events if event.get("event") == "zone-serial-not-raised"]
            self.assertEqual(bool(said), warned)
        await self.quiet(served)

    async def test_any_answer_ends_it(self) -> None:
        told = Told(self)
        told.rcode = dns.rcode.NOTAUTH
        served = self.serve(self.text(told.where)).start()
        await self.quiet(served)
        self.assertEqual(told.serials, [1])

    async def test_nobody_there(self) -> None:
        """Tried as often, and the others are told."""
        with socket.socket(type=socket.SOCK_DGRAM) as gone:
            gone.bind((own_address(), 0))
            address, port = gone.getsockname()
        told = Told(self)
        served = self.serve(self.text(f"'{address}:{port}', {told.where}")).start()
        await self.quiet(served)
        self.assertEqual(told.serials, [1])

    async def test_a_newer_serial_meanwhile(self) -> None:
        """The older one is not told any more."""
        told = Told(self)
        told.silent = 1
        served = self.serve(self.text(told.where)).start()
        await until(lambda: told.messages)
        served.reload(self.text(told.where, serial=2))
        await self.quiet(served)
        self.assertEqual(told.serials, [1, 2])

    async def test_a_zone_that_came_in(self) -> None:
        """Is told on: a secondary may have secondaries."""
        told, primary = Told(self), Primary(self, records(7))
        served = self.serve(
            "dns:\n  listen: [LISTEN]\n  zones:\n"
            f"    in.test: {{primary: {{address: {primary.where}}}, transfer: {{notify: [{told.where}]}}}}\n"
        ).start()
        await until(lambda: told.serials == [7])
        await self.quiet(served)

    async def test_stop(self) -> None:
        """Nothing is left open."""
        told = Told(self)
        told.silent = 99
        served = self.serve(self.text(told.where)).start()
        await until(lambda: told.messages)
        await served.stop()
