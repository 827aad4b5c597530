"""The files that probes name: programs, passwords, and certificates of those who are trusted."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from appliance.config.faults import Faults
from appliance.config.schema import Root
from appliance.config.shapes import Placed
from appliance.errors import SecretError
from appliance.secretfiles import read_secret


def check_probe_files(root: Root, folder: str, faults: Faults) -> None:
    """
    Note which files are not what they have to be; each check of a target would find it again.

    :param folder: what the names of files are relative to.
    """
    for probe in root.get("probes", {}).values():
        command, ca, password = (probe.value.get(key) for key in ("command", "ca", "password"))
        if command:
            _check_program(command[0], faults)
        if ca is not None:
            _check_certificates(ca, os.path.abspath(os.path.join(folder, ca.value)), faults)
        if password is not None:
            _check_password(password, os.path.abspath(os.path.join(folder, password.value)), faults)


def _check_program(place: Placed[str], faults: Faults) -> None:
    if not os.path.isfile(place.value):
        faults.add(place.node, f"found {place.node.found()}, which is no file; allowed: a program")
    elif not os.access(place.value, os.X_OK):
        faults.add(place.node, f"found {place.node.found()}, which this user may not run; allowed: a program")


def _check_certificates(place: Placed[str], file: str, faults: Faults) -> None:
    allowed = "a file with certificates in PEM"
    if not os.path.isfile(file):
        faults.add(place.node, f"'{file}' is no file; allowed: {allowed}")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        faults.add(place.node, f"'{file}' has no certificate that can be read; allowed: {allowed}")
    except OSError as error:
        faults.add(place.node, f"'{file}' cannot be read: {error.strerror}; allowed: {allowed}")


def _check_password(place: Placed[str], file: str, faults: Faults) -> None:
    """Says nothing of what is written where there is no such file, for that may be the password itself."""
    allowed = "the path of a file, mode 600, with the password in one line"
    if not os.path.isfile(file):
        faults.add(place.node, f"found no such file; allowed: {allowed}")
        return
    try:
        lines = read_secret("", Path(file)).splitlines()
    except SecretError as error:
        faults.add(place.node, f"{str(error).removeprefix(': ')}; allowed: {allowed}")
        return
    if len(lines) != 1 or not lines[0].strip() or not lines[0].isprintable():
        faults.add(place.node, f"'{file}' has {len(lines) or 'no'} lines; allowed: {allowed}")
