"""
YAML text as a tree of :class:`Node`, each with its key path and line; knows nothing of what the keys mean.

Scalars stay the text that was written, beside the kind that YAML 1.1 gives them: ``08`` is text, ``010`` is eight,
``22:22`` is 1342 and ``no`` is false, and only whoever knows what was wanted can say it so that it helps.

What a hostile or broken file can do is bounded: depth by :data:`DEEPEST` (libyaml's composer recurses on the C stack
and would end the process), aliases by :data:`MOST_REPEATED`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs
import yaml

Kind = Literal["nothing", "yes/no", "integer", "number", "date", "text", "mapping", "list"]

DEEPEST = 32
"""Levels of nesting; the contract's deepest key has eight."""

MOST_REPEATED = 500_000
"""Values that aliases may repeat in all: enough for 20 000 sites that share theirs, and a few hundred MB at worst."""

_KINDS: Mapping[str, Kind] = {
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:bool": "yes/no",
    "tag:yaml.org,2002:int": "integer",
    "tag:yaml.org,2002:float": "number",
    "tag:yaml.org,2002:timestamp": "date",
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:value": "text",
    "tag:yaml.org,2002:merge": "text",
}
_PLAIN_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_ENTRIES: Mapping[str, Node] = MappingProxyType({})

Note = Callable[["Node", str], None]


@attrs.frozen
class Node:
    """
    One value of the file, with its place.

    :param path: key path such as ``pools.public.addresses[1]``; empty for the whole file.
    :param line: 1-based; the key's line where the value is a mapping or a list below its key.
    :param text: a scalar as it was written.
    :param entries: a mapping's values by key.
    :param items: a list's values.
    :param literal: the text is a ``|`` block, so that its lines are lines of the file, from the next one on.
    """

    path: str
    line: int
    kind: Kind
    text: str = ""
    entries: Mapping[str, Node] = _NO_ENTRIES
    items: tuple[Node, ...] = ()
    literal: bool = False

    def found(self) -> str:
        """What was found, for a message: the kind, and the text where it is one."""
        if self.kind in ("nothing", "mapping", "list"):
            return {"nothing": "nothing", "mapping": "a mapping", "list": "a list"}[self.kind]
        shown = shorten(self.text)
        if self.kind == "yes/no":
            return f"{shown}, which YAML reads as a yes/no value"
        if self.kind == "date":
            return f"{shown}, which YAML reads as a date"
        return f"'{shown}'" if self.kind == "text" else shown


class SyntaxFault(Exception):
    """The text as a whole cannot be read; ``node`` is the place and ``str()`` the reason."""

    def __init__(self, node: Node, reason: str) -> None:
        self.node = node
        super().__init__(reason)


def parse(text: str, note: Note) -> Node:
    """
    The tree of a YAML text.

    :param note: called with place and message for each thing that is wrong but does not hide the rest.
    :return: a mapping's node.
    :raises SyntaxFault: if the text is no YAML, is empty, or is no mapping at the top.
    """
    odd = _NOT_PRINTABLE.search(text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise _fault(line, f"character U+{ord(odd.group()):04X} cannot be in a YAML file")
    raw = _composed(text)
    if raw is None:
        raise _fault(0, "the file is empty")
    if not isinstance(raw, yaml.MappingNode):
        raise _fault(_line(raw), "must be a mapping of sections such as 'dns:' and 'sites:'")
    return _Growth(note).node(raw, "", _line(raw), 0)


class _Loader(yaml.CSafeLoader):
    """libyaml's composer, which calls these two on its way down and up."""

    depth = 0

    def descend_resolver(self, parent: Any, index: Any) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _fault(_line(parent) if parent else 0, f"nested more than {DEEPEST} levels deep")

    def ascend_resolver(self) -> None:
        self.depth -= 1


_HINTS = {
    "did not find expected key": "; is it indented like its neighbours?",
    "mapping values are not allowed in this context": (
        "; is it indented like its neighbours, and is text with ': ' in quotes?"
    ),
}
"""What it is, most of the time, where libyaml says so."""


def _composed(text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _fault(mark.line + 1 if mark else 0, _reason(error, text)) from None
    except yaml.YAMLError as error:
        raise _fault(0, f"not YAML: {error}") from None


def _reason(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    if mark:
        # splitlines() also knows the rarer line breaks that libyaml counts.
        lines = text.splitlines()
        if mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
            return "not YAML: a tab; indent with spaces"
    began = error.context_mark
    since = f" ({error.context}, begun in line {began.line + 1})" if error.context and began else ""
    return f"not YAML: {error.problem}{since}{_HINTS.get(error.problem or '', '')}"


class _Growth:
    """Turns composed nodes into ours; counts what aliases repeat."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._seen: set[int] = set()
        self._repeated = 0

    def node(self, raw: yaml.Node, path: str, line: int, depth: int) -> Node:
        if depth > DEEPEST:
            raise _fault(line, f"nested more than {DEEPEST} levels deep (an alias inside its own anchor?)", path)
        if id(raw) in self._seen:
            self._repeated += 1
            if self._repeated > MOST_REPEATED:
                raise _fault(line, f"aliases repeat more than {MOST_REPEATED} values", path)
        self._seen.add(id(raw))
        if isinstance(raw, yaml.ScalarNode):
            return self._scalar(raw, path)
        if raw.tag not in _PLAIN_COLLECTIONS:
            self._note(Node(path, line, "nothing"), f"YAML tag '{shorten(raw.tag)}' is not supported")
        if isinstance(raw, yaml.MappingNode):
            return Node(path, line, "mapping", entries=self._entries(raw, path, depth))
        items = [self.node(item, f"{path}[{index}]", _line(item), depth + 1) for index, item in enumerate(raw.value)]
        return Node(path, line, "list", items=tuple(items))

    def _scalar(self, raw: yaml.ScalarNode, path: str) -> Node:
        kind = _KINDS.get(raw.tag)
        node = Node(path, _line(raw), kind or "text", raw.value, literal=raw.style == "|")
        if kind is None:
            self._note(node, f"YAML tag '{shorten(raw.tag)}' is not supported")
        return node

    def _entries(self, raw: yaml.MappingNode, path: str, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for raw_key, raw_value in raw.value:
            line = _line(raw_key)
            key = self._key(raw_key, path, line)
            if key is None:
                continue
            below = f"{path}.{key}" if path else key
            if key in entries:
                self._note(Node(below, line, "nothing"), f"the key is already in line {lines[key]}; write it once")
                continue
            entries[key] = self.node(raw_value, below, line, depth + 1)
            lines[key] = line
        return entries

    def _key(self, raw: yaml.Node, path: str, line: int) -> str | None:
        """A mapping's key, or ``None`` after noting why it is none."""
        place = Node(path, line, "nothing")
        if not isinstance(raw, yaml.ScalarNode):
            self._note(place, "a key must be text; found a list or mapping as a key")
        elif raw.tag == "tag:yaml.org,2002:merge":
            self._note(place, "merge keys ('<<') are not supported; write the keys out")
        elif _KINDS.get(raw.tag) != "text":
            odd = Node(path, line, _KINDS.get(raw.tag, "text"), raw.value)
            self._note(place, f"a key must be text; found {odd.found()}; write it in quotes")
        else:
            return str(raw.value)
        return None


def shorten(text: str) -> str:
    """``text`` on one line and short enough for a message."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return shown.encode("unicode_escape").decode("ascii") if not shown.isprintable() else shown


def _line(raw: Any) -> int:
    return int(raw.start_mark.line) + 1


def _fault(line: int, reason: str, path: str = "") -> SyntaxFault:
    return SyntaxFault(Node(path, line, "nothing"), reason)
