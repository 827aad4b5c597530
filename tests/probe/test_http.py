"""Pages over HTTP: what ends a body, what is right, and what a hostile server can send."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Cause, Load, Probe, ProbeType, Row, Rows
from appliance.peering import load_json, rows_json
from appliance.probe.http import MOST_HEAD_BYTES, Http, request
from appliance.probe.pages import LoadPage, RowsPage
from tests.probe.talking import PLACES, cause_of, same_however_cut, talk


def page(**more: object) -> Http:
    keys: dict[str, object] = {"expect": ((200, 299),), "most_bytes": 100, **more}
    return Http.of(Probe(name="web", type=ProbeType.HTTP, **keys), "192.0.2.1:8080")  # type: ignore[arg-type]


def answer(*fields: str, code: str = "200 OK", body: bytes = b"") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {code}", *fields, "")).encode() + body


CHUNKED = answer("Transfer-Encoding: chunked", body=b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n")


class RequestTests(SynchronousTestCase):
    def test_what_is_asked(self) -> None:
        said, _ = talk(page(path="/healthz?x"), [], ends=False)
        first, host, *fields = said.decode().split("\r\n")
        self.assertEqual((first, host), ("GET /healthz?x HTTP/1.1", "Host: 192.0.2.1:8080"))
        self.assertIn("Connection: close", fields)
        self.assertEqual(fields[-2:], ["", ""])

    def test_the_configured_host_counts(self) -> None:
        said, _ = talk(page(host="a.example"), [], ends=False)
        self.assertIn(b"GET / HTTP/1.1\r\nHost: a.example\r\n", said)

    def test_nothing_can_begin_another_line(self) -> None:
        for path, host in (("/\r\nX: y", "a"), ("/ HTTP/1.1", "a"), ("/", "a\nX: y"), ("/\0", "a")):
            self.assertRaises(ValueError, request, "GET", path, host)


class AnswerTests(SynchronousTestCase):
    def check(self, expected: Cause | None, *pieces: bytes, ends: bool = True, **more: object) -> None:
        self.assertIs(cause_of(page(**more), *pieces, ends=ends), expected)

    def test_the_code_decides(self) -> None:
        empty = ("Content-Length: 0",)
        self.check(Cause.OK, answer(*empty))
        self.check(Cause.STATUS, answer(*empty, code="503 Service Unavailable"))
        self.check(Cause.STATUS, answer(*empty, "Location: /", code="302 Found"))
        self.check(Cause.OK, answer(*empty, "Location: /", code="302 Found"), expect=((200, 200), (300, 302)))

    def test_the_detail_is_the_status(self) -> None:
        _, found = talk(page(), [answer("Content-Length: 9", code="503 Go\x1b away")])
        assert found is not None
        self.assertEqual(found.detail, "503 Go? away")

    def test_a_body_has_its_own_end(self) -> None:
        """The connection may stay open: a check does not wait for its end."""
        self.check(Cause.OK, answer("content-length: 3", body=b"abc"), ends=False)
        self.check(Cause.OK, answer("Content-Length: 3, 3", body=b"abc"), ends=False)
        self.check(Cause.OK, CHUNKED, ends=False)
        self.check(Cause.OK, answer(code="204 No Content"), ends=False)
        self.check(None, answer("Content-Length: 4", body=b"abc"), ends=False)
        self.check(None, answer(body=b"abc"), ends=False)

    def test_or_ends_with_the_connection(self) -> None:
        self.check(Cause.OK, answer(body=b"abc"))
        self.check(Cause.OK, answer("Transfer-Encoding: gzip", body=b"abc"))
        self.check(Cause.CLOSED, answer("Content-Length: 4", body=b"abc"))
        self.check(Cause.CLOSED, CHUNKED[:-2])
        self.check(Cause.CLOSED, b"HTTP/1.1 200 OK\r\nContent-")
        self.check(Cause.CLOSED)

    def test_no_more_than_allowed_is_read(self) -> None:
        self.check(Cause.TOO_LONG, answer("Content-Length: 101"), ends=False)
        self.check(Cause.OK, answer("Content-Length: 100", body=b"x" * 100), ends=False)
        self.check(Cause.TOO_LONG, answer("Transfer-Encoding: chunked", body=b"65\r\n"), ends=False)
        self.check(Cause.TOO_LONG, answer("Transfer-Encoding: chunked", body=b"1;" + b"x" * 2000), ends=False)
        self.check(Cause.TOO_LONG, answer(body=b"x" * 101), ends=False)
        self.check(Cause.OK, answer(body=b"x" * 100))

    def test_endless_heads_end(self) -> None:
        self.check(Cause.TOO_LONG, answer("X: " + "x" * MOST_HEAD_BYTES), ends=False)
        self.check(Cause.TOO_LONG, answer(code="100 Continue") * 4000, ends=False)
        self.check(Cause.TOO_LONG, b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 20_000, ends=False)
        trailers = answer("Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 5000)
        self.check(Cause.TOO_LONG, trailers, ends=False)

    def test_interim_answers_are_read_over(self) -> None:
        self.check(Cause.OK, answer(code="100 Continue") + answer(code="103 Early Hints") + answer("Content-Length: 0"))
        self.check(None, answer(code="102 Processing"), ends=False)
        self.check(Cause.STATUS, answer(code="101 Switching Protocols"), ends=False)

    def test_what_is_not_http(self) -> None:
        for said in (
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 99 x\r\n\r\n",
            b"HTTP/1.1 2000 x\r\n\r\n",
            answer("no colon"),
            answer("Content-Length: 3", "Content-Length: 4"),
            answer("Content-Length: -1"),
            answer("Content-Length: " + "9" * 5000),
            answer("Transfer-Encoding: chunked", body=b"x\r\n"),
            answer("Transfer-Encoding: chunked", body=b"1\r\nabc\r\n"),
        ):
            self.check(Cause.PROTOCOL, said, ends=False)

    def test_garbage_is_known_by_its_first_byte(self) -> None:
        self.check(Cause.PROTOCOL, b"x", ends=False)
        self.check(None, b"HTTP", ends=False)

    def test_the_body_has_to_contain(self) -> None:
        self.check(Cause.OK, answer("Content-Length: 9", body=b"all is ok"), contains="is ok")
        self.check(Cause.CONTENT, answer("Content-Length: 9", body=b"all is no"), contains="is ok")
        self.check(Cause.OK, CHUNKED, contains="abcde")
        self.check(Cause.CONTENT, answer(code="204 No Content"), contains="x")

    def test_bare_line_feeds_are_understood(self) -> None:
        self.check(Cause.OK, b"HTTP/1.0 200\nContent-Length: 1\n\nx", ends=False)

    @settings(max_examples=150)
    @given(
        data=st.sampled_from(
            [
                CHUNKED,
                answer("Content-Length: 3", body=b"abc"),
                answer(body=b"abc"),
                answer("Content-Length: 3", body=b"ab"),
                answer("Content-Length: 101"),
                answer(body=b"x" * 101),
                answer("Content-Length: 3", body=b"abc", code="503 No"),
                answer(code="100 Continue") + CHUNKED,
                b"HTTP/1.0 200\n\nabcde",
                b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
            ]
        ),
        places=PLACES,
        contains=st.sampled_from(["", "abc", "nothing"]),
    )
    def test_pieces_make_no_difference(self, data: bytes, places: list[int], contains: str) -> None:
        same_however_cut(lambda: page(contains=contains), data, places)

    @settings(max_examples=150)
    @given(
        head=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", CHUNKED[:47], CHUNKED, answer("Content-Length: 5")]),
        garbage=st.one_of(st.binary(max_size=60), st.text("0123456789abc;:\r\n -", max_size=60).map(str.encode)),
        places=PLACES,
    )
    @example(head=b"HTTP/1.1 200 OK\r\n", garbage=b"\n\n", places=[])
    def test_garbage_is_a_finding_however_it_is_cut(self, head: bytes, garbage: bytes, places: list[int]) -> None:
        same_however_cut(page, head + garbage, places)


class PageTests(SynchronousTestCase):
    def load(self, body: bytes, code: str = "200 OK") -> tuple[Cause, Load | None]:
        said = answer(f"Content-Length: {len(body)}", code=code, body=body)
        found = talk(LoadPage.of(Probe(name="load", type=ProbeType.LOAD, path="/load"), "a"), [said])[1]
        assert found is not None
        return found.cause, found.load

    def test_a_load_is_read(self) -> None:
        load = Load(cpu=0.5, connections=3)
        self.assertEqual(self.load(load_json(load)), (Cause.OK, load))
        self.assertEqual(self.load(b"{}"), (Cause.OK, Load()))

    def test_anything_else_is_content(self) -> None:
        for body in (b"", b"[]", b'{"cpu": -1}', b'{"cpu": NaN}', b'{"cpu": "1"}', b"\xff", b"[" * 100_000):
            self.assertEqual(self.load(body), (Cause.CONTENT, None))
        self.assertEqual(self.load(b"{}", "500 No"), (Cause.STATUS, None))

    def rows(self, body: bytes, code: str = "200 OK") -> tuple[Cause, Rows | None]:
        said = answer(f"Content-Length: {len(body)}", code=code, body=body)
        found = talk(RowsPage(request("GET", "/rows", "a")), [said])[1]
        assert found is not None
        return found.cause, found.rows

    def test_rows_are_read(self) -> None:
        rows = Rows(observer="ams1", epoch=3, version=4, age=0.5, rows=(Row(pop="fra1", up=True, latency=0.01),))
        self.assertEqual(self.rows(rows_json(rows)), (Cause.OK, rows))

    def test_other_rows_are_not(self) -> None:
        self.assertEqual(self.rows(b'{"observer": "ams1"}'), (Cause.CONTENT, None))
        self.assertEqual(self.rows(b"", "304 Not Modified"), (Cause.STATUS, None))
        self.assertEqual(self.rows(b"x" * (1 << 20) + b"x"), (Cause.TOO_LONG, None))
