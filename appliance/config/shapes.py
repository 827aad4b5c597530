"""
How a mapping or a list of the file becomes values: which keys it has, which are required, and what each is read with.

A *reader* is a function of a node and the faults so far.  It returns a value, or notes what is wrong and raises
:class:`Unusable`.  A :class:`Shape` leaves out what is unusable and goes on, so that a fault hides nothing beside it:
what it returns holds only the good keys, and nothing is built from it before all faults are known.

This is why cattrs, which could read the values, does not: it makes an object or nothing, without lines, and the checks
across sections want the good half of a bad section.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, TypeAlias, TypeVar

import attrs

from appliance.config import notyet
from appliance.config.faults import Faults, Unusable
from appliance.config.tree import Node, shorten

T = TypeVar("T")

Reader: TypeAlias = Callable[[Node, Faults], T]
Fields: TypeAlias = dict[str, Any]

REQUIRED: Final = object()
"""The default of a key that has none."""


@attrs.frozen
class Placed(Generic[T]):
    """A value that a later check may have to point at."""

    value: T
    node: Node


@attrs.frozen
class Key:
    """A key that works: what its value is read with, and what it is when it is not given."""

    reader: Reader[Any]
    default: Any = REQUIRED


@attrs.frozen
class Shape:
    """
    A mapping with known keys.

    :param place: where it is, as :mod:`.notyet` writes places.
    """

    place: str
    keys: Mapping[str, Key]

    def read(self, node: Node, faults: Faults) -> Fields:
        """
        :return: the good keys and the defaults of those not given; a key with a fault is not in it.
        :raises Unusable: if the node is no mapping.  Nothing at all counts as an empty one.
        """
        given = entries(node, faults)
        fields: Fields = {}
        for name, child in given.items():
            key = self.keys.get(name)
            if key is None:
                faults.add(child, self._unknown(name, faults))
            elif not self._is_not_yet(name, child, faults):
                with suppress(Unusable):
                    fields[name] = key.reader(child, faults)
        for name, key in self.keys.items():
            if name in given:
                continue
            if key.default is REQUIRED:
                faults.add(node, f"'{name}' is required")
            else:
                fields[name] = key.default
        return fields

    def _unknown(self, name: str, faults: Faults) -> str:
        later = notyet.KEYS.get(self.place, frozenset())
        if name in later:
            return "not yet supported"
        known = sorted({*self.keys, *later})
        near = faults.did_you_mean(name, known)
        return f"unknown key '{shorten(name)}'" + (near or f"; known here: {', '.join(sorted(self.keys))}")

    def _is_not_yet(self, name: str, node: Node, faults: Faults) -> bool:
        place = f"{self.place}.{name}" if self.place else name
        pattern = notyet.VALUES.get(place)
        if pattern and not (node.items or node.entries) and pattern.fullmatch(node.text):
            faults.add(node, f"not yet supported: the value '{shorten(node.text)}'")
            return True
        return False


def shape(place: str, made: type[attrs.AttrsInstance], **readers: Reader[Any]) -> Shape:
    """A shape whose defaults are those of the attrs class that is ``made`` of it."""
    fields = attrs.fields_dict(made)
    defaults = {name: REQUIRED if each.default is attrs.NOTHING else each.default for name, each in fields.items()}
    return Shape(place, {name: Key(reader, defaults[name]) for name, reader in readers.items()})


def whole(of: Shape, made: Callable[..., T]) -> Reader[T]:
    """A reader of a mapping that is only worth something without faults, such as a few limits."""

    def read(node: Node, faults: Faults) -> T:
        fields = of.read(node, faults)
        if len(fields) < len(of.keys):
            raise Unusable
        return made(**fields)

    return read


def named(reader: Reader[Any]) -> Reader[dict[str, Placed[Any]]]:
    """A reader of a mapping whose keys are names of the user's.  A name is known even if all of its value is bad."""

    def read(node: Node, faults: Faults) -> dict[str, Placed[Fields]]:
        found: dict[str, Placed[Any]] = {}
        for name, child in entries(node, faults).items():
            try:
                fields = reader(child, faults)
            except Unusable:
                fields = {}
            found[name] = Placed(fields, child)
        return found

    return read


def words(reader: Reader[Any]) -> Reader[dict[str, Placed[Any]]]:
    """The same, of names that people read in the columns of tables and write in commands, where 'none' is nobody."""
    read_all = named(reader)

    def read(node: Node, faults: Faults) -> dict[str, Placed[Any]]:
        found = read_all(node, faults)
        for name, place in found.items():
            if name.split() != [name] or not name.isprintable() or name == "none":
                allowed = "one word of printable characters, and not 'none'"
                where = Node(node.path, place.node.line, "text")
                faults.add(where, f"found the name '{shorten(name)}'; allowed: {allowed}")
        return found

    return read


def sequence(reader: Reader[T], *, required: bool = False, most: int | None = None) -> Reader[tuple[Placed[T], ...]]:
    """A reader of a list: the good entries with their places; ``required`` asks for at least one."""

    def read(node: Node, faults: Faults) -> tuple[Placed[T], ...]:
        if node.kind != "list":
            hint = f"; write [{shorten(node.text)}]" if node.text else ""
            raise faults.wrong(node, f"found {node.found()}; allowed: a list{hint}")
        if required and not node.items:
            raise faults.wrong(node, "found an empty list; allowed: at least one entry")
        if most is not None and len(node.items) > most:
            raise faults.wrong(node, f"found {len(node.items)} entries; allowed: at most {most}")
        found: list[Placed[T]] = []
        for item in node.items:
            with suppress(Unusable):
                found.append(Placed(reader(item, faults), item))
        return tuple(found)

    return read


def placed(reader: Reader[T]) -> Reader[Placed[T]]:
    """A reader of the same value, together with its place."""
    return lambda node, faults: Placed(reader(node, faults), node)


def entries(node: Node, faults: Faults) -> Mapping[str, Node]:
    """
    A mapping's values by key; nothing at all is an empty mapping.

    :raises Unusable: if the node is something else.
    """
    if node.kind not in ("mapping", "nothing"):
        raise faults.wrong(node, f"found {node.found()}; allowed: a mapping (indented 'key: value' lines)")
    return node.entries
