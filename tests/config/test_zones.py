"""Zones: inline and from files, each fault with its own line."""

from __future__ import annotations

import json
import os

import dns.name
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.config import Config, loads
from appliance.config.masterfile import MOST_FAULTS, read_zone
from appliance.errors import ConfigError
from tests.config import FUZZ, ZONE, faults, read, warnings

APEX = dns.name.from_text("example.test")
HEAD = "@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ 3600 NS ns.other.test.\n"


def inline(records: str) -> str:
    """A configuration with these records; their first line is line 5 of it."""
    lines = "".join(f"        {line}\n" for line in records.splitlines())
    return "dns:\n  zones:\n    example.test:\n      records: |\n" + lines


class InlineTests(SynchronousTestCase):
    def zone_faults(self, records: str) -> list[str]:
        return [fault.replace("dns.zones.example.test.records: ", "") for fault in faults(inline(records))]

    def test_records(self) -> None:
        (zone,) = read(ZONE).dns.zones
        self.assertEqual(zone.apex, APEX)
        assert zone.zone is not None
        self.assertEqual(zone.zone.origin, APEX)
        (address,) = zone.zone.find_rdataset(dns.name.from_text("ns1.example.test"), "A")
        self.assertEqual(address.to_text(), "127.0.0.1")

    def test_all_faults_with_lines(self) -> None:
        said = self.zone_faults(
            HEAD
            + "a 60 A 300.1.1.1\n\nb 60 FOO x\nc 60 A 192.0.2.1 ; good\nd.else.test. 60 A 192.0.2.1\n"
            + 'e 60 TXT "open\nf 60 A\ng 60 CH A 192.0.2.1\nh..i 60 A 192.0.2.1\n'
        )
        self.assertEqual(
            said,
            [
                "a.yaml:7: Text input is malformed: a 60 A 300.1.1.1",
                "a.yaml:9: unknown rdatatype 'FOO': b 60 FOO x",
                "a.yaml:11: the name is out of the zone: d.else.test. 60 A 192.0.2.1",
                'a.yaml:12: newline in quoted string: e 60 TXT "open',
                "a.yaml:13: expecting an identifier: f 60 A",
                "a.yaml:14: RR class is not zone's class: g 60 CH A 192.0.2.1",
                "a.yaml:15: A DNS label is empty: h..i 60 A 192.0.2.1",
            ],
        )

    def test_signed(self) -> None:
        """Answers have no signatures, so nobody may expect some."""
        (said,) = warnings(inline(HEAD + "@ 60 DNSKEY 257 3 8 AAAA\n"))
        self.assertIn("its parent must have no DS record", said)

    def test_cname_beside_others(self) -> None:
        said = self.zone_faults(HEAD + "a 60 A 192.0.2.1\na 60 CNAME b\n")
        self.assertEqual(said, ["a.yaml:8: CNAME rdataset is not compatible with a regular data node: a 60 CNAME b"])

    def test_parentheses(self) -> None:
        """An entry over several lines counts from its first one; what follows has its own."""
        soa = "@ 3600 SOA ns1 hostmaster ( 1 ; (serial\n 7200 3600\n 1209600 60 )\n@ 3600 NS ns.other.test.\n"
        self.assertEqual(self.zone_faults(soa), [])
        self.assertEqual(self.zone_faults(soa + "a 60 A x\n"), ["a.yaml:9: Text input is malformed: a 60 A x"])
        self.assertEqual(
            self.zone_faults(soa + 'a 60 TXT "("\nb 60 A x\n'), ["a.yaml:10: Text input is malformed: b 60 A x"]
        )
        self.assertEqual(self.zone_faults(soa + "a 60 A ( x\nb\n"), ["a.yaml:9: Text input is malformed: a 60 A ( x b"])

    def test_owner_ttl_and_origin_are_kept(self) -> None:
        records = HEAD + "$TTL 300\n$ORIGIN sub\na A 192.0.2.1\n  TXT x\n"
        (zone,) = read(inline(records)).dns.zones
        assert zone.zone is not None
        name = dns.name.from_text("a.sub.example.test")
        self.assertEqual(zone.zone.find_rdataset(name, "TXT").ttl, 300)

    def test_folded_text_says_where_it_begins(self) -> None:
        text = 'dns:\n  zones:\n    example.test:\n      records: "\\n\\n\\na 60 A x"\n'
        self.assertEqual(faults(text), ["a.yaml:4: dns.zones.example.test.records: Text input is malformed: a 60 A x"])

    def test_missing_ttl_is_said_once(self) -> None:
        said = self.zone_faults("@ SOA broken\na A 192.0.2.1\nb A 192.0.2.1\n")
        self.assertEqual([fault.split(":")[1] for fault in said], ["5", "6"])

    def test_generate(self) -> None:
        (zone,) = read(inline(HEAD + "$GENERATE 1-3 h$ 60 A 192.0.2.$\n")).dns.zones
        assert zone.zone is not None
        self.assertEqual(len(list(zone.zone.iterate_rdatas("A"))), 3)
        (said,) = self.zone_faults(HEAD + "$GENERATE 1-1000000000 h$ 60 A 192.0.2.1\n")
        self.assertEqual(
            said, "a.yaml:7: more than 65536 records from one $GENERATE: $GENERATE 1-1000000000 h$ 60 A 192.0.2.1"
        )
        (said,) = self.zone_faults(HEAD + "$GENERATE x h$ 60 A 192.0.2.1\n")
        self.assertIn("a.yaml:7: allowed: $GENERATE FIRST-LAST", said)

    def test_include_is_for_files(self) -> None:
        said = self.zone_faults(HEAD + "$INCLUDE /etc/passwd\n")
        self.assertEqual(said, ["a.yaml:7: $INCLUDE works in zone files only, not in 'records': $INCLUDE /etc/passwd"])

    def test_some_other_file(self) -> None:
        said = self.zone_faults("x\n" * 1000)
        self.assertEqual(len(said), MOST_FAULTS + 1)
        self.assertIn("the rest of the zone was not read", said[-1])

    def test_soa_and_ns(self) -> None:
        said = self.zone_faults("a 60 A 192.0.2.1\n")
        self.assertEqual(
            said,
            [
                "a.yaml:4: the zone has no SOA record at its apex example.test",
                "a.yaml:4: the zone has no NS record at its apex example.test",
            ],
        )
        (said_again,) = self.zone_faults(HEAD + "a 60 SOA ns1 h 1 7200 3600 1209600 60\n")
        self.assertIn("a.yaml:7: a SOA record is allowed at the zone's apex only", said_again)

    def test_soa_oddities_warn(self) -> None:
        odd = "@ 60 SOA ns1 h 1 60 60 60 90000\n@ 60 NS ns1\n"
        said = "\n".join(warnings(inline(odd)))
        for part in (
            "SOA retry 60 is not less",
            "SOA expire 60 is not more",
            "SOA minimum 90000",
            "ns1.example.test has no address",
        ):
            self.assertIn(part, said)

    def test_one_source(self) -> None:
        for keys in ("{}", "{file: x, records: y}"):
            said = faults(f"dns: {{zones: {{example.test: {keys}}}}}")
            self.assertEqual(
                said, ["a.yaml:1: dns.zones.example.test: needs exactly one of 'file', 'records' and 'primary'"]
            )

    def test_apexes(self) -> None:
        def said(apex: str) -> list[str]:
            return faults(ZONE + f"    {apex}:\n      records: '{HEAD.splitlines()[0]}'\n")

        self.assertIn(
            "a.yaml:8: dns.zones.EXAMPLE.test.: the zone is already dns.zones.example.test (line 3)",
            said("EXAMPLE.test."),
        )
        self.assertIn("a.yaml:8: dns.zones.a..b: 'a..b' is no DNS name: A DNS label is empty.", said("a..b"))
        self.assertIn("is not ASCII", said("bücher.test")[0])
        self.assertIn("cannot be a zone's apex", said("'*.test'")[0])
        self.assertIn("cannot be a zone's apex", said("'.'")[0])

    def test_equality(self) -> None:
        """Zones compare by their text."""
        self.assertEqual(read(inline(HEAD)).dns, read(inline(HEAD)).dns)
        self.assertNotEqual(read(inline(HEAD)).dns, read(inline(HEAD + "a 60 A 192.0.2.1\n")).dns)


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        os.mkdir(os.path.join(self.folder, "zones"))

    def write(self, name: str, content: str | bytes) -> str:
        path = os.path.join(self.folder, "zones", name)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return path

    text = "dns:\n  zones:\n    example.test:\n      file: zones/e.zone\n"

    def config(self) -> Config:
        return read(self.text, self.folder)

    def said(self) -> list[str]:
        return [fault.replace("dns.zones.example.test.file: ", "") for fault in faults(self.text, self.folder)]

    def test_file(self) -> None:
        self.write("e.zone", HEAD)
        self.assertEqual(self.config().dns.zones[0].source, HEAD)

    def test_missing(self) -> None:
        place = os.path.join(self.folder, "zones/e.zone")
        self.assertEqual(self.said(), [f"a.yaml:4: '{place}' cannot be read: No such file or directory"])

    def test_byte_order_mark_and_crlf(self) -> None:
        """A file from another system is the same zone."""
        self.write("e.zone", b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode())
        self.assertEqual(self.config().dns.zones[0].source, HEAD)

    def test_own_line(self) -> None:
        path = self.write("e.zone", HEAD + "a 60 A x\n")
        self.assertEqual(self.said(), [f"{path}:3: Text input is malformed: a 60 A x"])

    def test_binary(self) -> None:
        path = self.write("e.zone", b"\n\xff")
        self.assertEqual(self.said(), [f"{path}:2: is not UTF-8 text: byte 0xff in line 2"])

    def test_include(self) -> None:
        """Relative to the zone file's folder, with its own origin and lines; a change of it is a change of the zone."""
        self.write("e.zone", HEAD + "$INCLUDE more.zone sub\nb 60 A 192.0.2.2\n")
        self.write("more.zone", "a 60 A 192.0.2.1\n")
        before = self.config().dns.zones[0]
        assert before.zone is not None
        for name in ("a.sub.example.test", "b.example.test"):
            self.assertTrue(before.zone.get_rdataset(dns.name.from_text(name), "A"), name)
        more = self.write("more.zone", "a 60 A 192.0.2.7\n")
        self.assertNotEqual(self.config().dns.zones[0], before)
        self.write("more.zone", "\na 60 A x\n")
        self.assertEqual(self.said(), [f"{more}:2: Text input is malformed: a 60 A x"])

    def test_include_of_itself(self) -> None:
        path = self.write("e.zone", HEAD + "$INCLUDE e.zone\n$INCLUDE nowhere.zone\n$INCLUDE\n")
        said = self.said()
        self.assertEqual([fault.removeprefix(path)[:3] for fault in said], [":3:", ":4:", ":5:"])
        self.assertIn("is included in itself, or too many files are", said[0])
        self.assertIn("nowhere.zone': cannot be read: No such file or directory", said[1])
        self.assertIn("allowed: $INCLUDE FILE [ORIGIN]", said[2])


WORDS = ["@", "a", "60", "IN", "A", "NS", "SOA", "TXT", "CNAME", "MX", "LOC", "SVCB", "NSEC3", "RRSIG", "TYPE65", "\\#",
         "192.0.2.1", '"', "(", ")", ";", "\n", "\\", "$TTL", "$ORIGIN", "$INCLUDE", "$GENERATE", "1-3/0", "1-5", "${", "\t",
         "é", "999999999999", "key=", "alpn=", "..", ".", "*", "\r", "\x00"]  # fmt: skip


class FuzzTests(SynchronousTestCase):
    """dnspython raises many kinds of exception; none comes out."""

    def survives(self, text: str) -> None:
        said: list[str] = []
        read_zone(APEX, text, None, lambda file, line, message: said.append(message))
        for message in said:
            self.assertTrue(message.isprintable(), message)

    @FUZZ
    @given(st.text())
    def test_text(self, text: str) -> None:
        self.survives(text)
        self.survives(HEAD + "a 60 TXT " + text)

    @FUZZ
    @given(st.lists(st.sampled_from(WORDS), max_size=30))
    def test_words(self, words: list[str]) -> None:
        self.survives(" ".join(words))

    @FUZZ
    @given(st.sampled_from(WORDS), st.lists(st.sampled_from(WORDS), max_size=6))
    def test_rdata(self, rdtype: str, words: list[str]) -> None:
        self.survives(f"{HEAD}a 60 {rdtype} {' '.join(words)}\n")

    @FUZZ
    @given(st.text(), st.text())
    def test_whole(self, apex: str, records: str) -> None:
        """As a value of the configuration, quoted so that YAML keeps it."""
        text = f"dns: {{zones: {{{json.dumps(apex)}: {{records: {json.dumps(records)}}}}}}}"
        try:
            loads(text, file="f", folder="/nowhere")
        except ConfigError as error:
            self.assertTrue(error.faults)
