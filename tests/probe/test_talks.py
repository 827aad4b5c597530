"""Conversations of commands and replies: SMTP and FTP."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Cause
from appliance.probe.ftp import Ftp
from appliance.probe.replies import MOST_TALK_BYTES
from appliance.probe.smtp import Smtp
from tests.probe.talking import PLACES, cause_of, cut, same_however_cut, talk


def ftp(user: str = "", path: str = "", contains: str = "", *, transfer: bool = False) -> Ftp:
    return Ftp(user, "secret", path, contains.encode(), 100, transfer=transfer)


class SmtpTests(SynchronousTestCase):
    def test_the_whole_talk(self) -> None:
        said, found = talk(
            Smtp("a.example", b""), [b"220-mail\r\n220 ready\r\n", b"250-hello\r\n250 SIZE 5\r\n", b"221 \r\n"]
        )
        self.assertEqual(said, b"EHLO a.example\r\nQUIT\r\n")
        assert found is not None
        self.assertEqual((found.cause, found.detail), (Cause.OK, "250 hello"))

    def test_without_a_name_it_says_its_own_address(self) -> None:
        self.assertEqual(talk(Smtp("", b""), [b"220 x\r\n"])[0], b"EHLO [192.0.2.99]\r\n")
        old = Smtp("", b"")
        old.opened("2001:db8::1")
        self.assertEqual(old.receive(b"220 x\r\n"), b"EHLO [IPv6:2001:db8::1]\r\n")

    def test_an_old_server_is_greeted_in_the_old_way(self) -> None:
        said, found = talk(Smtp("a", b""), [b"220 x\r\n502 what\r\n250 hello\r\n"])
        self.assertEqual(said, b"EHLO a\r\nHELO a\r\nQUIT\r\n")
        assert found is not None
        self.assertIs(found.cause, Cause.OK)

    def test_findings(self) -> None:
        for said, contains, cause in (
            (b"220 x\r\n250 y\r\n", b"", Cause.OK),
            (b"220 x\r\n250 y\r\n", b"z", Cause.CONTENT),
            (b"554 go away\r\n", b"", Cause.STATUS),
            (b"220 x\r\n421 busy\r\n", b"", Cause.STATUS),
            (b"220 x\r\n502 y\r\n502 z\r\n", b"", Cause.STATUS),
            (b"220 x\r\n", b"", Cause.CLOSED),
            (b"220-x\r\n220 no end of a line", b"", Cause.CLOSED),
            (b"", b"", Cause.CLOSED),
            (b"SSH-2.0\r\n", b"", Cause.PROTOCOL),
            (b"HTTP", b"", Cause.PROTOCOL),
            (b"220x\r\n", b"", Cause.PROTOCOL),
            (b"220-x\r\n" * 20_000, b"", Cause.TOO_LONG),
            (b"220 " + b"x" * MOST_TALK_BYTES, b"", Cause.TOO_LONG),
        ):
            self.assertIs(cause_of(Smtp("a", contains), said), cause, said[:40])

    def test_the_good_bye_is_waited_for_and_may_be_anything(self) -> None:
        talking = Smtp("a", b"")
        talking.opened("192.0.2.1")
        talking.receive(b"220 x\r\n250 y\r\n")
        self.assertTrue(talking.finding and talking.leaving)
        self.assertEqual(talking.receive(b"garbage\r\n"), b"")
        assert talking.finding is not None
        self.assertEqual((talking.finding.cause, talking.leaving), (Cause.OK, False))

    def test_a_name_cannot_be_a_command(self) -> None:
        self.assertRaises(ValueError, Smtp, "a\r\nMAIL FROM:<>", b"")

    @settings(max_examples=100)
    @given(
        data=st.one_of(
            st.sampled_from(
                [b"220-x\r\n220 y\r\n250-a\r\n250 b\r\n221 z\r\n", b"220 x\n502 y\n250 z\n", b"421 x\r\n", b"22x\r\n"]
            ),
            st.binary(max_size=40),
            st.text("25-0 1\r\nx", max_size=60).map(str.encode),
        ),
        places=PLACES,
    )
    def test_pieces_make_no_difference(self, data: bytes, places: list[int]) -> None:
        same_however_cut(lambda: Smtp("a", b""), data, places)


SIZE = [
    b"220 hi\r\n",
    b"331 who\r\n",
    b"230-in\r\n free text\r\n230 so\r\n",
    b"200 ok\r\n",
    b"213 7\r\n",
    b"221 bye\r\n",
]


class FtpTests(SynchronousTestCase):
    def test_the_banner_alone(self) -> None:
        self.assertEqual(talk(ftp(), [b"220-a\r\nb\r\n 220 c\r\n220 d\r\n"])[0], b"QUIT\r\n")
        self.assertIs(cause_of(ftp(), b"120 wait\r\n220 x\r\n"), Cause.OK)
        self.assertIs(cause_of(ftp(), b"421 too many\r\n"), Cause.STATUS)
        self.assertIs(cause_of(ftp(contains="pro"), b"220 x\r\n"), Cause.CONTENT)
        self.assertIs(cause_of(ftp(contains="pro"), b"220-x\r\n a\r\n220 my pro\r\n"), Cause.OK)

    def test_the_size_of_a_file(self) -> None:
        said, found = talk(ftp("me", "/a b"), SIZE)
        self.assertEqual(said, b"USER me\r\nPASS secret\r\nTYPE I\r\nSIZE /a b\r\nQUIT\r\n")
        assert found is not None
        self.assertEqual((found.cause, found.detail), (Cause.OK, "213 7 bytes"))

    def test_a_log_in_alone(self) -> None:
        self.assertEqual(talk(ftp("me"), [b"220 x\r\n", b"230 in\r\n"])[0], b"USER me\r\nQUIT\r\n")

    def test_each_refusal_is_a_status(self) -> None:
        for count in range(1, 5):
            _, found = talk(ftp("me", "/a"), [*SIZE[:count], b"530 no\r\n"])
            assert found is not None
            self.assertEqual((found.cause, found.detail), (Cause.STATUS, "530 no"))
        self.assertIs(cause_of(ftp("me", "/a"), *SIZE[:4], b"213 large\r\n"), Cause.PROTOCOL)

    def fetched(self, *passive: bytes) -> tuple[Ftp, bytes]:
        """Up to the port."""
        fetching = ftp("me", "/a", transfer=True)
        said = [fetching.receive(piece) for piece in (*SIZE[:4], *passive)]
        return fetching, said[-1]

    def test_a_file_is_fetched(self) -> None:
        fetching, _ = self.fetched(b"229 come (|||4097|)\r\n")
        self.assertEqual(fetching.data_port, 4097)
        self.assertEqual(fetching.data_opened(), b"RETR /a\r\n")
        fetching.receive(b"150 here\r\n")
        fetching.data_received(60)
        self.assertEqual(fetching.receive(b"226 done\r\n"), b"")
        self.assertIsNone(fetching.finding)  # its last bytes may still be under way
        fetching.data_received(40)
        self.assertEqual(fetching.data_ended(), b"QUIT\r\n")
        assert fetching.finding is not None
        self.assertEqual((fetching.finding.cause, fetching.finding.detail), (Cause.OK, "100 bytes; 226 done"))

    def test_a_file_may_end_before_its_reply(self) -> None:
        fetching, _ = self.fetched(b"229 (|||1|)\r\n")
        fetching.data_opened()
        self.assertEqual(fetching.data_ended(), b"")
        self.assertEqual(fetching.receive(b"150 here\r\n226 done\r\n"), b"QUIT\r\n")

    def test_the_address_of_pasv_does_not_count(self) -> None:
        """A target does not send its checker elsewhere."""
        fetching, asked = self.fetched(b"500 EPSV?\r\n")
        self.assertEqual(asked, b"PASV\r\n")
        fetching.receive(b"227 Entering (10,0,0,1,16,1).\r\n")
        self.assertEqual(fetching.data_port, 4097)

    def test_ports_that_are_none(self) -> None:
        for passive, cause in (
            (b"229 (|||0|)\r\n", Cause.PROTOCOL),
            (b"229 (|||65536|)\r\n", Cause.PROTOCOL),
            (b"229 ?\r\n", Cause.PROTOCOL),
            (b"425 no\r\n", Cause.STATUS),
            (b"500 x\r\n500 y\r\n", Cause.STATUS),
            (b"500 x\r\n227 (1,2,3,4,999,1)\r\n", Cause.PROTOCOL),
        ):
            fetching, _ = self.fetched(passive)
            assert fetching.finding is not None
            self.assertEqual((fetching.finding.cause, fetching.data_port), (cause, 0), passive)

    def test_what_goes_wrong_with_a_file(self) -> None:
        fetching, _ = self.fetched(b"229 (|||1|)\r\n")
        fetching.data_opened()
        fetching.data_received(101)
        assert fetching.finding is not None
        self.assertIs(fetching.finding.cause, Cause.TOO_LONG)
        fetching, _ = self.fetched(b"229 (|||1|)\r\n")
        self.assertEqual(fetching.data_failed("refused"), b"QUIT\r\n")
        assert fetching.finding is not None
        self.assertIs(fetching.finding.cause, Cause.CLOSED)
        fetching, _ = self.fetched(b"229 (|||1|)\r\n")
        fetching.data_opened()
        fetching.receive(b"550 no such file\r\n")
        assert fetching.finding is not None
        self.assertIs(fetching.finding.cause, Cause.STATUS)
        fetching, _ = self.fetched(b"229 (|||1|)\r\n226 already?\r\n")
        assert fetching.finding is not None
        self.assertIs(fetching.finding.cause, Cause.PROTOCOL)

    def test_a_path_cannot_be_a_command(self) -> None:
        for words in (("me\r\nDELE x", ""), ("me", "/a\nDELE x")):
            self.assertRaises(ValueError, ftp, *words)

    @settings(max_examples=100)
    @given(places=PLACES, garbage=st.one_of(st.just(b""), st.text("2350 -\r\nx", max_size=40).map(str.encode)))
    def test_pieces_make_no_difference(self, places: list[int], garbage: bytes) -> None:
        data = b"".join(SIZE)
        pieces = cut(data, places)
        same_however_cut(lambda: ftp("me", "/a"), data, places)
        same_however_cut(lambda: ftp("me", "/a"), pieces[0] + garbage, places)
