"""
Master files (RFC 1035 s5) read with dnspython, every fault with its own line.

dnspython stops at the first fault, names the line after it, skips what is out of the zone without a word, opens an
included file relative to the process, and lets exceptions of many kinds out.  So the text is cut into entries here (a
record or directive, over several lines inside parentheses), each is given to dnspython's reader alone, and directives
that reach outside are ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import attrs
import dns.exception
import dns.grange
import dns.name
import dns.rdataclass
import dns.tokenizer
import dns.transaction
import dns.zone
import dns.zonefile

from appliance.config.reading import Unreadable, read_text
from appliance.config.tree import shorten

MOST_FAULTS = 50
"""Faults after which a zone is read no further: it is some other kind of file."""

MOST_GENERATED = 65536
"""Records of one ``$GENERATE``; a /16 of reverse names, and never hours of work."""

DEEPEST_INCLUDE = 8
MOST_INCLUDED = 1000
"""Files that one zone includes in all: nested files that each include several are many soon."""

ZoneNote = Callable[[str | None, int, str], None]
"""Takes a file (``None``: the zone's own text), a 1-based line in it (0: none), and what is wrong there."""


def read_zone(apex: dns.name.Name, text: str, file: str | None, note: ZoneNote) -> tuple[dns.zone.Zone, str]:
    """
    A zone's records and the text that they came from, its includes' text behind it.

    :param apex: the zone's name, and the origin of the names in ``text``.
    :param file: where ``text`` came from, for included files; ``None`` for inline text, which may include none.
    :return: the zone with absolute names; worth nothing if ``note`` was called.
    """
    zone = dns.zone.Zone(apex, dns.rdataclass.IN, relativize=False)
    with zone.writer(True) as records:
        master = _Master(apex, records, note)
        master.read(text, file, ())
    return zone, "".join(master.sources)


class _Enough(Exception):
    """A zone has so many faults that no more are wanted."""


class _Reader(dns.zonefile.Reader):
    """dnspython's reader of one entry after another; keeps the origin, owner and TTL between them."""

    def _eat_line(self) -> None:
        # Called for nothing but a record outside of the zone, which upstream skips.
        raise dns.exception.SyntaxError("the name is out of the zone")


@attrs.define
class _Master:
    """One zone on its way in: dnspython's reader, and what was read so far."""

    _apex: dns.name.Name
    _records: dns.transaction.Transaction
    _note: ZoneNote
    sources: list[str] = attrs.field(factory=list)
    _faults: int = 0
    _told_ttl: bool = False
    _reader: _Reader = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = _Reader(
            dns.tokenizer.Tokenizer(""),
            dns.rdataclass.IN,
            self._records,
            allow_directives=["$ORIGIN", "$TTL", "$GENERATE"],
        )

    def read(self, text: str, file: str | None, inside: tuple[str, ...]) -> None:
        """:param inside: the files that include this one, outermost first."""
        self.sources.append(text)
        try:
            for line, entry in _split(text):
                try:
                    self._entry(line, entry, file, inside)
                except dns.exception.SyntaxError as error:
                    self._fault(file, line, _reason(error, entry))
        except _Enough:
            if inside:
                raise

    def _entry(self, line: int, entry: str, file: str | None, inside: tuple[str, ...]) -> None:
        """:raises dns.exception.SyntaxError: with what is wrong with the entry."""
        words = entry.split(None, 2)
        directive = words[0].upper() if words and not entry[0].isspace() else ""
        if directive == "$INCLUDE":
            self._include(line, entry, file, inside)
            return
        if directive == "$GENERATE":
            _check_generate(words)
        self._reader.tok = dns.tokenizer.Tokenizer(entry, "")
        try:
            self._reader.read()
        except dns.exception.SyntaxError:
            raise
        except Exception as error:
            # dnspython promises no kinds: ValueError, UnicodeError, AttributeError and its own all came out of it.
            kind = type(error).__name__
            raise dns.exception.SyntaxError(f"{error}" if str(error) else f"it cannot be read ({kind})") from None

    def _include(self, line: int, entry: str, file: str | None, inside: tuple[str, ...]) -> None:
        """Read ``$INCLUDE file [origin]``: names keep the outer origin and owner after it (RFC 1035 s5.1)."""
        tokens = [token.value for token in _tokens(entry)]
        if file is None:
            raise dns.exception.SyntaxError("$INCLUDE works in zone files only, not in 'records'")
        if len(tokens) not in (2, 3):
            raise dns.exception.SyntaxError("allowed: $INCLUDE FILE [ORIGIN]")
        included = os.path.join(os.path.dirname(file), tokens[1])
        within = (*inside, file)
        if included in within or len(within) > DEEPEST_INCLUDE or len(self.sources) > MOST_INCLUDED:
            raise dns.exception.SyntaxError(f"'{_on_one_line(included)}' is included in itself, or too many files are")
        try:
            text = read_text(included)
        except Unreadable as error:
            raise dns.exception.SyntaxError(f"'{_on_one_line(included)}': {error}") from None
        reader = self._reader
        saved = reader.current_origin, reader.last_name
        if len(tokens) == 3:
            try:
                reader.current_origin = dns.name.from_text(tokens[2], reader.current_origin)
            except (dns.exception.DNSException, UnicodeError, ValueError) as error:
                raise dns.exception.SyntaxError(f"origin '{shorten(tokens[2])}': {error}") from None
        self.read(text, included, within)
        reader.current_origin, reader.last_name = saved

    def _fault(self, file: str | None, line: int, reason: str) -> None:
        if "Missing default TTL" in reason:
            # After a bad SOA or $TTL every record would say so.
            if self._told_ttl:
                return
            self._told_ttl = True
            reason = reason.replace(
                "Missing default TTL value", "no TTL here nor before; write one, or $TTL at the top"
            )
        self._faults += 1
        if self._faults > MOST_FAULTS:
            self._note(file, line, f"more than {MOST_FAULTS} faults; the rest of the zone was not read")
            raise _Enough
        self._note(file, line, reason)


def _tokens(entry: str) -> Iterator[dns.tokenizer.Token]:
    tokenizer = dns.tokenizer.Tokenizer(entry, "")
    while True:
        token = tokenizer.get()
        if token.is_eol_or_eof():
            return
        yield token


def _check_generate(words: list[str]) -> None:
    """:raises dns.exception.SyntaxError: if a ``$GENERATE`` is no range, or makes too many records."""
    try:
        start, stop, step = dns.grange.from_text(words[1] if len(words) > 1 else "")
    except Exception:
        # As in _entry: a wrong range raises whatever int() and the grammar meet first.
        raise dns.exception.SyntaxError("allowed: $GENERATE FIRST-LAST[/STEP] NAME [TTL] TYPE DATA") from None
    if (stop - start) // step >= MOST_GENERATED:
        raise dns.exception.SyntaxError(f"more than {MOST_GENERATED} records from one $GENERATE")


def _reason(error: dns.exception.SyntaxError, entry: str) -> str:
    """dnspython's reason without its place, which counts from the entry's first line, and with the entry instead."""
    text = str(error)
    if text.startswith(":"):
        text = text.split(": ", 1)[-1] if ": " in text else ""
    if "non-origin SOA" in text:
        text = "a SOA record is allowed at the zone's apex only"
    reason = _on_one_line(text).removesuffix(".") or "it cannot be read"
    return f"{reason}: {shorten(' '.join(entry.split()))}"


def _on_one_line(text: str) -> str:
    """A reason on one line; dnspython repeats what it read, however long."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = line.encode("unicode_escape").decode("ascii")
    return line if len(line) <= 200 else line[:197] + "..."


def _split(text: str) -> Iterator[tuple[int, str]]:
    """
    The entries of a master file: 1-based line of the first character, and the text with the line break that ends it.

    A line break ends an entry unless a parenthesis is open; it also ends a quoted string, which dnspython then refuses.
    """
    lines: list[str] = []
    began, depth = 1, 0
    for number, line in enumerate(text.split("\n"), 1):
        if not lines:
            began = number
        lines.append(line)
        depth = _depth(line, depth)
        if depth <= 0:
            entry = "\n".join(lines)
            lines, depth = [], 0
            if entry.strip():
                yield began, entry + "\n"
    if lines:
        yield began, "\n".join(lines) + "\n"


def _depth(line: str, depth: int) -> int:
    """How many parentheses are open at the end of ``line``."""
    if not ("(" in line or depth):
        return 0
    quoted = escaped = False
    for character in line:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif quoted:
            pass
        elif character == ";":
            break
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
    return depth
