"""
``appliance virtual``, ``real``, ``bind``, ``assign``, ``backup``, ``drain`` and the like: what a person orders of
servers and virtual servers while they run (5.10).
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.commands.socket import Control
from appliance.views import left_text, order_text

POLL_INTERVAL = 1.0
"""Seconds after which ``drain --wait`` looks again."""

_V = "SITE[:PORT[/udp][:BIND]], or ADDRESS... for the site that holds it; port and bind id are 0 if not given"
_R = "a server's name, or ADDRESS[:PORT]"
_KINDS = ("real", "virtual", "pop")

Request = dict[str, Any]


def add_to(verbs: Any) -> None:
    states = ("in-service", "out-of-service")
    virtual = verbs.add_parser("virtual", help="show a virtual server, change its state, or make an instance")
    virtual.add_argument("virtual", metavar="VIRTUAL", help=_V)
    virtual.add_argument("state", nargs="?", choices=states, help="in-service makes a bind id that the file has not")
    _runs(virtual, lambda a: _given(virtual=a.virtual, state=a.state))
    real = verbs.add_parser("real", help="show a real server, change it, or make one")
    real.add_argument("real", metavar="REAL", help=_R)
    real.add_argument("state", nargs="?", choices=states, help="in-service makes a server of an unknown ADDRESS")
    real.add_argument("--weight", type=int, metavar="N", help="0: no new connections")
    real.add_argument("--threshold", type=int, metavar="N", help="ditched connections in a row that fail it")
    real.add_argument("--max-connections", type=int, metavar="N", help="0: no limit")
    limits = ("weight", "threshold", "max_connections")
    _runs(real, lambda a: _given(real=a.real, state=a.state, **{each: getattr(a, each) for each in limits}))
    for verb, what in (("bind", "let a real server take a virtual server's connections"), ("unbind", "the opposite")):
        tie = verbs.add_parser(verb, help=what)
        tie.add_argument("virtual", metavar="VIRTUAL", help=_V)
        tie.add_argument("real", metavar="REAL", help=_R)
        _runs(tie, lambda a: {"virtual": a.virtual, "real": a.real})
    for verb, what in (("assign", "make a client, or a subnet, one of an instance"), ("unassign", "the opposite")):
        assign = verbs.add_parser(verb, help=what)
        assign.add_argument("virtual", metavar="VIRTUAL", help=_V)
        assign.add_argument("client", metavar="CLIENT", help="an address, or a prefix such as 192.0.2.0/24")
        assign.add_argument("mask", metavar="MASK", nargs="?", help="such as 255.255.255.0, where CLIENT has no prefix")
        _runs(assign, lambda a: _given(virtual=a.virtual, client=a.client, mask=a.mask))
    backup = verbs.add_parser("backup", help="who takes the connections of a failed server, or of a site's")
    _add_name(backup, "[real|virtual] NAME [BACKUP]")
    backup.add_argument("--none", action="store_true", help="nobody, in place of BACKUP")
    _runs(backup, functools.partial(_backup, backup))
    for verb, what in (
        ("in-service", "let a real or virtual server take new connections again, or a POP be answered"),
        ("out-of-service", "let it take none, and those that exist go on; or a POP be answered no more, by this one"),
    ):
        state = verbs.add_parser(verb, help=what)
        _add_name(state, "[real|virtual|pop] NAME")
        _runs(state, functools.partial(_named, state))
    drain = verbs.add_parser("drain", help="let a real or virtual server take no new connections, and see what is left")
    _add_name(drain, "[real|virtual] NAME")
    drain.add_argument("--wait", action="store_true", help="until nothing is left; Ctrl-C leaves it draining")
    _runs(drain, functools.partial(_named, drain), _drained)
    revert = verbs.add_parser("revert", help="take back what was changed by hand: the file holds again")
    _add_name(revert, "[real|virtual|pop] NAME [SETTING]")
    _runs(revert, _revert)


# -- requests ---------------------------------------------------------------------------------------------------------


def _given(**fields: Any) -> Request:
    return {field: value for field, value in fields.items() if value is not None}


def _add_name(parser: argparse.ArgumentParser, usage: str) -> None:
    parser.usage = f"{parser.prog} [-h] {usage} [options]"
    parser.add_argument(
        "words", nargs="+", metavar="NAME", help="as of 'virtual' or 'real', or a POP's; say which, where it is several"
    )


def _kind(words: Sequence[str]) -> tuple[Request, Sequence[str]]:
    return ({"kind": words[0]}, words[1:]) if len(words) > 1 and words[0] in _KINDS else ({}, words)


def _named(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Request:
    request, rest = _kind(arguments.words)
    if len(rest) != 1:
        parser.error("give one NAME, with its kind before it where it is several")
    return {**request, "name": rest[0]}


def _backup(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Request:
    request, rest = _kind(arguments.words)
    if len(rest) != (1 if arguments.none else 2):
        parser.error("give NAME and BACKUP, or NAME and --none")
    return {**request, "name": rest[0], "backup": None if arguments.none else rest[1]}


def _revert(arguments: argparse.Namespace) -> Request:
    request, rest = _kind(arguments.words)
    return {**request, "name": rest[0]} | ({"setting": " ".join(rest[1:])} if len(rest) > 1 else {})


# -- answers ----------------------------------------------------------------------------------------------------------


def _runs(
    parser: argparse.ArgumentParser,
    request: Callable[[argparse.Namespace], Request],
    then: Callable[[Control, argparse.Namespace, Mapping[str, Any]], int] = lambda control, arguments, found: 0,
) -> None:
    """:param then: what follows the answer; returns the exit code."""
    verb = parser.prog.split()[-1]
    parser.add_argument("--json", action="store_true", help="as JSON, one document")

    def run(arguments: argparse.Namespace) -> int:
        control = Control(arguments.control)
        found = control.post(verb, request(arguments))
        print(json.dumps(found, indent=2) if arguments.json else order_text(found, time.time()), flush=True)
        if found["warning"] is not None:
            print(f"appliance: {found['warning']}", file=sys.stderr)
        return then(control, arguments, found)

    parser.set_defaults(run=run)


def _drained(control: Control, arguments: argparse.Namespace, found: Mapping[str, Any]) -> int:
    if not arguments.wait or not found["connections"]:
        return 0
    try:
        return wait(control, found, quiet=arguments.json)
    except KeyboardInterrupt:
        print(f"\nappliance: {found['name']} goes on draining", file=sys.stderr)
        return 130


def wait(control: Control, found: Mapping[str, Any], *, quiet: bool) -> int:
    """
    Until it is empty, or somebody lets it take connections again.

    :param found: what the order to drain was answered with.
    :param quiet: say nothing meanwhile.
    :return: the exit code; 1 where it is in service again.
    """
    lists, key = ("servers", "server") if found["kind"] == "real" else ("virtuals", "virtual")
    names = {row[key] for row in found["items"]}
    said = found["connections"]
    while True:
        time.sleep(POLL_INTERVAL)
        # Without a name, for one that has left the file meanwhile is still in the list.
        rows = [row for row in control.items(lists) if row[key] in names]
        left = sum(row["connections"] for row in rows)
        if left != said and not quiet:
            print(f"{found['name']}: {left_text(left)}", flush=True)
        if not left:
            return 0
        said = left
        if any(row["state"] in ("in-service", "failed", "testing") and not row.get("leaving") for row in rows):
            print(f"appliance: {found['name']} was put into service again", file=sys.stderr)
            return 1
