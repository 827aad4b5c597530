"""What ``answer`` and ``welcome`` of an instance say: the text itself, or what is in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from appliance.config.faults import Faults, Unusable
from appliance.config.schema import Root
from appliance.config.shapes import Placed
from appliance.config.tree import Node, shorten
from appliance.model import Refusal

LARGEST_BYTES = 65536
"""Of one message; it is in memory once, and fits in a socket's buffer."""

_LONGEST_PATH = 300
"""Characters that are shown; more of them are hardly a path."""

_PATH = re.compile(r"\S*(/|\.[A-Za-z])\S*")
"""A word that looks like the name of a file."""


def read_messages(root: Root, folder: str, faults: Faults) -> dict[str, bytes]:
    """
    The bytes of each message, by the key path of what says it.

    A value of one line is the name of a file if it begins with ``/``, ``./`` or ``../``, or if there is such a file.

    :param folder: what the names of files are relative to.
    """
    files: dict[str, bytes] = {}
    messages: dict[str, bytes] = {}
    for place in _written(root):
        try:
            messages[place.node.path] = _message(place, folder, files, faults)
        except Unusable:
            continue
    return messages


def _written(root: Root) -> Iterator[Placed[str]]:
    for site in root.get("sites", {}).values():
        for instance in site.value.get("instances", ()):
            answer, welcome = instance.value.get("answer"), instance.value.get("welcome")
            if answer is not None and not isinstance(answer.value, Refusal):
                yield Placed(answer.value, answer.node)
            if welcome is not None:
                yield welcome


def _message(place: Placed[str], folder: str, files: dict[str, bytes], faults: Faults) -> bytes:
    written = place.value
    path = os.path.join(folder, written)
    if "\n" not in written and (written.startswith(("/", "./", "../")) or os.path.isfile(path)):
        if path not in files:
            files[path] = _file(path, place.node, faults)
        return files[path]
    found = written.encode()
    _check_size(len(found), place.node, "found", faults)
    if _PATH.fullmatch(written):
        faults.warn(place.node, f"'{shorten(written)}' is sent as it stands, for there is no such file")
    elif place.node.path.endswith(".answer") and written.isalpha():
        near = faults.did_you_mean(written.lower(), [refusal.value for refusal in Refusal])
        if near:
            faults.warn(place.node, f"'{shorten(written)}' is sent as it stands{near}")
    return found


def _file(path: str, node: Node, faults: Faults) -> bytes:
    shown = path if path.isprintable() and len(path) <= _LONGEST_PATH else shorten(path)
    if not os.path.isfile(path):
        raise faults.wrong(node, f"'{shown}' is no file")
    try:
        with open(path, "rb") as file:
            found = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise faults.wrong(node, f"'{shown}' cannot be read: {error.strerror}") from None
    _check_size(len(found), node, f"'{shown}' has", faults)
    return found


def _check_size(count: int, node: Node, what: str, faults: Faults) -> None:
    if not 1 <= count <= LARGEST_BYTES:
        shown = "no byte" if not count else f"more than {LARGEST_BYTES} bytes"
        raise faults.wrong(node, f"{what} {shown}; allowed: 1 to {LARGEST_BYTES} bytes")
