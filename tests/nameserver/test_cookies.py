"""DNS cookies: the vectors of RFC 9018, what is valid how long, and where the secret is kept."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from siphash24 import siphash24  # type: ignore[import-not-found]
from twisted.trial.unittest import SynchronousTestCase

from appliance.nameserver.cookies import Cookies, CookieState
from appliance.nameserver.sources import source_of

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
ASKER = IPv4Address("198.51.100.100")
CLIENT = bytes.fromhex("2464c4abcf10c957")
MADE_AT = 1559731985
MADE = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")


def at(now: float, secret: bytes = SECRET, previous: bytes | None = None) -> Cookies:
    return Cookies([secret] if previous is None else [secret, previous], lambda: now)


def state(cookies: Cookies, cookie: bytes, asker: IPv4Address | IPv6Address = ASKER) -> CookieState:
    """What a whole cookie proves, of which the first 8 bytes are the client's."""
    return cookies.check(cookie[:8], cookie[8:], asker.packed)


class VectorTests(SynchronousTestCase):
    """RFC 9018 appendix A."""

    def test_a1_learning(self) -> None:
        cookies = at(MADE_AT)
        self.assertEqual(state(cookies, CLIENT), CookieState.CLIENT_ONLY)
        self.assertEqual(CLIENT + cookies.make(CLIENT, ASKER.packed), MADE)

    def test_a2_renewed(self) -> None:
        cookies = at(1559734385)
        self.assertEqual(state(cookies, MADE), CookieState.VALID)
        self.assertEqual(cookies.make(CLIENT, ASKER.packed).hex(), "010000005cf7a871d4a564a1442aca77")

    def test_a3_reserved_bytes(self) -> None:
        """They are part of the hash.  The vector's cookie is 6715 s old, so that by s4.3 it is good no more."""
        asker = IPv4Address("203.0.113.203")
        cookie = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
        self.assertEqual(state(at(1559727985), cookie, asker), CookieState.VALID)
        changed = cookie.replace(b"\xab\xcd\xef", b"\xab\xcd\xee")
        self.assertEqual(state(at(1559727985), changed, asker), CookieState.INVALID)
        cookies = at(1559734700)
        self.assertEqual(state(cookies, cookie, asker), CookieState.INVALID)
        self.assertEqual(cookies.make(cookie[:8], asker.packed).hex(), "010000005cf7a9acf73a7810aca2381e")

    def test_a4_another_secret(self) -> None:
        """IPv6, and a cookie made with the secret before: still good; new ones are made with the new secret."""
        old, new = (bytes.fromhex(h) for h in ("dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"))
        asker = IPv6Address("2001:db8:220:1:59de:d0f4:8769:82b8")
        cookie = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
        cookies = at(1559741961, new, old)
        self.assertEqual(state(cookies, cookie, asker), CookieState.VALID)
        self.assertEqual(cookies.make(cookie[:8], asker.packed).hex(), "010000005cf7c609a6bb79d16625507a")
        self.assertEqual(state(at(1559741961, new), cookie, asker), CookieState.INVALID)


class CookiesTests(SynchronousTestCase):
    def test_lifetime(self) -> None:
        """Good from 5 minutes before its time to 1 hour after it."""
        good = [age for age in (-301, -300, 0, 1800, 3600, 3601) if state(at(MADE_AT + age), MADE) is CookieState.VALID]
        self.assertEqual(good, [-300, 0, 1800, 3600])

    def test_the_clock_of_32_bits_turns_over(self) -> None:
        """In 2106 (RFC 1982)."""
        cookie = CLIENT + at(0xFFFFFFF0).make(CLIENT, ASKER.packed)
        self.assertEqual(state(at((1 << 32) + 60), cookie), CookieState.VALID)
        self.assertEqual(state(at((1 << 32) + 3600), cookie), CookieState.INVALID)
        later = CLIENT + at((1 << 32) + 10).make(CLIENT, ASKER.packed)
        self.assertEqual(state(at((1 << 32) + 60), later), CookieState.VALID)
        self.assertEqual(state(at(0xFFFFFFF0), later), CookieState.VALID)

    def test_whose(self) -> None:
        """Not another address's, not another client cookie's, not of another version, not with a bit changed."""
        cookies = at(MADE_AT)
        self.assertEqual(state(cookies, MADE, ASKER + 1), CookieState.INVALID)
        for place in (0, 8, 9, 15, 16, 23):
            changed = bytearray(MADE)
            changed[place] ^= 1
            self.assertEqual(state(cookies, bytes(changed)), CookieState.INVALID, place)

    def test_another_version(self) -> None:
        """Is none of ours, though its hash were right."""
        for version, expected in ((1, CookieState.VALID), (2, CookieState.INVALID)):
            head = CLIENT + bytes([version]) + MADE[9:16]
            cookie = head + siphash24(head + ASKER.packed, key=SECRET).digest()
            self.assertEqual(state(at(MADE_AT), cookie), expected)

    def test_lengths(self) -> None:
        """Any that RFC 7873 allows may be another server's; only ours has 16 bytes."""
        for size in range(8, 33):
            cookie = (MADE + b"\0" * 16)[: 8 + size]
            expected = CookieState.VALID if size == 16 else CookieState.INVALID
            self.assertEqual(state(at(MADE_AT), cookie), expected, size)

    def test_sources(self) -> None:
        """One address is one asker, by whichever kind of socket it came."""
        self.assertEqual(source_of("192.0.2.1"), IPv4Address("192.0.2.1"))
        self.assertEqual(source_of("::ffff:192.0.2.1"), IPv4Address("192.0.2.1"))
        self.assertEqual(source_of("fe80::1%eth0"), IPv6Address("fe80::1"))
