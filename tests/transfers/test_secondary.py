"""Zones in: from a primary that does what it should, and from many that do not."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
from twisted.internet.task import LoopingCall, deferLater

from appliance.naming import SiteNames, from_text
from appliance.transfers import Bounds, schedule, zonefiles
from tests.transfers.test_outgoing import indented
from tests.transfers.world import KEY, SECRET, Primary, Served, World, framed, reactor, records, until, zone_of


class SecondaryWorld(World):
    def secondary(self, primary: Primary, more: str = "", **bounds: Any) -> Served:
        return self.serve(self.text(primary, more), **bounds)

    def text(self, primary: Primary, more: str = "", transfer: str = "{}") -> str:
        key = ", key: k.test" if primary.key is not None else ""
        return (
            "dns:\n  listen: [LISTEN]\n  tsig: {k.test: {secret: secret}}\n  zones:\n"
            f"    in.test: {{primary: {{address: {primary.where}{key}}}, transfer: {transfer}}}\n{more}"
        )

    def current(self, served: Served, serial: int = 1) -> Any:
        return until(lambda: (served.row()["state"], served.row()["serial"]) == ("current", serial))

    async def notify(self, served: Served, name: str = "in.test", key: dns.tsig.Key | None = None) -> int:
        message = dns.message.make_query(name, "SOA", flags=dns.flags.AA)
        message.set_opcode(dns.opcode.NOTIFY)
        if key is not None:
            message.use_tsig(key)
        response = await served.ask(message)
        self.assertEqual((response.opcode(), response.question), (dns.opcode.NOTIFY, message.question))
        if response.rcode() == dns.rcode.NOERROR:
            self.assertTrue(response.flags & dns.flags.AA)
        return response.rcode()


class GoodPrimaryTests(SecondaryWorld):
    async def test_before_the_first_transfer(self) -> None:
        """SERVFAIL and Not Ready, also for its sites; then the records."""
        primary = Primary(self, records(1, "a 60 A 192.0.2.7\n"))
        answered = primary.datagrams
        primary.datagrams = lambda query: []
        served = self.secondary(primary)
        served.sites = [SiteNames(site="s", names=(from_text("site.in.test"),))]
        served.start()
        self.assertEqual([served.rcode(f"{name}in.test") for name in ("", "a.", "site.")], [(2, 14)] * 3)
        self.assertEqual(served.row()["state"], "waiting")
        self.assertEqual(served.transfers.troubles(), ["zone in.test is waiting: its primary is being asked"])
        primary.datagrams = answered
        await self.current(served)
        self.assertEqual((served.addresses("a.in.test"), served.row()["error"]), (["192.0.2.7"], None))
        response = await served.ask(dns.message.make_query("site.in.test", "A"))
        self.assertEqual(response.answer[0][0].to_text(), "192.0.2.200")

    async def test_signed(self) -> None:
        served = self.secondary(Primary(self, key=KEY)).start()
        await self.current(served)

    async def test_not_signed_where_it_should_be(self) -> None:
        """Neither the datagram nor the stream is believed."""
        primary = Primary(self, key=KEY)
        unsigned = dns.message.make_query

        def forged(query: dns.message.Message) -> list[bytes]:
            fake = dns.message.make_response(unsigned("in.test", "SOA", id=query.id))
            fake.flags |= dns.flags.AA
            fake.answer.append(primary.rrset())
            return [fake.to_wire()]

        primary.datagrams = forged
        primary.stream = lambda connection, query: connection.say(forged(query)[0])
        served = self.secondary(primary).start()
        await until(lambda: served.row()["error"])
        self.assertEqual((served.row()["state"], primary.count("AXFR", stream=True)), ("waiting", 0))
        self.assertIn("does not have one", served.row()["error"])

    async def test_a_notification(self) -> None:
        """From the primary's address, or with its key; the new version is there without waiting for a refresh."""
        primary = Primary(self)
        served = self.secondary(primary).start()
        await self.current(served)
        primary.zone = zone_of(records(2, "a 60 A 192.0.2.8\n"))
        # Notifications here come from 127.0.0.1.
        self.assertEqual(await self.notify(served), dns.rcode.REFUSED)
        served.transfers._secondaries[from_text("in.test")].notified()
        await self.current(served, 2)
        self.assertEqual(served.addresses("a.in.test"), ["192.0.2.8"])
        self.assertEqual(primary.count("IXFR", stream=True), 1)

    async def test_who_may_notify(self) -> None:
        primary = Primary(self, key=KEY)
        more = (
            '    file.test: {records: "@ 60 SOA ns1 h 1 7200 3600 1209600 60\\n@ 60 NS ns1\\nns1 60 A 192.0.2.1\\n"}\n'
        )
        served = self.secondary(primary, more).start()
        await self.current(served)
        other = dns.tsig.Key("z.test", KEY.secret)
        self.assertEqual(await self.notify(served, key=KEY), dns.rcode.NOERROR)
        self.assertEqual(await self.notify(served), dns.rcode.REFUSED)
        self.assertEqual(await self.notify(served, "file.test", key=KEY), dns.rcode.REFUSED)
        self.assertEqual(await self.notify(served, "nowhere.test", key=KEY), dns.rcode.NOTAUTH)
        with self.assertRaises(dns.tsig.PeerBadKey):
            await self.notify(served, key=other)
        message = dns.message.make_query("in.test", "A")
        message.set_opcode(dns.opcode.NOTIFY)
        self.assertEqual((await served.ask(message)).rcode(), dns.rcode.NOTIMP)

    async def test_many_notifications(self) -> None:
        """The primary is asked once more, not once for each."""
        primary = Primary(self, key=KEY)
        served = self.secondary(primary).start()
        await self.current(served)
        for _ in range(20):
            await self.notify(served, key=KEY)
        await until(lambda: primary.count("SOA", stream=False) == 2)
        self.assertLessEqual(primary.count("SOA", stream=False), 2)

    async def test_changes_that_cannot_be_had(self) -> None:
        """Then all of it."""
        primary = Primary(self)
        served = self.secondary(primary).start()
        await self.current(served)
        primary.zone = zone_of(records(2))

        def no_ixfr(connection: Any, query: dns.message.Message) -> None:
            if query.question[0].rdtype == dns.rdatatype.IXFR:
                response = dns.message.make_response(query)
                response.set_rcode(dns.rcode.NOTIMP)
                connection.say(response.to_wire())
            else:
                primary.transfer(connection, query)

        primary.stream = no_ixfr
        served.transfers._secondaries[from_text("in.test")].notified()
        await self.current(served, 2)
        self.assertEqual(primary.asked[-2:], [("IXFR", True), ("AXFR", True)])

    async def test_truncated(self) -> None:
        """The SOA over TCP."""
        primary = Primary(self)

        def truncated(query: dns.message.Message) -> list[bytes]:
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
            return [response.to_wire()]

        primary.datagrams = truncated
        served = self.secondary(primary).start()
        await self.current(served)
        self.assertEqual(primary.count("SOA", stream=True), 1)

    async def test_wrong_datagrams_before_the_right_one(self) -> None:
        """Somebody who guesses ids does not keep the right answer away."""
        primary = Primary(self)

        def noisy(query: dns.message.Message) -> list[bytes]:
            right = primary.soa(query).to_wire()
            other = primary.soa(dns.message.make_query("other.test", "SOA", id=query.id))
            guessed = primary.soa(dns.message.make_query("in.test", "SOA", id=query.id ^ 1))
            for wrong in (other, guessed):
                wrong.set_rcode(dns.rcode.REFUSED)
            return [b"", b"x", right[:-1], guessed.to_wire(), other.to_wire(), right]

        primary.datagrams = noisy
        served = self.secondary(primary).start()
        await until(lambda: served.row()["state"] == "current" or served.row()["error"])
        self.assertEqual((served.row()["error"], primary.count("SOA", stream=True)), (None, 0))

    async def test_reload(self) -> None:
        """What has not changed is kept and not asked for again; what has left is not asked for any more."""
        primary = Primary(self)
        served = self.secondary(primary).start()
        await self.current(served)
        other = Primary(self)
        more = f"    other.test: {{primary: {{address: {other.where}}}}}\n"
        served.reload(self.text(primary, more))
        self.assertEqual(served.rcode("ns1.in.test"), (0, None))
        await until(lambda: other.asked)
        self.assertEqual(len(primary.asked), 2)
        served.reload(self.text(other))
        self.assertEqual((served.rcode("ns1.in.test"), len(served.transfers.rows(float))), ((0, None), 1))
        await until(lambda: other.count("SOA", stream=False) >= 2)
        self.assertEqual(served.row()["primary"], other.where.strip("'"))


class FileTests(SecondaryWorld):
    async def test_a_restart(self) -> None:
        """Serves at once what the disk has, though the primary is silent; files are nobody else's."""
        primary = Primary(self, records(1, 'a 60 A 192.0.2.7\nt 60 TXT "; \\" (" x\n'))
        served = self.secondary(primary).start()
        file = served.folder / "zones" / "in.test.zone"
        await until(file.exists)
        self.assertEqual([stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)], [0o600, 0o700])
        held = served.transfers._secondaries[from_text("in.test")].version.source
        await served.stop()
        primary.datagrams = lambda query: []
        primary.stream = lambda connection, query: None
        served.start()
        self.assertEqual((served.addresses("a.in.test"), served.row()["state"]), (["192.0.2.7"], "current"))
        self.assertEqual(served.transfers._secondaries[from_text("in.test")].version.source, held)

    async def test_too_old(self) -> None:
        """A zone that has expired while nobody ran it is not served, until the primary says that it is good."""
        primary = Primary(self)
        served = self.secondary(primary).start()
        file = served.folder / "zones" / "in.test.zone"
        await until(file.exists)
        await served.stop()
        os.utime(file, (time.time() - 86401, time.time() - 86401))
        datagrams, primary.datagrams = primary.datagrams, lambda query: []
        stream, primary.stream = primary.stream, lambda connection, query: None
        served.start()
        self.assertEqual((served.rcode("ns1.in.test"), served.row()["state"]), ((2, 24), "expired"))
        primary.datagrams, primary.stream = datagrams, stream
        await self.current(served)
        self.assertEqual(served.addresses("ns1.in.test"), ["192.0.2.1"])
        self.assertEqual(primary.count("AXFR", stream=True), 1)
        await until(lambda: time.time() - file.stat().st_mtime < 100)

    async def test_a_damaged_file(self) -> None:
        """Said, and had anew."""
        for damage in ("garbage\n", "@ 60 A 192.0.2.1\n", "\xff"):
            primary = Primary(self)
            served = self.secondary(primary)
            (served.folder / "zones").mkdir()
            (served.folder / "zones" / "in.test.zone").write_bytes(damage.encode("latin-1"))
            served.start()
            await self.current(served)

    async def test_a_disk_that_is_full(self) -> None:
        """Or a folder that cannot be made: the zone is served all the same."""
        primary = Primary(self)
        served = self.secondary(primary)
        (served.folder / "zones").write_text("in the way")
        served.start()
        await self.current(served)
        self.assertEqual(served.rcode("ns1.in.test"), (0, None))
        await until(served.transfers.troubles)
        self.assertRegex(served.transfers.troubles()[0], r"^zone in\.test is not on the disk: .*File exists")

    async def test_a_disk_that_has_room_again(self) -> None:
        """The next refresh writes what could not be written, though there is nothing newer."""
        self.patch(schedule, "NOTIFY_INTERVAL", 0.0)
        primary = Primary(self, key=KEY)
        served = self.secondary(primary).start()
        file = served.folder / "zones" / "in.test.zone"
        await until(file.exists)
        full = self.patch(zonefiles, "_replace", mock.Mock(side_effect=OSError(28, "No space left on device")))
        primary.zone = zone_of(records(2))
        await self.notify(served, key=KEY)
        await self.current(served, 2)
        await until(lambda: "No space" in "".join(served.transfers.troubles()))
        full.restore()
        await self.notify(served, key=KEY)
        await until(lambda: not served.transfers.troubles())
        self.assertIn(" 2 3600 ", file.read_text())

    async def test_a_slow_disk(self) -> None:
        """A notification meanwhile is followed after it: never are two versions written at once."""
        written, replace = threading.Event(), zonefiles._replace

        def slowly(*arguments: Any) -> None:
            written.wait(20)
            replace(*arguments)

        self.patch(zonefiles, "_replace", slowly)
        self.patch(schedule, "NOTIFY_INTERVAL", 0.0)
        self.addCleanup(written.set)
        primary = Primary(self, key=KEY)
        served = self.secondary(primary).start()
        await self.current(served)
        primary.zone = zone_of(records(2))
        self.assertEqual(await self.notify(served, key=KEY), dns.rcode.NOERROR)
        for _ in range(50):
            await deferLater(reactor, 0)
        self.assertEqual(primary.count("SOA", stream=False), 1)
        written.set()
        await self.current(served, 2)
        file = served.folder / "zones" / "in.test.zone"
        await until(lambda: file.exists() and " 2 3600 " in file.read_text())

    async def test_a_file_that_somebody_removed(self) -> None:
        """Comes back with the next refresh."""
        primary = Primary(self, key=KEY)
        served = self.secondary(primary).start()
        file = served.folder / "zones" / "in.test.zone"
        await until(file.exists)
        file.unlink()
        await self.notify(served, key=KEY)
        await until(file.exists)


class ExpiryTests(SecondaryWorld):
    async def test_it_expires(self) -> None:
        """A primary that has gone: stale, then SERVFAIL; and any serial will do when it is back."""
        primary = Primary(self, records(5, timers="1 1 2 5"))
        served = self.secondary(primary).start()
        await self.current(served, 5)
        datagrams, primary.datagrams = primary.datagrams, lambda query: []
        stream, primary.stream = primary.stream, lambda connection, query: connection.transport.abortConnection()
        await until(lambda: served.row()["state"] == "stale")
        self.assertEqual(served.rcode("ns1.in.test"), (0, None))
        await until(lambda: served.row()["state"] == "expired")
        self.assertEqual(served.rcode("ns1.in.test"), (2, 24))
        primary.zone = zone_of(records(3))
        primary.datagrams, primary.stream = datagrams, stream
        await self.current(served, 3)
        self.assertEqual(served.rcode("ns1.in.test"), (0, None))

    async def test_an_older_serial(self) -> None:
        """Is not taken while there is a newer one; it is said."""
        primary = Primary(self, records(5, timers="1 1 86400 5"))
        served = self.secondary(primary).start()
        await self.current(served, 5)
        primary.zone = zone_of(records(4))
        await until(lambda: served.row()["state"] == "stale")
        self.assertEqual(served.row()["error"], "the primary's serial 4 is older than ours, 5")
        self.assertEqual(served.row()["serial"], 5)


class BadPrimaryTests(SecondaryWorld):
    """Each is given up with a reason, and leaves what was held."""

    async def spoilt(self, stream: Any, reason: str, **bounds: Any) -> Served:
        primary = Primary(self, records(1, "a 60 A 192.0.2.7\n"))
        served = self.secondary(primary, **bounds).start()
        await self.current(served)
        primary.zone = zone_of(records(2, "a 60 A 192.0.2.66\n"))
        primary.stream = lambda connection, query: stream(primary, connection, query)
        served.transfers._secondaries[from_text("in.test")].notified()
        await until(lambda: served.row()["state"] == "stale")
        self.assertIn(reason, served.row()["error"])
        self.assertEqual((served.addresses("a.in.test"), served.row()["serial"]), (["192.0.2.7"], 1))
        return served

    def refused(self, served: Served) -> Any:
        return until(lambda: served.row()["error"])

    def again_and_again(self, more: Callable[[], None]) -> None:
        loop = LoopingCall(more)
        loop.start(0.1)
        self.addCleanup(loop.stop)

    async def test_it_says_nothing(self) -> None:
        await self.spoilt(lambda primary, connection, query: None, "no message for 1 s")

    async def test_it_dribbles(self) -> None:
        """A byte now and then is no message."""

        def dribble(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            connection.raw(b"\xff")

            def more() -> None:
                connection.raw(b"\xff")

            self.again_and_again(more)

        await self.spoilt(dribble, "no message for 1 s")

    async def test_it_never_ends(self) -> None:
        """A good message now and then is no zone."""

        def endless(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            response = primary.soa(query)
            response.answer += primary.body()
            number = 0

            def more() -> None:
                nonlocal number
                connection.say(response.to_wire())
                number += 1
                response.answer = [dns.rrset.from_text(f"a{number}.in.test.", 60, "IN", "A", "192.0.2.1")]

            self.again_and_again(more)

        await self.spoilt(endless, "not done within 3 s")

    async def test_a_million_records(self) -> None:
        """As fast as it can; neither memory nor time are its own."""

        def flood(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            first = primary.soa(query)
            first.answer += primary.body()
            connection.say(first.to_wire())
            more = dns.message.make_response(query)
            more.answer = [dns.rrset.from_text(f"a{n}.in.test.", 60, "IN", "A", "192.0.2.1") for n in range(500)]
            data = framed(more.to_wire())
            for _ in range(2000):
                connection.raw(data)

        served = await self.spoilt(flood, "more than 5000 records", bounds=Bounds(records=5000))
        self.assertEqual(served.row()["serial"], 1)

    async def test_garbage(self) -> None:
        await self.spoilt(lambda primary, connection, query: connection.raw(os.urandom(40000)), "")
        await self.spoilt(lambda primary, connection, query: connection.say(b"x" * 50), "message 1: ")

    async def test_a_wrong_id_or_question(self) -> None:
        def wrong_id(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            query.id ^= 1
            primary.transfer(connection, query)

        def wrong_question(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            other = dns.message.make_query("other.test", query.question[0].rdtype, id=query.id)
            primary.transfer(connection, other)

        await self.spoilt(wrong_id, "no response to what was asked")
        await self.spoilt(wrong_question, "answers another question")

    async def test_it_stops_in_the_middle(self) -> None:
        """Of the zone, or of a message."""

        def cut(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            response = primary.soa(query)
            response.answer += primary.body()
            connection.say(response.to_wire())
            connection.transport.loseConnection()

        def torn(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            response = primary.soa(query)
            response.answer += [*primary.body(), primary.rrset()]
            connection.raw(framed(response.to_wire())[:-5])
            connection.transport.loseConnection()

        await self.spoilt(cut, "the connection ended too early")
        await self.spoilt(torn, "the connection ended too early")

    async def test_no_zone(self) -> None:
        """What comes is complete, and has no NS."""

        def empty(primary: Primary, connection: Any, query: dns.message.Message) -> None:
            response = primary.soa(query)
            response.answer += [dns.rrset.from_text("a.in.test.", 60, "IN", "A", "192.0.2.1"), primary.rrset()]
            connection.say(response.to_wire())

        await self.spoilt(empty, "no NS at its apex")

    async def test_nobody_there(self) -> None:
        primary = Primary(self)
        await primary.close()
        served = self.secondary(primary).start()
        await until(lambda: served.row()["error"])
        self.assertIn("no answer over UDP: connection refused; no connection: ", served.row()["error"])

    async def test_it_refuses_the_key(self) -> None:
        """Said once, with the key and what may be wrong with it."""
        refusals = {
            "k.testey": "BADKEY: it has no key of this name and algorithm",
            "k.test": "BADSIG: its secret is another",
        }
        dns_of = "dns:\n  listen: [LISTEN]\n  tsig: {%s: {secret: secret}}\n  zones:\n    in.test: %s\n"
        for key, said in refusals.items():
            primary = self.serve(dns_of % (key, "\n      records: |\n" + indented(records())))
            (primary.folder / "secret").write_text(SECRET.replace("MD", "xD"))
            primary.start()
            where = f"'{primary.address}:{primary.port}'"
            served = self.serve(dns_of % ("k.test", f"{{primary: {{address: {where}, key: k.test}}}}")).start()
            await until(lambda served=served: served.row()["error"])  # type: ignore[misc]
            told = f"no good answer, over UDP and TCP: it refuses what key k.test. has signed ({said})"
            self.assertEqual(served.row()["error"], told)

    async def test_it_does_not_have_the_zone(self) -> None:
        """An error, no answer, or one without AA."""
        for change in ("refused", "empty", "lame"):
            primary = Primary(self)

            def answer(query: dns.message.Message, primary: Primary = primary, change: str = change) -> list[bytes]:
                response = primary.soa(query)
                if change == "refused":
                    response.set_rcode(dns.rcode.REFUSED)
                elif change == "empty":
                    response.answer = []
                else:
                    response.flags &= ~dns.flags.AA
                return [response.to_wire()]

            primary.datagrams = answer
            served = self.secondary(primary).start()
            await self.refused(served)
            said = "the primary says REFUSED" if change == "refused" else "the primary does not have the zone"
            self.assertEqual((served.row()["error"], primary.count("AXFR", stream=True)), (said, 0))

    async def test_stop_while_it_is_asked(self) -> None:
        """Nothing is left open, whatever was going on; trial looks for it."""
        primary = Primary(self)
        primary.datagrams = lambda query: []
        served = self.secondary(primary).start()
        await until(lambda: primary.asked)
        await served.stop()
        primary.datagrams = lambda query: [primary.soa(query).to_wire()]
        primary.stream = lambda connection, query: None
        served.start()
        await until(lambda: primary.count("AXFR", stream=True))
        await served.stop()
        self.assertEqual(self.flushLoggedErrors(), [])
