"""The control socket and the manhole's: what a killed process left behind, and another one that answers there."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from appliance.control.socket import PrivateSocket
from appliance.errors import ListenError


class PrivateSocketTests(TestCase):
    def setUp(self) -> None:
        # A short path, for the kernel bounds the names of sockets.
        self.path = Path(tempfile.mkdtemp(prefix="appliance-test-")) / "control.sock"
        self.addCleanup(shutil.rmtree, self.path.parent)
        self.socket = PrivateSocket(reactor, "control.socket", self.path, Factory.forProtocol(Protocol))

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.path)) == 0

    async def test_what_a_killed_process_left(self) -> None:
        """After a power cut its number may be another process's; it is of no account."""
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(self.path))
        self.path.with_name("control.sock.lock").symlink_to(str(os.getppid()))
        self.socket.startService()
        self.assertTrue(self.answers())
        await self.socket.stopService()
        self.assertFalse(self.path.exists())

    def test_somebody_answers_there(self) -> None:
        """It keeps the socket, and the error says what is the matter."""
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(self.path))
            other.listen(0)
            for _ in range(3):  # also when it does not keep up
                with self.assertRaisesRegex(
                    ListenError, "control.socket: .*control.sock: another process listens there"
                ):
                    self.socket.startService()
        self.assertTrue(self.path.is_socket())

    def test_something_else_is_there(self) -> None:
        """A file with that name may be worth something."""
        self.path.write_text("mine")
        with self.assertRaisesRegex(ListenError, "control.sock: Address already in use"):
            self.socket.startService()
        self.assertEqual(self.path.read_text(), "mine")
