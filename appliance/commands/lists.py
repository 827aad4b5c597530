"""``appliance status`` and the lists: what the running process holds, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from appliance.commands.socket import Control
from appliance.views import as_table, for_people, market_text, pops_text, status_text

WATCH_INTERVAL = 2.0

_LISTS = {
    "leases": "who holds which address until when",
    "pools": "each pool, and how many of its addresses are what",
    "sites": "each site, and the addresses that it is answered with",
    "virtuals": "each virtual server: its state, its servers, and what it carries",
    "servers": "each real server: its state, its connections, and how it answers",
    "clients": "who is assigned to which instance, and by what",
    "connections": "what the NAT carries now",
    "delivery": "each customer's name, and what it would be answered with now",
    "nat-pools": "each client NAT pool, and how many of its pairs are what",
}


def add_to(verbs: Any) -> None:
    status = verbs.add_parser("status", help="what the process is, what is wrong with it, and what has happened")
    _add_options(status, lambda control: control.get("status"), status_text)
    for name, what in _LISTS.items():
        parser = verbs.add_parser(name, help=what)
        _add_options(
            parser,
            lambda control, name=name: control.items(name),
            lambda rows, name=name: as_table(for_people(name, rows, time.time())),
        )
    pops = verbs.add_parser("pops", help="each POP: who says that it is up, how near and how busy it is, its promises")
    _add_options(
        pops,
        lambda control: control.get("pops"),
        lambda found: pops_text(found, time.time()),
        lambda found: found["items"],
    )
    market = verbs.add_parser("market", help="what of this POP's capacity is unused, now and in the coming hours")
    _add_options(market, lambda control: control.get("market"), market_text)


def _add_options(
    parser: argparse.ArgumentParser, read: Any, show: Any, plain: Callable[[Any], Any] = lambda found: found
) -> None:
    """:param plain: what programs are told of what was read."""
    parser.add_argument("--json", action="store_true", help="as JSON, one document")
    parser.add_argument("--watch", action="store_true", help=f"again every {WATCH_INTERVAL:g} s, until Ctrl-C")
    parser.set_defaults(run=run, read=read, show=show, plain=plain)


def run(arguments: argparse.Namespace) -> int:
    control = Control(arguments.control)
    while True:
        found = arguments.read(control)
        text = json.dumps(arguments.plain(found), indent=2) if arguments.json else arguments.show(found)
        if arguments.watch and sys.stdout.isatty():
            text = f"\x1b[H\x1b[2J{time.strftime('%H:%M:%S')}\n{text}"
        print(text, flush=True)
        if not arguments.watch:
            return 0
        time.sleep(WATCH_INTERVAL)
