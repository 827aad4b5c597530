"""The section ``control``: where the sockets and the manhole are."""

from __future__ import annotations

import os
from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import ManholeSocket, ManholeSSH
from appliance.model import Endpoint
from tests.config import ZONE, faults, read


class ManholeTests(SynchronousTestCase):
    def said(self, keys: str) -> str:
        (said,) = faults(ZONE + f"control: {{manhole: {keys}}}\n")
        return said

    def test_socket(self) -> None:
        for keys, path in {
            "{}": "/nowhere/var/manhole.sock",
            "{socket: x}": "/nowhere/var/x",
            "{socket: /x}": "/x",
        }.items():
            self.assertEqual(read(ZONE + f"control: {{manhole: {keys}}}\n").manhole, ManholeSocket(path))

    def test_ssh(self) -> None:
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        file = os.path.join(folder, "keys")
        text = ZONE + "control: {manhole: {ssh: '127.0.0.1:2222', authorized_keys: keys}}\n"
        self.assertEqual(faults(text, folder), [f"a.yaml:8: control.manhole.authorized_keys: '{file}' is no file"])
        open(file, "w").close()
        self.assertEqual(read(text, folder).manhole, ManholeSSH(Endpoint(IPv4Address("127.0.0.1"), 2222), file))

    def test_wrong(self) -> None:
        for keys in (
            "{ssh: '127.0.0.1:2222'}",
            "{authorized_keys: x}",
            "{socket: x, ssh: '127.0.0.1:1', authorized_keys: x}",
        ):
            self.assertIn("allowed: 'socket' alone, or 'ssh' together with 'authorized_keys'", self.said(keys))
        self.assertIn("found nothing; write {}", self.said(""))
        self.assertIn("too long for a UNIX socket; allowed: 107 bytes", self.said("{socket: %s}" % ("x" * 100)))
        self.assertIn(
            "the socket lies in the state folder",
            faults(ZONE + "appliance: {state_directory: none}\ncontrol: {manhole: {}}\n")[0],
        )


class SocketTests(SynchronousTestCase):
    def test_one_path_for_both(self) -> None:
        """Whoever opens it second would take it from the other."""
        for keys, key in {
            "socket: x, manhole: {socket: x}": "socket",
            "socket: y/../x, manhole: {socket: /nowhere/var/x}": "socket",
            "manhole: {socket: control.sock}": "manhole",
        }.items():
            (said,) = faults(ZONE + f"control: {{{keys}}}\n")
            self.assertTrue(said.startswith(f"a.yaml:8: control.{key}: '/nowhere/var/"), said)
            self.assertIn("is the manhole's socket as well; give each a path of its own", said)
        read(ZONE + "control: {socket: x, manhole: {socket: y}}\n")
