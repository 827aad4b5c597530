"""``appliance answer ZONEFILE NAME TYPE``: what a master file would answer.  No server needed, and no configuration."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from appliance.config.masterfile import read_zone
from appliance.config.reading import Unreadable, read_text
from appliance.errors import RequestError
from appliance.naming import Answer, Question, Zones, answer, fill
from appliance.naming.names import wire

_KEYS = ("zone", "name", "type")
_ORIGIN = re.compile(r"^\$ORIGIN[ \t]+(\S+)", re.IGNORECASE)
_SOA = re.compile(r"^(\S+)[ \t]+(?:[0-9]\w*[ \t]+)?(?:IN[ \t]+)?(?:[0-9]\w*[ \t]+)?SOA[ \t(]", re.IGNORECASE)


def add_to(verbs: Any) -> None:
    parser = verbs.add_parser(
        "answer",
        help="what a zone file would answer; no server needed",
        description="Print the response to a question, made from a master file alone. With --batch, JSON lines are "
        'read from standard input, {"zone": text, "name": ..., "type": ...} each, and the responses are written '
        "separated by blank lines.",
    )
    parser.add_argument("--batch", action="store_true", help="read questions and zones from standard input")
    parser.add_argument("--origin", metavar="NAME", help="the zone's apex; by default the name that has the SOA")
    parser.add_argument("zonefile", metavar="ZONEFILE", nargs="?")
    parser.add_argument("name", metavar="NAME", nargs="?")
    parser.add_argument("type", metavar="TYPE", nargs="?", default="A")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.batch:
        return _batch(sys.stdin)
    if arguments.name is None:
        raise RequestError("invalid", "give ZONEFILE, NAME and TYPE, or --batch", field="name")
    try:
        text = read_text(arguments.zonefile)
    except Unreadable as error:
        raise RequestError("invalid", f"{arguments.zonefile}: {error}", field="zonefile") from None
    print(respond(text, arguments.name, arguments.type, file=arguments.zonefile, origin=arguments.origin))
    return 0


def _batch(lines: Iterator[str]) -> int:
    failed = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict) or not all(isinstance(asked.get(key), str) for key in _KEYS):
                raise ValueError("allowed: an object with the texts 'zone', 'name' and 'type'")
            text = respond(*(asked[key] for key in _KEYS))
            text.encode()
            print(text)
        except (ValueError, RecursionError, RequestError) as error:
            failed += 1
            reason = " ".join(f"line {number}: {error}".encode("ascii", "replace").decode().split())
            print(f"; {reason}")
            print(f"appliance: {reason}", file=sys.stderr)
        print()
    return 1 if failed else 0


def respond(text: str, name: str, rdtype: str, *, file: str | None = None, origin: str | None = None) -> str:
    """
    The response to a question without RD and EDNS, in dnspython's text form.

    :param text: a master file; ``file`` is its name, for what it includes.
    :raises RequestError: where the zone, the name or the type is not one.
    """
    apex = _name("origin", origin) if origin is not None else _apex(text)
    faults: list[str] = []

    def note(where: str | None, line: int, message: str) -> None:
        faults.append(f"{where or file or 'zone'}:{line}: {message}")

    zone, _ = read_zone(apex, text, file, note)
    if not faults and zone.get_rdataset(apex, dns.rdatatype.SOA) is None:
        faults.append(f"{file or 'zone'}: no SOA record at {apex}")
    if faults:
        raise RequestError("invalid", "\n".join(faults), field="zonefile")
    try:
        query = dns.message.make_query(_name("name", name), dns.rdatatype.from_text(rdtype), flags=0, id=0)
    except (dns.exception.DNSException, ValueError):
        raise RequestError("invalid", f"found '{rdtype}'; allowed: a type such as A or TYPE65", field="type") from None
    [question] = query.question
    found = answer(Zones([zone]), Question(wire(question.name), question.rdtype))
    assert isinstance(found, Answer)
    response = dns.message.make_response(query)
    fill(response, found)
    return response.to_text()


def _apex(text: str) -> dns.name.Name:
    """The name that has the SOA."""
    origin = None
    for line in text.splitlines():
        if match := _ORIGIN.match(line):
            origin = _name("zonefile", match[1], origin)
        elif match := _SOA.match(line):
            if origin is None and not match[1].endswith("."):
                break
            return origin if match[1] == "@" and origin is not None else _name("zonefile", match[1], origin)
    raise RequestError(
        "invalid", "the zone's apex is not to be seen in the file; give it with --origin", field="origin"
    )


def _name(field: str, written: str, origin: dns.name.Name | None = dns.name.root) -> dns.name.Name:
    try:
        return dns.name.from_text(written, origin or dns.name.root)
    except (dns.exception.DNSException, ValueError) as error:
        raise RequestError("invalid", f"'{written}': {error}", field=field) from None
