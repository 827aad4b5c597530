"""Every case of tests/naming/conformance: what BIND, NSD, Knot and PowerDNS answer.  There is no list of exceptions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import dns.flags
import dns.message
import dns.rrset
from twisted.trial.unittest import SynchronousTestCase

from appliance.commands import main
from appliance.commands.answer import respond

CASES = Path(__file__).parent / "conformance" / "cases.jsonl"


def cases() -> Iterator[dict[str, Any]]:
    with CASES.open() as lines:
        for line in lines:
            yield json.loads(line)


def records(section: list[dns.rrset.RRset]) -> list[str]:
    return sorted(line for rrset in section for line in rrset.to_text().split("\n"))


def agree(ours: dns.message.Message, theirs: dns.message.Message) -> bool:
    """As conformance/README.rst says."""
    if (ours.rcode(), ours.flags | dns.flags.RA) != (theirs.rcode(), theirs.flags | dns.flags.RA):
        return False
    if records(ours.answer) != records(theirs.answer) or records(ours.additional) != records(theirs.additional):
        return False
    return bool(ours.answer and theirs.answer) or records(ours.authority) == records(theirs.authority)


def accepted(case: dict[str, Any]) -> Iterator[dns.message.Message]:
    for lines in case["accepted"]:
        yield dns.message.from_text("\n".join(["id 0", *lines]))


class ConformanceTests(SynchronousTestCase):
    def test_every_case(self) -> None:
        count = 0
        for case in cases():
            response = dns.message.from_text(respond(case["zone"], case["name"], case["type"]))
            self.assertTrue(any(agree(response, right) for right in accepted(case)), f"case {case['id']}:\n{response}")
            count += 1
        self.assertEqual(count, 2113)

    def test_a_wrong_answer_is_seen(self) -> None:
        """The comparison itself: another rcode, flag or record is not right."""
        case = next(cases())
        for change in ("rcode NOERROR", "flags QR", "mybankcard.example.bar. 500 IN SOA a. b. 4 4 4 4 4"):
            kind = change.split()[0]
            lines = [change if line.startswith(kind) and " NS" not in line else line for line in case["accepted"][0]]
            wrong = dns.message.from_text("\n".join(["id 0", *lines]))
            self.assertFalse(any(agree(wrong, right) for right in accepted(case)), change)


ZONE = "$TTL 300\n@ SOA ns1 hostmaster (1 2 3 4 5)\n@ NS ns1\nns1 A 192.0.2.1\n"


def run(*words: str, given: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors), mock.patch("sys.stdin", io.StringIO(given)):
        code = main(["answer", *words])
    return code, output.getvalue(), errors.getvalue()


class CommandTests(SynchronousTestCase):
    """``appliance answer``."""

    def zone_file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def test_a_file(self) -> None:
        """The apex is where the SOA is: behind $ORIGIN, by an absolute name, or as --origin says."""
        for text, more in (
            ("$ORIGIN example.test.\n" + ZONE, ()),
            (ZONE.replace("@ SOA", "example.test. 1h IN SOA").replace("@ NS", "example.test. NS"), ()),
            (ZONE, ("--origin", "example.test")),
        ):
            code, output, _ = run(self.zone_file(text), "NS1.example.test", "A", *more)
            self.assertEqual(code, 0)
            response = dns.message.from_text(output)
            self.assertEqual(response.id, 0)
            self.assertEqual(dns.flags.to_text(response.flags), "QR AA")
            self.assertEqual(len(response.answer), 1)

    def test_what_is_wrong(self) -> None:
        """One reason on standard error, with file and line where it has them."""
        good = self.zone_file("$ORIGIN example.test.\n" + ZONE)
        bad = self.zone_file("$ORIGIN example.test.\n" + ZONE + "x A 1.2.3\n")
        for words, reason in (
            ((), "give ZONEFILE, NAME and TYPE"),
            (("/nowhere", "a"), "/nowhere: cannot be read"),
            ((self.zone_file(ZONE), "a"), "give it with --origin"),
            ((bad, "a"), f"{bad}:6: "),
            ((good, "a..b"), "'a..b': "),
            ((good, "a", "NOSUCH"), "found 'NOSUCH'"),
        ):
            code, output, errors = run(*words)
            self.assertEqual((code, output), (1, ""), words)
            self.assertIn(reason, errors)

    def test_batch(self) -> None:
        """A block for each line, in their order; a bad line has a comment, and the others are answered all the same."""
        good = {"zone": "$ORIGIN example.test.\n" + ZONE, "name": "ns1.example.test", "type": "A"}
        lines = [
            json.dumps(good),
            "",
            "{",
            json.dumps({**good, "zone": "x"}),
            "[]",
            "[" * 200_000,
            json.dumps({**good, "type": 1}),
            json.dumps({**good, "name": "\ud800.x"}),
            json.dumps(good),
        ]
        code, output, errors = run("--batch", given="\n".join(lines))
        blocks = output.strip("\n").split("\n\n")
        self.assertEqual(code, 1)
        self.assertEqual([block[0] for block in blocks], ["i", ";", ";", ";", ";", ";", ";", "i"])
        self.assertEqual(len(dns.message.from_text(blocks[-1]).answer), 1)
        self.assertEqual(errors.count("appliance: line "), 6)
        self.assertEqual(run("--batch", given=json.dumps(good))[0], 0)
