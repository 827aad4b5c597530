"""
A configuration from a file or a text: read, check everything, and only then build.
"""

from __future__ import annotations

import os
from typing import cast

import attrs

from appliance.config.building import build
from appliance.config.checks import check
from appliance.config.faults import Faults
from appliance.config.messages import read_messages
from appliance.config.probefiles import check_probe_files
from appliance.config.reading import Unreadable, read_text
from appliance.config.schema import DEFAULT_LISTEN, ROOT, ControlFields, ManholeFields, Root
from appliance.config.shapes import Placed
from appliance.config.transfers import Keys
from appliance.config.tree import Node, SyntaxFault, parse
from appliance.config.values import Config, ManholeSocket, ManholeSSH
from appliance.config.zones import read_zones
from appliance.errors import ConfigError, Fault

DEFAULT_STATE = "var"
DEFAULT_SOCKET = "manhole.sock"
DEFAULT_CONTROL = "control.sock"

_LONGEST_SOCKET_BYTES = 107
"""Of a UNIX socket's path on Linux (unix(7)), without the last NUL."""


def load(path: str) -> Config:
    """
    The configuration in a file; also reads the zone files it names.

    :raises ConfigError: with every fault, also where the file is missing or no text.
    """
    try:
        text = read_text(path)
    except Unreadable as error:
        fault = Fault(file=path, line=error.line, path="", message=f"the configuration {error}")
        raise ConfigError([fault]) from None
    return loads(text, file=path, folder=os.path.dirname(path))


def loads(text: str, *, file: str, folder: str) -> Config:
    """
    The configuration in a text.

    :param file: what faults call it.
    :param folder: what the relative paths in it start at; itself relative to the process, if relative.
    :raises ConfigError: with every fault.
    """
    faults = Faults(file)
    try:
        tree = parse(text, faults.add)
    except SyntaxFault as error:
        faults.add(error.node, str(error))
        raise ConfigError(faults.errors) from None
    root = cast(Root, ROOT.read(tree, faults))
    written = root.get("dns", {}).get("zones")
    state = _state_directory(root, folder)
    keys = Keys(root.get("dns", {}).get("tsig"), folder, state, faults)
    listen = frozenset(each.value for each in root.get("dns", {}).get("listen") or ())
    zones = (
        None if written is None else read_zones(written, folder, keys, listen or frozenset({DEFAULT_LISTEN}), faults)
    )
    check(root, zones, faults)
    keys.warn_unused()
    manhole = _manhole(root.get("control", {}), state, folder, faults)
    control_socket = _control_socket(root.get("control", {}), state, faults)
    _check_sockets(root.get("control", {}), control_socket, manhole, faults)
    messages = read_messages(root, folder, faults)
    check_probe_files(root, folder, faults)
    faults.refuse()
    config = build(root, zones or {}, keys, folder, manhole, messages)
    warnings = sorted(faults.warnings, key=lambda fault: (fault.line, fault.path))
    return attrs.evolve(config, state_directory=state, control_socket=control_socket, warnings=tuple(warnings))


def _state_directory(root: Root, folder: str) -> str | None:
    """Absolute path of the state folder, ``None`` for none; a faulty one counts as the default, for later checks."""
    given = root.get("appliance", {}).get("state_directory")
    written = given.value if given else DEFAULT_STATE
    return None if written == "none" else os.path.abspath(os.path.join(folder, written))


def _manhole(
    control: ControlFields, state: str | None, folder: str, faults: Faults
) -> ManholeSocket | ManholeSSH | None:
    place = control.get("manhole")
    if place is None or len(place.value) < 3:
        return None
    ssh, keys = place.value["ssh"], place.value["authorized_keys"]
    if ssh is None and keys is None:
        return _manhole_socket(place, state, faults)
    if ssh is None or keys is None or place.value["socket"]:
        faults.add(place.node, "allowed: 'socket' alone, or 'ssh' together with 'authorized_keys'")
        return None
    file = os.path.abspath(os.path.join(folder, keys.value))
    if not os.path.isfile(file):
        faults.add(keys.node, f"'{file}' is no file")
    return ManholeSSH(ssh.value, file)


def _manhole_socket(place: Placed[ManholeFields], state: str | None, faults: Faults) -> ManholeSocket | None:
    given = place.value["socket"]
    name, node = (given.value, given.node) if given else (DEFAULT_SOCKET, place.node)
    if state is None and not os.path.isabs(name):
        faults.add(node, "the socket lies in the state folder, and appliance.state_directory is 'none'; use ssh")
        return None
    return ManholeSocket(_socket(name, node, state, faults))


def _control_socket(control: ControlFields, state: str | None, faults: Faults) -> str | None:
    given = control.get("socket")
    name = given.value if given else DEFAULT_CONTROL
    if state is None and not os.path.isabs(name):
        if given:
            faults.add(
                given.node,
                "the socket lies in the state folder, and appliance.state_directory is 'none'; write an absolute path",
            )
        return None
    if given:
        return _socket(name, given.node, state, faults)
    path = os.path.join(state or "", name)
    if len(os.fsencode(path)) > _LONGEST_SOCKET_BYTES:
        # Nobody asked for it, so it does not hinder the start.
        faults.warn(Node("control.socket", 0, "nothing"), f"'{path}' is too long for a UNIX socket, so there is none")
        return None
    return path


def _socket(name: str, node: Node, state: str | None, faults: Faults) -> str:
    socket_path = os.path.join(state or "", name)
    if len(os.fsencode(socket_path)) > _LONGEST_SOCKET_BYTES:
        faults.add(node, f"'{socket_path}' is too long for a UNIX socket; allowed: {_LONGEST_SOCKET_BYTES} bytes")
    return socket_path


def _check_sockets(
    control: ControlFields, control_socket: str | None, manhole: ManholeSocket | ManholeSSH | None, faults: Faults
) -> None:
    if isinstance(manhole, ManholeSocket) and control_socket and _same_path(manhole.path, control_socket):
        place = control.get("socket") or control.get("manhole")
        assert place is not None, "a manhole is written"
        faults.add(place.node, f"'{control_socket}' is the manhole's socket as well; give each a path of its own")


def _same_path(one: str, other: str) -> bool:
    return os.path.normpath(one) == os.path.normpath(other)
