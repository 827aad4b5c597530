"""``appliance check FILE``: is this configuration good?  No reactor, nothing started."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from appliance.config import load
from appliance.errors import ConfigError


def add_to(verbs: Any) -> None:
    parser = verbs.add_parser("check", help="check a configuration file; exit 0, or 1 with all its errors")
    parser.add_argument("file", metavar="FILE")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        config = load(arguments.file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        print(f"{len(error.faults)} error(s)", file=sys.stderr)
        return 1
    for warning in config.warnings:
        print(f"{warning} (warning)", file=sys.stderr)
    print(f"{arguments.file}: good")
    return 0
