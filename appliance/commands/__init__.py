"""
The command line: ``appliance VERB ...``.

Nothing here imports a reactor; each module has ``add_to``, which adds its verbs: their arguments, and a
``run`` that returns the exit code.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from appliance import __version__
from appliance.commands import answer, changes, check, inquiries, lists, orders, shell
from appliance.commands.socket import DEFAULT_SOCKET, VARIABLE
from appliance.errors import ApplianceError

MODULES = (check, answer, lists, inquiries, changes, orders, shell)
"""Each adds one verb or some that belong together."""


def command_line() -> argparse.ArgumentParser:
    """All verbs and their arguments."""
    parser = argparse.ArgumentParser(prog="appliance", description="Share a few public addresses among many names.")
    parser.add_argument("--version", action="version", version=f"appliance {__version__}")
    parser.add_argument(
        "--control",
        metavar="SOCKET",
        default="",
        help=f"the control socket of the running process; default: ${VARIABLE}, or {DEFAULT_SOCKET}",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    for module in MODULES:
        module.add_to(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """:return: the exit code: 0 done, 1 could not be done (the reason is on stderr), 2 wrong words."""
    arguments = command_line().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ApplianceError as error:
        print(f"appliance: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
