"""Zones out, over real sockets, taken by dnspython's own client; tests/integration has Knot's and NSD's."""

from __future__ import annotations

from unittest import mock

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.tsig
import dns.xfr
from twisted.trial.unittest import SynchronousTestCase

from appliance.naming import SiteNames, Zone, Zones, from_text
from appliance.transfers.answering import MOST_OUTGOING
from appliance.transfers.outgoing import MESSAGE_BYTES, Outgoing
from tests.transfers.world import APEX, KEY, Served, World, records, zone_of

MORE = "sub 60 NS ns.sub\nns.sub 60 A 192.0.2.9\n*.wild 60 TXT x\nsite 60 TXT stays\nsite 60 A 192.0.2.7\n"
HOSTS = "".join(f"host{number} 60 A 192.0.2.{number % 250}\n" for number in range(3000))
OTHER = dns.tsig.Key("other.test", KEY.secret)
WRONG = dns.tsig.Key("k.test", b"x" * 32)


def indented(text: str) -> str:
    return "".join(f"        {line}\n" for line in text.splitlines())


def configuration(transfer: str, text: str = records(7, MORE)) -> str:
    return (
        f"dns:\n  listen: [LISTEN]\n  tsig: {{k.test: {{secret: secret}}, other.test: {{secret: secret}}}}\n  zones:\n"
        f"    in.test:\n      transfer: {transfer}\n      records: |\n{indented(text)}"
    )


class Messages(SynchronousTestCase):
    """What a transfer is made of."""

    def messages(self, text: str) -> list[dns.message.Message]:
        self.ended: list[bool] = []
        query = dns.message.make_query(APEX, "AXFR", use_edns=0)
        response = dns.message.make_response(query, pad=0)
        self.outgoing = Outgoing(Zone.of(zone_of(text)), response, lambda _, complete: self.ended.append(complete))
        found = []
        while (data := next(self.outgoing, None)) is not None:
            self.assertLessEqual(len(data), self.limit)
            found.append(dns.message.from_wire(data, one_rr_per_rrset=True, xfr=True))
        return found

    limit = MESSAGE_BYTES

    def records_of(self, messages: list[dns.message.Message]) -> list[str]:
        return [rrset.to_text() for message in messages for rrset in message.answer]

    def test_first_and_last(self) -> None:
        """SOA; in the first message the question and an OPT."""
        messages = self.messages(records(7, HOSTS))
        self.assertGreater(len(messages), 3)
        found = self.records_of(messages)
        self.assertEqual((found[0], len(found), len(set(found))), (found[-1], 3004, 3003))
        self.assertEqual([len(message.question) for message in messages[:2]], [1, 0])
        self.assertEqual([message.edns for message in messages[:2]], [0, -1])
        self.assertEqual(self.ended, [True])

    def test_more_records_of_a_name_than_a_message_holds(self) -> None:
        """They may be parted; a record that is longer than a message has one for itself."""
        self.limit = 65535
        many = "".join(f"many 60 A 10.1.{number // 250}.{number % 250}\n" for number in range(2000))
        long = "long 60 TXT " + " ".join(['"' + "x" * 250 + '"'] * 100) + "\n"
        messages = self.messages(records(7, many + long))
        found = self.records_of(messages)
        self.assertEqual((len(found), len(set(found))), (2005, 2004))
        self.assertEqual(len([m for m in messages if len(m.to_wire()) > MESSAGE_BYTES]), 1)

    def test_an_asker_that_goes(self) -> None:
        query = dns.message.make_query(APEX, "AXFR")
        ended: list[bool] = []
        zone = Zone.of(zone_of(records(7, HOSTS)))
        outgoing = Outgoing(zone, dns.message.make_response(query), lambda _, complete: ended.append(complete))
        next(outgoing)
        outgoing.close()
        outgoing.close()
        self.assertEqual(ended, [False])

    def test_signatures(self) -> None:
        """All of them: a name has some for each type."""
        signed = "".join(
            f"a 60 RRSIG {covered} 8 3 60 20300101000000 20200101000000 {tag} in.test. AAAA\n"
            for tag, covered in enumerate(("A", "TXT", "TXT"))
        )
        texts = self.records_of(self.messages(records(7, signed)))
        self.assertEqual(len([text for text in texts if " RRSIG " in text]), 3)

    def test_sites_are_left_out(self) -> None:
        """Their addresses are another's the next moment; what else is there, stays."""
        zones = Zones([zone_of(records(7, MORE))], [SiteNames(site="s", names=(from_text("site.in.test"),))])
        response = dns.message.make_response(dns.message.make_query(APEX, "AXFR"))
        outgoing = Outgoing(zones.apexes()[from_text("in.test")], response, lambda *_: None)
        text = dns.message.from_wire(next(outgoing)).to_text()
        self.assertIn('site.in.test. 60 IN TXT "stays"', text)
        self.assertNotIn("192.0.2.7", text)

    def test_what_is_chosen_is_left_out(self) -> None:
        """Of either family: who is up now may be down before the next transfer."""
        more = MORE + "site 60 AAAA 2001:db8::7\n"
        zones = Zones([zone_of(records(7, more))], (), map(from_text, ("site.in.test", "new.in.test")))
        response = dns.message.make_response(dns.message.make_query(APEX, "AXFR"))
        outgoing = Outgoing(zones.apexes()[from_text("in.test")], response, lambda *_: None)
        text = dns.message.from_wire(next(outgoing)).to_text()
        self.assertIn('site.in.test. 60 IN TXT "stays"', text)
        for left_out in ("192.0.2.7", "2001:db8::7", "new.in.test"):
            self.assertNotIn(left_out, text)


class OutgoingTests(World):
    async def code(self, served: Served, key: dns.tsig.Key | None = None, rdtype: str = "AXFR", **more: bool) -> int:
        query = dns.message.make_query("in.test", rdtype)
        if key is not None:
            query.use_tsig(key)
        return (await served.ask(query, stream=True, **more)).rcode()

    async def test_the_whole_zone(self) -> None:
        """With glue, wildcards and what lies below cuts."""
        served = self.serve(configuration("{allow: [127.0.0.0/8]}")).start()
        zone = await served.transfer("in.test")
        self.assertEqual(zone, zone_of(records(7, MORE)))

    async def test_many_messages(self) -> None:
        """Signed, each of them, and with other questions behind it on the same connection."""
        served = self.serve(configuration("{keys: [k.test]}", records(7, HOSTS))).start()
        zone = await served.transfer("in.test", key=KEY)
        self.assertEqual(len(zone.nodes), 3002)

    async def test_who_may(self) -> None:
        """An address or a key; either suffices."""
        for transfer, allowed in (
            ("{}", []),
            ("{allow: [192.0.2.0/24, '::1']}", []),
            ("{allow: [127.0.0.1]}", [None, KEY, OTHER]),
            ("{keys: [k.test]}", [KEY]),
            ("{allow: [192.0.2.0/24], keys: [k.test]}", [KEY]),
            ("{allow: [127.0.0.0/8], keys: [k.test]}", [None, KEY, OTHER]),
        ):
            served = self.serve(configuration(transfer)).start()
            for key in (None, KEY, OTHER):
                code = await self.code(served, key)
                self.assertEqual(code == dns.rcode.NOERROR, key in allowed, (transfer, key))

    async def test_refusals(self) -> None:
        """Each with its code, and why where the asker speaks EDNS."""
        served = self.serve(configuration("{}")).start()
        response = await served.ask(dns.message.make_query("in.test", "AXFR", use_edns=0), stream=True)
        [error] = response.options
        assert isinstance(error, dns.edns.EDEOption)
        self.assertEqual((response.rcode(), error.code), (dns.rcode.REFUSED, 18))
        response = await served.ask(dns.message.make_query("sub.in.test", "AXFR"), stream=True)
        self.assertEqual(response.rcode(), dns.rcode.NOTAUTH)
        response = await served.ask(dns.message.make_query("in.test", "AXFR", rdclass="CH"), stream=True)
        self.assertEqual(response.rcode(), dns.rcode.REFUSED)

    async def test_over_udp(self) -> None:
        """AXFR is not implemented, as with Knot and NSD; IXFR says that there is something, or nothing."""
        served = self.serve(configuration("{allow: [127.0.0.0/8]}")).start()
        self.assertEqual((await served.ask(dns.message.make_query("in.test", "AXFR"))).rcode(), dns.rcode.NOTIMP)
        for serial in (6, 7):
            query, _ = dns.xfr.make_query(dns.zone.Zone(APEX, relativize=False), serial)
            response = await served.ask(query)
            self.assertEqual([(rrset.rdtype, rrset[0].serial) for rrset in response.answer], [(dns.rdatatype.SOA, 7)])

    async def test_ixfr(self) -> None:
        """All of it to who has less, the SOA alone to who has as much; FORMERR where it does not say."""
        served = self.serve(configuration("{allow: [127.0.0.0/8]}")).start()
        zone = await served.transfer("in.test", serial=5)
        self.assertEqual(zone, zone_of(records(7, MORE)))
        for serial in (7, 8):
            query, _ = dns.xfr.make_query(dns.zone.Zone(APEX, relativize=False), serial)
            response = await served.ask(query, stream=True)
            self.assertEqual([rrset.rdtype for rrset in response.answer], [dns.rdatatype.SOA])
        self.assertEqual(await self.code(served, rdtype="IXFR"), dns.rcode.FORMERR)

    async def test_too_many(self) -> None:
        """Whoever comes late is told to come again; a place that is given back is another's."""
        served = self.serve(configuration("{allow: [127.0.0.0/8]}")).start()
        outgoing = served.transfers._answering.outgoing
        zone = Zone.of(zone_of(records()))
        response = dns.message.make_response(dns.message.make_query(APEX, "AXFR"))
        places = [Outgoing(zone, response, lambda each, _: outgoing.discard(each)) for _ in range(MOST_OUTGOING)]
        outgoing.update(places)
        self.assertEqual(await self.code(served), dns.rcode.SERVFAIL)
        places[0].close()
        for _ in range(2):
            self.assertEqual(await self.code(served), dns.rcode.NOERROR)
        self.assertEqual(len(outgoing), MOST_OUTGOING - 1)

    async def test_signed_questions(self) -> None:
        """Ordinary ones have signed answers."""
        served = self.serve(configuration("{}")).start()
        for stream in (False, True):
            query = dns.message.make_query("ns1.in.test", "A")
            query.use_tsig(KEY)
            # dnspython raises where the signature is missing or not good.
            response = await served.ask(query, stream=stream)
            self.assertTrue(response.had_tsig)
            self.assertEqual(len(response.answer), 1)

    async def test_signatures_that_are_not_good(self) -> None:
        """NOTAUTH and why, not signed; but for a clock that is wrong, which is told the time (RFC 8945 s5.2)."""
        served = self.serve(configuration("{allow: [127.0.0.0/8]}")).start()
        for key, raised in (
            (dns.tsig.Key("z.test", KEY.secret), dns.tsig.PeerBadKey),
            (WRONG, dns.tsig.PeerBadSignature),
        ):
            for stream in (False, True):
                query = dns.message.make_query("in.test", "SOA")
                query.use_tsig(key)
                with self.assertRaises(raised):
                    await served.ask(query, stream=stream)
        sha1 = dns.tsig.Key("k.test", KEY.secret, "hmac-sha1")
        query = dns.message.make_query("in.test", "SOA")
        query.use_tsig(sha1)
        with self.assertRaises(dns.tsig.PeerBadKey):
            await served.ask(query)
        late = dns.message.make_query("in.test", "SOA")
        late.use_tsig(KEY)
        with mock.patch("time.time", return_value=1.7e9):
            late.to_wire()
        late.want_tsig_sign = False
        with self.assertRaises(dns.tsig.PeerBadTime):
            await served.ask(late)
        # dnspython does not look at its signature.
        told = served.transfers.unproven(late.to_wire(), dns.tsig.BadTime())
        response = dns.message.from_wire(told, keyring=False)
        assert response.tsig is not None
        tsig, response.tsig = response.tsig[0], None
        self.assertEqual((tsig.time_signed, len(tsig.other)), (1_700_000_000, 6))
        signed, _ = dns.tsig.sign(response.to_wire(), KEY, tsig.replace(mac=b""), tsig.time_signed, late.mac)
        self.assertEqual(tsig.mac, signed.mac)

    async def test_without_keys(self) -> None:
        """A signed query is told so, not answered as if nothing were."""
        text = f"dns:\n  listen: [LISTEN]\n  zones:\n    in.test:\n      records: |\n{indented(records())}"
        served = self.serve(text).start()
        query = dns.message.make_query("in.test", "SOA")
        query.use_tsig(KEY)
        with self.assertRaises(dns.tsig.PeerBadKey):
            await served.ask(query)
