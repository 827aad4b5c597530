"""``appliance release|pin|unpin|snapshot|reload``: what a person does to the running process."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from appliance.commands.socket import Control


def add_to(verbs: Any) -> None:
    release = verbs.add_parser("release", help="end a lease: drain it, or end its connections")
    release.add_argument("address", metavar="ADDRESS")
    release.add_argument("site", metavar="SITE", nargs="?", help="whose, where several sites share the address")
    release.add_argument("--now", action="store_true", help="end its connections now")
    _runs(
        release,
        lambda a: {"address": a.address, "now": a.now} | ({"site": a.site} if a.site else {}),
        lambda found: f"{found['address']} of {', '.join(found['released'])}: {found['state']}",
    )
    pin = verbs.add_parser("pin", help="give a site an address for good")
    pin.add_argument("site", metavar="SITE")
    pin.add_argument("address", metavar="ADDRESS")
    _runs(
        pin,
        lambda a: {"site": a.site, "address": a.address},
        lambda found: f"{found['address']} of {found['site']}: {found['state']}",
    )
    unpin = verbs.add_parser("unpin", help="let a site lease like others again")
    unpin.add_argument("site", metavar="SITE")
    _runs(unpin, lambda a: {"site": a.site}, lambda found: f"{found['address']} of {found['site']}: unpinned")
    snapshot = verbs.add_parser("snapshot", help="write the state to the disk now")
    _runs(snapshot, lambda a: {}, lambda found: "written")
    reload = verbs.add_parser("reload", help="read the configuration again, as HUP does")
    _runs(reload, lambda a: {}, lambda found: str(found["reload"]))


def _runs(
    parser: argparse.ArgumentParser,
    request: Callable[[argparse.Namespace], dict[str, Any]],
    said: Callable[[dict[str, Any]], str],
) -> None:
    verb = parser.prog.split()[-1]

    def run(arguments: argparse.Namespace) -> int:
        print(said(Control(arguments.control).post(verb, request(arguments))))
        return 0

    parser.set_defaults(run=run)
