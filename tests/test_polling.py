"""An epoll of its own: who is called, when, and what a bug of one does to the others."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from appliance.polling import MOST_EVENTS, Poll


class FakeReactor:
    """Knows who reads."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


@implementer(IReadWriteDescriptor)
class End:
    """One end of a pair of sockets; notes what it was told."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fileno = sock.fileno
        self.told: list[str] = []
        self.reasons: list[Failure] = []
        self.when_read: Callable[[], object] = lambda: None

    def doRead(self) -> None:
        self.told.append("read")
        self.when_read()

    def doWrite(self) -> None:
        self.told.append("write")

    def connectionLost(self, reason: Failure) -> None:
        self.told.append("lost")
        self.reasons.append(reason)

    def logPrefix(self) -> str:
        return "end"


class PollTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.poll = Poll(self.reactor)

    def pair(self) -> tuple[End, socket.socket]:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        return End(ours), theirs

    def test_a_reader(self) -> None:
        end, peer = self.pair()
        self.poll.addReader(end)
        self.poll.doRead()
        peer.send(b"x")
        self.poll.doRead()
        self.poll.doRead()
        self.poll.removeReader(end)
        self.poll.removeReader(end)
        self.poll.doRead()
        self.assertEqual(end.told, ["read", "read"])

    def test_a_writer(self) -> None:
        end, peer = self.pair()
        self.poll.addWriter(end)
        self.poll.addReader(end)
        peer.send(b"x")
        self.poll.doRead()
        self.poll.removeWriter(end)
        self.poll.doRead()
        self.assertEqual(end.told, ["read", "write", "read"])

    def test_the_reactor_knows_it_while_somebody_is_here(self) -> None:
        (one, _), (other, _) = self.pair(), self.pair()
        self.poll.addReader(one)
        self.poll.addWriter(one)
        self.poll.addReader(other)
        self.assertEqual((self.reactor.readers, len(self.poll)), ([self.poll], 2))
        self.poll.removeReader(other)
        self.poll.removeReader(one)
        self.assertEqual(self.reactor.readers, [self.poll])
        self.poll.removeWriter(one)
        self.assertEqual((self.reactor.readers, len(self.poll)), ([], 0))

    def test_one_that_is_about_to_be_closed(self) -> None:
        end, peer = self.pair()
        self.poll.addReader(end)
        peer.send(b"x")
        self.poll.forget(end)
        self.poll.forget(end)
        self.poll.doRead()
        self.assertEqual((end.told, self.reactor.readers), ([], []))

    def test_a_hang_up(self) -> None:
        """Who does not read hears of it once, and is here no more; who reads finds it by reading."""
        writer, reader = self.pair(), self.pair()
        full = bytes(1 << 20)
        for end, peer in (writer, reader):
            end.sock.send(full)
            peer.close()
        self.poll.addWriter(writer[0])
        self.poll.addReader(reader[0])
        self.poll.doRead()
        self.poll.doRead()
        self.assertEqual(reader[0].told, ["read", "read"])
        self.assertEqual(writer[0].told, ["lost"])
        self.assertIsNotNone(writer[0].reasons[0].check(ConnectionLost))
        self.assertEqual(len(self.poll), 1)

    def test_a_bug_of_one(self) -> None:
        (bad, peer), (good, other) = self.pair(), self.pair()
        bad.when_read = lambda: 1 / 0
        for end, sender in ((bad, peer), (good, other)):
            self.poll.addReader(end)
            sender.send(b"x")
        self.poll.doRead()
        self.poll.doRead()
        self.assertEqual((bad.told, good.told), (["read", "lost"], ["read", "read"]))
        self.assertIsNotNone(bad.reasons[0].check(ZeroDivisionError))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_number_that_is_given_out_again(self) -> None:
        """An event of a closed descriptor does not reach its owner; its heir may be called for nothing."""
        (first, peer), (second, other) = self.pair(), self.pair()
        heirs: list[End] = []

        def replace() -> None:
            if heirs:
                return
            victim = second if first.told else first
            number = victim.fileno()
            self.poll.removeReader(victim)
            victim.sock.close()
            heir, _ = self.pair()
            self.assertEqual(heir.fileno(), number)
            self.poll.addReader(heir)
            heirs.append(heir)

        for end, sender in ((first, peer), (second, other)):
            end.when_read = replace
            self.poll.addReader(end)
            sender.send(b"x")
        self.poll.doRead()
        self.assertEqual(sorted([first.told, second.told]), [[], ["read"]])
        self.assertIn(heirs[0].told, ([], ["read"]))

    def test_two_owners_of_one_number(self) -> None:
        end, _ = self.pair()
        self.poll.addReader(end)
        error = self.assertRaises(ValueError, self.poll.addReader, End(end.sock))
        self.assertIn(f"descriptor {end.fileno()}", str(error))

    def test_leaving_what_one_is_not_in(self) -> None:
        end, peer = self.pair()
        self.poll.addReader(end)
        peer.send(b"x")
        self.poll.removeWriter(end)
        self.poll.removeReader(End(end.sock))
        self.poll.doRead()
        self.assertEqual(end.told, ["read"])

    def test_one_turn_takes_some_and_the_next_the_others(self) -> None:
        ends = []
        for _ in range(MOST_EVENTS + 10):
            end, peer = self.pair()
            peer.send(b"x")
            self.poll.addReader(end)
            ends.append(end)
        self.poll.doRead()
        self.assertEqual(sum(len(end.told) for end in ends), MOST_EVENTS)
        self.poll.doRead()
        self.assertTrue(all(end.told for end in ends))

    def test_the_reactor_gives_it_up(self) -> None:
        """Which it should not; while somebody is here it comes back."""
        end, _ = self.pair()
        self.poll.addReader(end)
        self.reactor.readers.clear()
        self.poll.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.reactor.readers, [self.poll])
        self.assertEqual(len(self.flushLoggedErrors(ConnectionLost)), 1)
