"""The section ``probes`` (3.2, 5.2): how servers are looked at.  Each type has the keys that mean something for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import attrs
import dns.exception
import dns.name
import dns.rdatatype

from appliance.config.faults import Faults
from appliance.config.scalars import choice, duration, integer, path, size, text, yes_no
from appliance.config.shapes import Fields, Key, Placed, Reader, Shape, entries, placed, sequence, shape
from appliance.config.tree import Node, shorten
from appliance.config.urls import web_host, web_path
from appliance.model import Probe, ProbeType

LOAD_PATH = "/load"
"""Of a load probe, by default: where other appliances tell theirs (``control.peers``)."""

LONGEST_TEXT = 1000
"""Characters of what an answer has to have, of a user and of a path."""

MOST_ARGUMENTS = 64
"""Of a command, with the program itself."""

_MOST_CODES = 100
_MOST_BYTES = 64 * 1024**2
"""Of an answer that is read to its end; many at once have to fit in memory."""

_CODES = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_NO_QUESTION = frozenset({"OPT", "TSIG", "TKEY", "IXFR", "AXFR", "MAILA", "MAILB", "ANY", "NONE"})
"""Types that are no record's, or that servers rightly do not answer."""


def probe(node: Node, faults: Faults) -> Fields:
    """A reader of one probe's keys; those with faults are not in what it returns."""
    given = entries(node, faults)
    of = _type(given.get("type"))
    own = _SHAPES[of] if of is not None else _ANY
    for name, child in given.items():
        if of is not None and name in _ANY.keys and name not in own.keys:
            known = ", ".join(sorted(own.keys))
            faults.add(child, f"'{name}' has no meaning for a probe of type {of.value}; its keys are {known}")
    meant = {name: child for name, child in given.items() if name in own.keys or name not in _ANY.keys}
    fields = own.read(attrs.evolve(node, entries=meant), faults)
    if of is None:
        return fields
    _check_spans(node, fields, faults)
    _check_together(node, of, fields, faults)
    if of is ProbeType.LOAD and "path" not in given:
        fields["path"] = LOAD_PATH
    return fields


def made_probe(name: str, fields: Fields, folder: str) -> Probe:
    """
    The value of a probe without faults.

    :param folder: what the names of files are relative to.
    """
    values: dict[str, Any] = dict(fields)
    for key in ("ca", "password"):
        place: Placed[str] | None = values.get(key)
        if place is not None:
            values[key] = os.path.abspath(os.path.join(folder, place.value))
    if "command" in values:
        values["command"] = tuple(each.value for each in values["command"])
    return Probe(name=name, **values)


def _type(node: Node | None) -> ProbeType | None:
    if node is None or node.kind != "text":
        return None
    return next((each for each in ProbeType if each.value == node.text), None)


def _check_spans(node: Node, fields: Fields, faults: Faults) -> None:
    """The defaults of the other intervals follow ``interval``; what is given may contradict it."""
    interval, timeout = fields.get("interval"), fields.get("timeout")
    if interval is None:
        return
    if timeout is not None and timeout > interval:
        place = node.entries.get("timeout") or node.entries.get("interval") or node
        faults.warn(
            place, f"timeout {timeout:g}s is more than interval {interval:g}s: one that hangs is asked less often"
        )
    for key, is_odd, said in (
        ("fast_interval", float.__gt__, "in doubt it is asked less often"),
        ("idle_interval", float.__lt__, "when nobody asks it is asked more often"),
    ):
        if key not in node.entries:
            fields[key] = (min if key == "fast_interval" else max)(fields[key], interval)
        elif key in fields and is_odd(float(fields[key]), float(interval)):
            word = "more" if key == "fast_interval" else "less"
            faults.warn(node.entries[key], f"{fields[key]:g}s is {word} than interval {interval:g}s: {said}")


def _check_together(node: Node, of: ProbeType, fields: Fields, faults: Faults) -> None:
    """Keys that mean something only beside others."""
    given = node.entries
    if of is ProbeType.HTTPS and fields.get("verify") is False:
        for key in ("ca", "expiry"):
            if key in given:
                faults.add(given[key], "has no meaning with 'verify: false', for no certificate is looked at")
    elif of is ProbeType.HTTPS and "host" not in given:
        faults.warn(node, "has no 'host', so that the certificate has to be for the server's address")
    if of is ProbeType.FTP:
        for key in ("password", "path"):
            if key in given and "user" not in given:
                faults.add(given[key], "needs 'user'; 'anonymous' is one that many servers have")
        if fields.get("transfer") and "path" not in given:
            faults.add(given["transfer"], "needs 'path', the file that is fetched")


def _codes(node: Node, faults: Faults) -> tuple[tuple[int, int], ...]:
    """A reader of ``200-399``, of ``200,204,300-399``, or of a list of such; in order, none twice."""
    allowed = "codes from 100 to 599 such as 200-399 or '200,204,300-399', or a list of them"
    items = node.items if node.kind == "list" else (node,)
    if not items:
        raise faults.wrong(node, f"found an empty list; allowed: {allowed}")
    found: set[tuple[int, int]] = set()
    for item in items:
        for part in item.text.split(",") if item.kind in ("integer", "text") else [""]:
            match = _CODES.fullmatch(part.strip())
            if not match or int(match[1]) > int(match[2] or match[1]):
                raise faults.wrong(item, f"found {item.found()}; allowed: {allowed}, the lower one first")
            found.add((int(match[1]), int(match[2] or match[1])))
    if len(found) > _MOST_CODES:
        raise faults.wrong(node, f"found {len(found)} runs; allowed: at most {_MOST_CODES}")
    return tuple(sorted(found))


def _word(node: Node, faults: Faults) -> str:
    """A reader of text that is sent in one line."""
    written = text(node, faults)
    if len(written) > LONGEST_TEXT or not written.isprintable():
        allowed = f"one line of at most {LONGEST_TEXT} characters without control characters"
        raise faults.wrong(node, f"found {node.found()}; allowed: {allowed}")
    return written


def _contains(node: Node, faults: Faults) -> str:
    written = text(node, faults)
    if len(written) > LONGEST_TEXT:
        raise faults.wrong(node, f"found {len(written)} characters; allowed: at most {LONGEST_TEXT}")
    return written


def _qname(node: Node, faults: Faults) -> str:
    """A reader of any DNS name, the root's included; in lower case, without the last dot."""
    written = text(node, faults)
    try:
        name = dns.name.from_text(written.lower()) if written.isascii() else None
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise faults.wrong(node, f"'{shorten(written)}' is no DNS name: {error}") from None
    if name is None:
        raise faults.wrong(node, f"'{shorten(written)}' is not ASCII; write an international name in its 'xn--' form")
    return name.to_text(omit_final_dot=True)


def _qtype(node: Node, faults: Faults) -> str:
    """A reader of a record type, by its name or as ``TYPE65``."""
    written = text(node, faults).upper()
    try:
        found = dns.rdatatype.to_text(dns.rdatatype.from_text(written)) if written.isascii() else "NONE"
    except (dns.exception.DNSException, ValueError):
        found = "NONE"
    if found in _NO_QUESTION:
        near = faults.did_you_mean(written, [each.name for each in dns.rdatatype.RdataType])
        raise faults.wrong(node, f"found {node.found()}; allowed: a record type such as A, AAAA or SOA{near}")
    return found


def _argument(node: Node, faults: Faults) -> str:
    """A reader of a word of a command, taken as it is written, also where YAML sees a number in it."""
    if node.kind in ("list", "mapping", "nothing"):
        raise faults.wrong(node, f"found {node.found()}; allowed: text, '' for an empty argument")
    if "\0" in node.text:
        raise faults.wrong(node, f"found {node.found()}; allowed: text that a program can be given")
    return node.text


def _command(node: Node, faults: Faults) -> tuple[Placed[str], ...]:
    words = node.text.split() if node.kind == "text" else []
    if words:
        written = shorten(", ".join(words))
        raise faults.wrong(
            node, f"found {node.found()}; allowed: a list of the program and its arguments; write [{written}]"
        )
    found = sequence(_argument, required=True, most=MOST_ARGUMENTS)(node, faults)
    if node.items[0].text and not os.path.isabs(node.items[0].text):
        no_shell = "no shell looks for it"
        raise faults.wrong(node.items[0], f"found {node.items[0].found()}; allowed: an absolute path, for {no_shell}")
    return found


_INTERVAL = duration(0.1, 86400)
_COUNT = integer(1, 100)
_COMMON: Mapping[str, Reader[Any]] = {
    "type": choice(ProbeType),
    "port": integer(0, 65535),
    "interval": _INTERVAL,
    "fast_interval": _INTERVAL,
    "idle_interval": _INTERVAL,
    "timeout": duration(0.01, 3600),
    "rise": _COUNT,
    "fall": _COUNT,
    "ok": _COUNT,
}
_PAGE: Mapping[str, Reader[Any]] = {"path": web_path, "host": web_host, "most_bytes": size(_MOST_BYTES)}
_WEB: Mapping[str, Reader[Any]] = {**_PAGE, "expect": _codes, "contains": _contains}

_TCP = shape("probes.*", Probe, **_COMMON)
_HTTP = shape("probes.*", Probe, **_COMMON, **_WEB)
_HTTPS = shape("probes.*", Probe, **_COMMON, **_WEB, verify=yes_no, ca=placed(path), expiry=duration())
_FTP = shape(
    "probes.*",
    Probe,
    **_COMMON,
    path=_word,
    contains=_contains,
    most_bytes=size(_MOST_BYTES),
    user=_word,
    password=placed(path),
    transfer=yes_no,
)
_DNS = Shape("probes.*", {**shape("", Probe, **_COMMON, qtype=_qtype, stream=yes_no).keys, "qname": Key(_qname)})
_SMTP = shape("probes.*", Probe, **_COMMON, host=web_host, contains=_contains)
_EXEC = Shape("probes.*", {**_TCP.keys, "command": Key(_command)})
_LOAD = shape("probes.*", Probe, **_COMMON, **_PAGE)
_SHAPES: Mapping[ProbeType, Shape] = {
    ProbeType.TCP: _TCP,
    ProbeType.HTTP: _HTTP,
    ProbeType.HTTPS: _HTTPS,
    ProbeType.FTP: _FTP,
    ProbeType.DNS: _DNS,
    ProbeType.SMTP: _SMTP,
    ProbeType.EXEC: _EXEC,
    ProbeType.LOAD: _LOAD,
}
_ANY = Shape(
    "probes.*",
    {
        **{name: attrs.evolve(key, default=None) for of in _SHAPES.values() for name, key in of.keys.items()},
        "type": _TCP.keys["type"],
    },
)
"""For one whose type is not known, so that what is wrong with its other keys is said as well."""
