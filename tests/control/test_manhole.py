"""The prompt of the manhole, and verbs that take a while."""

from __future__ import annotations

from twisted.conch.insults.insults import ServerProtocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from appliance.control.manhole import Prompt

CTRL_D = b"\x04"


class PromptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.later: Deferred[str] = Deferred()
        namespace = {"later": lambda: self.later, "now": lambda: succeed("at once")}
        self.transport = StringTransport()
        self.server = ServerProtocol(Prompt, namespace=namespace)
        self.server.makeConnection(self.transport)
        self.said()

    def said(self) -> bytes:
        """Since the last time."""
        said: bytes = self.transport.value()
        self.transport.clear()
        return said

    def type(self, data: bytes) -> bytes:
        self.server.dataReceived(data)
        return self.said()

    def test_what_is_typed_meanwhile_is_heard_after_it(self) -> None:
        self.assertEqual(self.type(b"later()\r"), b"later()\r\n")
        self.assertEqual(self.type(b"1 + 1\rlater()\r2 + 2\r" + CTRL_D), b"")
        first, self.later = self.later, Deferred()
        first.callback("one\ntwo")
        self.assertEqual(self.said(), b"one\r\ntwo\r\n>>> 1 + 1\r\n2\r\n>>> later()\r\n")
        self.assertFalse(self.transport.disconnecting)
        self.later.errback(Failure(ValueError("it went wrong")))
        self.assertEqual(self.said(), b"it went wrong\r\n>>> 2 + 2\r\n4\r\n>>> \x1bc")
        self.assertTrue(self.transport.disconnecting)

    def test_what_is_done_at_once(self) -> None:
        self.assertEqual(self.type(b"now()\r"), b"now()\r\nat once\r\n>>> ")
        self.assertEqual(self.type(b"for _ in [1]:\r"), b"for _ in [1]:\r\n... ")

    def test_who_has_left_is_not_told(self) -> None:
        self.type(b"later()\r")
        self.server.connectionLost(Failure(ConnectionDone()))
        self.later.callback("done")
        self.assertEqual(self.said(), b"")
