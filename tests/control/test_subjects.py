"""How people name servers and virtual servers."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.control.subjects import REAL, VIRTUAL, Subject, Subjects
from appliance.errors import RequestError
from tests.control.world import MAIL, WWW, World, server


class SubjectTests(SynchronousTestCase):
    world = World()

    def found(self, world: World, text: str, kind: str = "") -> tuple[str, str]:
        subject = Subjects(world.state).either(text, kind)
        return subject.kind, subject.name

    def refused(self, world: World, text: str, kind: str = "") -> tuple[str, str]:
        with self.assertRaises(RequestError) as caught:
            Subjects(world.state).either(text, kind)
        return caught.exception.code, str(caught.exception)

    def test_by_site(self) -> None:
        """Port and bind id are 0 where they are not said; case and a last dot do not matter."""
        world = World()
        for text, name in (
            ("www.example.test", "www.example.test:0:0"),
            ("WWW.example.TEST.:80", "www.example.test:80:0"),
            ("www.example.test:80:1", "www.example.test:80:1"),
            ("www.example.test:53/udp:1", "www.example.test:53/udp:1"),
            ("www.example.test:0:2", "www.example.test:0:2"),
        ):
            self.assertEqual(self.found(world, text), (VIRTUAL, name))

    def test_by_server(self) -> None:
        """Its name, or its address as far as that says which one is meant."""
        world = World()
        for text in ("alpha", "10.0.0.1", "10.0.0.1:80"):
            self.assertEqual(self.found(world, text), (REAL, "alpha"))
        world.configure(attrs.evolve(WWW, servers=(*WWW.servers, server("gamma", 1, port=81))))
        self.assertEqual(self.found(world, "10.0.0.1:81"), (REAL, "gamma"))
        code, message = self.refused(world, "10.0.0.1")
        self.assertEqual(code, "ambiguous")
        self.assertIn("alpha, gamma", message)

    def test_by_leased_address(self) -> None:
        """It is the site that holds it: by lease, or for good; a cooling one is nobody's."""
        world = World()
        address = world.lease(WWW.name)
        self.assertEqual(self.found(world, address), (VIRTUAL, "www.example.test:0:0"))
        self.assertEqual(self.found(world, f"{address}:80:1"), (VIRTUAL, "www.example.test:80:1"))
        code, message = self.refused(world, f"{address}:25")
        self.assertEqual((code, message), ("not-found", f"no site at {address} has that port; there is {WWW.name}"))
        world.clock.advance(11)
        world.state.reclaim(limit=9)
        self.assertEqual(self.refused(world, f"{address}:80:1")[0], "not-found")
        world.clock.advance(60)
        world.state.reclaim(limit=9)
        world.state.by_hand.pin(MAIL.name, world.pool.addresses[0])
        self.assertEqual(self.found(world, f"{world.pool.addresses[0]}:25"), (VIRTUAL, "mail.example.test:25:0"))

    def test_a_shared_address(self) -> None:
        """The port says whose it is; without one the sites are listed."""
        world = World(sharing=True)
        address = world.lease(WWW.name)
        self.assertEqual(world.lease(MAIL.name), address)
        self.assertEqual(self.found(world, f"{address}:25"), (VIRTUAL, "mail.example.test:25:0"))
        self.assertEqual(self.found(world, f"{address}:53/udp"), (VIRTUAL, "www.example.test:53/udp:0"))
        self.assertEqual(self.refused(world, f"{address}:53", VIRTUAL)[0], "not-found")
        code, message = self.refused(world, address)
        self.assertEqual(code, "ambiguous")
        self.assertIn("mail.example.test, www.example.test", message)

    def test_a_name_that_is_both(self) -> None:
        """It has to be said which one is meant."""
        world = World(sites=(attrs.evolve(WWW, servers=(server("www.example.test", 1),)),))
        code, message = self.refused(world, "www.example.test")
        self.assertEqual(code, "ambiguous")
        self.assertIn("'real www.example.test'", message)
        self.assertEqual(self.found(world, "www.example.test", REAL), (REAL, "www.example.test"))
        self.assertEqual(self.found(world, "www.example.test", VIRTUAL), (VIRTUAL, "www.example.test:0:0"))
        self.assertEqual(self.refused(world, "www.example.test", "both")[0], "invalid")

    def test_nobody(self) -> None:
        """The words say what to look at."""
        world = World()
        for text, words in (
            ("nobody", "'appliance servers'"),
            ("10.0.0.77", "'appliance servers'"),
            ("2001:db8::1", "'appliance servers'"),
            ("no.example.test:80", "there is mail.example.test"),
            (
                "192.0.2.1:80",
                "no server 192.0.2.1:80, which 'appliance real 192.0.2.1:80 in-service' makes; nobody holds",
            ),
            ("www.example.test:81", "there is www.example.test:53/udp:0"),
        ):
            code, message = self.refused(world, text)
            self.assertEqual(code, "not-found", text)
            self.assertIn(words, message)
        self.assertEqual(self.refused(world, "www.example.test:x")[0], "invalid")
        self.assertIn("there is alpha", self.refused(world, "nobody", REAL)[1])

    @settings(deadline=None, derandomize=True, database=None, max_examples=200)
    @given(st.text(alphabet="a.:0123456789/udp[]www.exmplts -\u00e9", max_size=24))
    def test_whatever_is_written(self, text: str) -> None:
        """A subject, or an error for people."""
        subjects = Subjects(self.world.state)
        for find in (subjects.real, subjects.virtual, subjects.either):
            try:
                self.assertIsInstance(find(text), Subject)
            except RequestError as error:
                self.assertTrue(str(error))


class CoverTests(SynchronousTestCase):
    def test_port_0_is_all_of_a_bind_id(self) -> None:
        everything = Subject(VIRTUAL, "a.test:0:1")
        udp = Subject(VIRTUAL, "a.test:0/udp:1")
        one = Subject(VIRTUAL, "a.test:80:1")
        for name, expected in (
            ("a.test:80:1", (True, False, True)),
            ("a.test:53/udp:1", (True, True, False)),
            ("a.test:80/udp:1", (True, True, False)),
            ("a.test:0:1", (True, False, False)),
            ("a.test:80:0", (False, False, False)),
            ("b.test:80:1", (False, False, False)),
        ):
            self.assertEqual(tuple(each.covers(name) for each in (everything, udp, one)), expected, name)
