"""
The command line: ``appliance VERB ...``.

Nothing here imports a reactor; each verb is a module with ``add_to`` (its arguments) and ``run`` (the exit code).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from appliance import __version__
from appliance.commands import check, shell

VERBS = (check, shell)


def main(argv: Sequence[str] | None = None) -> int:
    """:return: the exit code: 0 done, 1 could not be done (the reason is on stderr), 2 wrong words."""
    parser = argparse.ArgumentParser(prog="appliance", description="Share a few public addresses among many names.")
    parser.add_argument("--version", action="version", version=f"appliance {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_to(verbs)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
