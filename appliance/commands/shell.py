"""
``appliance shell [SOCKET]``: attach to the manhole of a running process.

The socket carries terminal bytes both ways, so this only connects it to the terminal.  Without a terminal (a pipe, a
script) lines go in, and what comes out is rid of terminal codes.
"""

from __future__ import annotations

import argparse
import os
import re
import selectors
import socket
import sys
import termios
import tty
from typing import Any

DEFAULT_SOCKET = "var/manhole.sock"
END = b"\x04"
"""Ctrl-D: the prompt closes the connection."""

_CODES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78cMEDH]|\x1b[()][0-9A-B]|[\x00\x07\x0e\x0f]")


def add_to(verbs: Any) -> None:
    parser = verbs.add_parser("shell", help="attach to the manhole of a running process (Ctrl-D leaves)")
    parser.add_argument(
        "socket", metavar="SOCKET", nargs="?", default=DEFAULT_SOCKET, help=f"default: {DEFAULT_SOCKET}"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(arguments.socket)
    except OSError as error:
        print(f"{arguments.socket}: {error.strerror}; is the process running, with control.manhole?", file=sys.stderr)
        return 1
    with connection:
        if sys.stdin.isatty():
            _interactive(connection)
        else:
            _piped(connection)
    return 0


def _interactive(connection: socket.socket) -> None:
    """Terminal and socket, byte for byte, until the far side closes."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        selector = selectors.DefaultSelector()
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(connection, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is connection:
                    data = connection.recv(65536)
                    if not data:
                        return
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
                else:
                    connection.sendall(os.read(sys.stdin.fileno(), 4096) or END)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _piped(connection: socket.socket) -> None:
    """All lines in, then everything that came out."""
    lines = sys.stdin.buffer.read()
    # On half a line Ctrl-D is no end.
    connection.sendall(lines + (b"" if lines.endswith(b"\n") or not lines else b"\n") + END)
    output = b"".join(iter(lambda: connection.recv(65536), b""))
    sys.stdout.buffer.write(_CODES.sub(b"", output).replace(b"\r\n", b"\n").rstrip() + b"\n")
