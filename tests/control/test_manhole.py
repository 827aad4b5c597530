"""The prompt of the manhole, and verbs that take a while."""

from __future__ import annotations

from twisted.conch.insults.insults import ServerProtocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from appliance.control.manhole import Prompt

CTRL_C, CTRL_D = b"\x03", b"\x04"


class PromptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.later: Deferred[str] = Deferred()
        self.other: Deferred[str] = Deferred()
        namespace = {"later": lambda: self.later, "other": lambda: self.other, "now": lambda: succeed("at once")}
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
        self.assertRegex(self.said(), rb"(?s)ValueError.*: it went wrong\r\n.*>>> 2 \+ 2\r\n4\r\n>>> \x1bc$")
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_several_in_one_line(self) -> None:
        self.assertEqual(self.type(b"later(); now(); other()\r"), b"later(); now(); other()\r\nat once\r\n")
        self.type(b"3\r")
        self.other.callback("second")
        self.assertEqual(self.said(), b"second\r\n")
        self.later.callback("first")
        self.assertEqual(self.said(), b"first\r\n>>> 3\r\n3\r\n>>> ")

    def test_enough_of_waiting(self) -> None:
        """What comes of it later is nobody's any more."""
        self.type(b"later()\r1\r")
        self.assertEqual(self.type(CTRL_C), b"still under way\r\n>>> ")
        self.type(b"other()\r")
        self.later.callback("late")
        self.assertIsNone(self.successResultOf(self.later))
        self.assertEqual(self.said(), b"")
        self.other.callback("second")
        self.assertEqual(self.said(), b"second\r\n>>> ")

    def test_what_cannot_be_shown(self) -> None:
        class Bad:
            def __str__(self) -> str:
                raise KeyError

        self.type(b"later()\r")
        self.later.callback(Bad())  # type: ignore[arg-type]
        self.assertEqual(self.said(), b"Bad, which cannot be shown: KeyError\r\n>>> ")

    def test_what_is_done_at_once(self) -> None:
        self.assertEqual(self.type(b"now()\r"), b"now()\r\nat once\r\n>>> ")
        self.assertEqual(self.type(b"for _ in [1]:\r"), b"for _ in [1]:\r\n... ")

    def test_who_has_left_is_not_told(self) -> None:
        self.type(b"later()\r")
        self.server.connectionLost(Failure(ConnectionDone()))
        self.later.callback("done")
        self.assertEqual(self.said(), b"")
