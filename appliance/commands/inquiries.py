"""``appliance explain NAME [TYPE]`` and ``appliance history ADDRESS``: why, and who."""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from typing import Any

from appliance.commands.socket import Control, ControlError
from appliance.views import as_table, explanation_text, for_people


def add_to(verbs: Any) -> None:
    explain = verbs.add_parser(
        "explain", help="what would be answered now, and every number behind it; changes nothing"
    )
    explain.add_argument("name", metavar="NAME")
    explain.add_argument("type", metavar="TYPE", nargs="?", default="A")
    explain.add_argument("--client", metavar="ADDRESS", default="", help="as if this address asked, by a datagram")
    explain.add_argument("--json", action="store_true", help="as JSON, one document")
    explain.set_defaults(run=run_explain)
    history = verbs.add_parser("history", help="who holds an address, and who held it")
    history.add_argument("address", metavar="ADDRESS")
    history.add_argument("--at", metavar="TIME", help="only who held it then: Unix time, or 2026-11-21T07:30[:00]Z")
    history.add_argument("--json", action="store_true", help="as JSON, one document")
    history.set_defaults(run=run_history)


def run_explain(arguments: argparse.Namespace) -> int:
    parameters = {"name": arguments.name, "type": arguments.type}
    if arguments.client:
        parameters["client"] = arguments.client
    found = Control(arguments.control).get("explain", **parameters)
    print(json.dumps(found, indent=2) if arguments.json else explanation_text(found))
    return 0


def run_history(arguments: argparse.Namespace) -> int:
    parameters = {"address": arguments.address}
    if arguments.at is not None:
        parameters["at"] = str(instant(arguments.at))
    rows = Control(arguments.control).items("history", **parameters)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        print(as_table(for_people("history", rows, time.time())))
    return 0


def instant(text: str) -> float:
    """Unix time of what a person wrote; without a zone it is UTC."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise ControlError(f"'{text}' is no time; write 2026-11-21T07:30:00Z, or Unix time") from None
    return (written if written.tzinfo is not None else written.replace(tzinfo=UTC)).timestamp()
