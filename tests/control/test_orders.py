"""What a person changes at run time (5.10), as the API and the commands ask for it."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from appliance.balancing import Refused, Route, Turned, Wait, Why
from appliance.balancing.events import ServerDrained
from appliance.events import Override
from appliance.model import UDP_KEYS
from tests.control.world import CLIENT, PREFERENCES, PREFERRED, WWW, World, server

SITE = WWW.name
SOMEBODY_PREFERRED = int(PREFERRED.network_address) + 7


class RealTests(SynchronousTestCase):
    def test_nothing_is_asked_for(self) -> None:
        """The server is shown, and nothing has changed."""
        world = World()
        answer = world.order("real", real="10.0.0.1:80")
        self.assertEqual((answer["kind"], answer["name"], answer["changed"]), ("real", "alpha", []))
        self.assertEqual([row["server"] for row in answer["items"]], ["alpha"])
        self.assertEqual(world.journal.events, [])

    def test_all_of_it(self) -> None:
        """State and limits; the answer, the rows and the events say what the file has."""
        world = World()
        answer = world.order("real", real="alpha", state="out-of-service", weight=0, threshold=9, max_connections=0)
        self.assertEqual(
            answer["changed"],
            [
                {"setting": "state", "value": "out-of-service", "configured": "in-service"},
                {"setting": "weight", "value": "0", "configured": "1"},
                {"setting": "threshold", "value": "9", "configured": "8"},
                {"setting": "max_connections", "value": "0", "configured": "2"},
            ],
        )
        row = world.server("alpha")
        self.assertEqual(
            [row[key] for key in ("state", "weight", "threshold", "max_connections")], [*("out-of-service", 0, 9, 0)]
        )
        self.assertEqual(row["configured"], {"state": "in-service", "weight": 1, "threshold": 8, "max_connections": 2})
        self.assertEqual(len(world.heard_of(Override)), 4)

    def test_all_or_nothing(self) -> None:
        """One value that is not allowed, and the others do not count either; what was ordered before does."""
        world = World()
        world.order("real", real="alpha", weight=3)
        code, field, message = world.refused("real", real="alpha", weight=5, max_connections=7, threshold=0)
        self.assertEqual((code, field), ("invalid", "threshold"))
        self.assertIn("allowed: 1 to", message)
        self.assertEqual(world.server("alpha")["weight"], 3)
        self.assertEqual(world.overrides(), {("server alpha", "weight"): ("3", "1")})

    def test_wrong_requests(self) -> None:
        world = World()
        for request, field in (
            ({}, "real"),
            ({"real": 7}, "real"),
            ({"real": "alpha", "weight": "5"}, "weight"),
            ({"real": "alpha", "weight": True}, "weight"),
            ({"real": "alpha", "weight": 5.0}, "weight"),
            ({"real": "alpha", "weight": -1}, "weight"),
            ({"real": "alpha", "state": "failed"}, "state"),
            ({"real": "alpha", "wieght": 5}, "wieght"),
            ({"real": "nobody"}, "real"),
        ):
            self.assertEqual(world.refused("real", **request)[1], field, request)
        self.assertIn("whole number", world.refused("real", real="alpha", weight=True)[2])

    def test_as_the_file_says(self) -> None:
        """Ordering what the file has takes the order back: nothing is left to be restored."""
        world = World()
        world.order("real", real="alpha", weight=5)
        answer = world.order("real", real="alpha", weight=1)
        self.assertEqual(answer["changed"], [{"setting": "weight", "value": "1", "configured": "1"}])
        self.assertEqual(world.overrides(), {})

    def test_one_that_the_file_does_not_know(self) -> None:
        """'in-service' makes it of an address; a word that is no address, or another order, does not."""
        world = World()
        self.assertEqual(world.refused("real", real="10.0.0.77:81", state="out-of-service")[:2], ("not-found", "real"))
        self.assertEqual(world.refused("real", real="10.0.0.77:81", weight=4)[:2], ("not-found", "real"))
        self.assertEqual(world.refused("real", real="gamma", state="in-service")[:2], ("not-found", "real"))
        self.assertEqual(world.refused("real", real="10.0.0.77:81", state="in-service", weight=-4)[1], "weight")
        answer = world.order("real", real="10.0.0.77:81", state="in-service", weight=4)
        self.assertEqual([row["setting"] for row in answer["changed"]], ["made", "weight"])
        self.assertEqual(world.server("10.0.0.77:81")["configured"], {"made": "no", "weight": 1})
        world.order("bind", virtual=SITE, real="10.0.0.77")
        self.assertEqual(world.virtual(f"{SITE}:80:0")["servers"], ["alpha", "beta", "10.0.0.77:81"])
        world.order("revert", name="10.0.0.77:81")
        self.assertEqual(world.virtual(f"{SITE}:80:0")["servers"], ["alpha", "beta"])
        self.assertEqual(world.overrides(), {})

    def test_where_none_can_be(self) -> None:
        """At no one's or everyone's address, and at one of ours: what goes there would come back."""
        world = World()
        for address in ("0.0.0.0", "224.0.0.1", "255.255.255.255", "[::]"):
            self.assertEqual(
                world.refused("real", real=f"{address}:81", state="in-service")[:2], ("invalid", "address")
            )
        ours = str(world.pool.addresses[0])
        for place in (ours, f"{ours}:80", f"[::ffff:{ours}]:80"):
            code, field, said = world.refused("real", real=place, state="in-service")
            self.assertEqual((code, field), ("in-use", "real"))
            self.assertIn("traffic to it would come back", said)
        for number in ("99999", "9" * 5000):
            self.assertEqual(world.refused("real", real=f"10.0.0.77:{number}", state="in-service")[0], "not-found")
            self.assertEqual(world.refused("virtual", virtual=f"{SITE}:{number}", state="in-service")[0], "invalid")
        self.assertEqual(world.overrides(), {})


class StateTests(SynchronousTestCase):
    def test_drain(self) -> None:
        """No new connections; the answer says how many are left, and an event when none is."""
        world = World()
        tickets = [world.connect() for _ in range(4)]
        self.assertEqual(world.server("beta")["connections"], 2)
        answer = world.order("drain", name="beta")
        self.assertEqual((answer["connections"], answer["items"][0]["state"]), (2, "draining"))
        for _ in range(3):
            self.assertIsInstance(world.begin(), Wait)
        self.assertEqual(world.heard_of(ServerDrained), [])
        for ticket in tickets:
            world.end(ticket)
        self.assertEqual([event.server for event in world.heard_of(ServerDrained)], ["beta"])
        self.assertEqual(world.order("drain", name="beta")["connections"], 0)
        world.order("in_service", name="beta")
        self.assertEqual(world.server("beta")["state"], "in-service")
        self.assertEqual(world.overrides(), {})

    def test_drain_of_a_virtual_server(self) -> None:
        """It is out of service, and its connections go on."""
        world = World()
        world.connect()
        world.connect(port=53 + UDP_KEYS)
        answer = world.order("drain", name=SITE)
        self.assertEqual((answer["connections"], len(answer["items"])), (2, 2))
        self.assertEqual(world.begin(), Refused(Why.OUT_OF_SERVICE))
        answer = world.order("in_service", name=f"{SITE}:0:0")
        self.assertEqual(answer["connections"], None)
        self.assertIsInstance(world.begin(), Route)

    def test_one_port(self) -> None:
        """The others go on."""
        world = World()
        world.order("out_of_service", name=f"{SITE}:80")
        self.assertEqual(world.begin(), Refused(Why.OUT_OF_SERVICE))
        self.assertIsInstance(world.begin(port=53 + UDP_KEYS), Route)

    def test_an_instance_out_of_service(self) -> None:
        """Its clients are general ones; in the list they are not in use."""
        world = World()
        world.order("virtual", virtual=f"{SITE}:0:1", state="out-of-service")
        self.assertEqual(world.connect(SOMEBODY_PREFERRED).bind_id, 0)
        self.assertIn((f"{SITE}:80:1", str(PREFERRED), "configured", "not-in-use"), world.clients())
        row = world.virtual(f"{SITE}:80:1")
        self.assertEqual((row["state"], row["configured"]), ("out-of-service", {"state": "in-service"}))
        world.order("assign", virtual=f"{SITE}:80:0", client="198.51.100.66")
        world.order("out_of_service", name=f"{SITE}:0:0")
        self.assertIn((f"{SITE}:80:0", "198.51.100.66/32", "by hand", "in-use"), world.clients())

    def test_an_instance_that_the_file_does_not_know(self) -> None:
        """Made for a port, given a server and a client, and removed with all of that."""
        world = World()
        name = f"{SITE}:80:7"
        self.assertEqual(world.refused("virtual", virtual=name)[0], "not-found")
        self.assertEqual(world.refused("virtual", virtual=name, state="out-of-service")[0], "not-found")
        self.assertEqual(world.refused("virtual", virtual=f"{SITE}:81:7", state="in-service")[0], "not-found")
        self.assertEqual(world.refused("virtual", virtual=f"{SITE}:81", state="in-service")[0], "not-found")
        self.assertEqual(world.refused("virtual", virtual="no.example.test:80:7", state="in-service")[0], "not-found")
        self.assertEqual(world.refused("virtual", virtual=name, state="on")[:2], ("invalid", "state"))
        world.order("virtual", virtual=name, state="in-service")
        world.order("bind", virtual=name, real="spare")
        world.order("assign", virtual=name, client="203.0.113.7")
        route = world.begin(CLIENT)
        assert isinstance(route, Route)
        self.assertEqual((route.server.name, route.ticket.bind_id), ("spare", 7))
        self.assertEqual(world.virtual(name)["configured"]["made"], "no")
        answer = world.order("revert", name=f"{SITE}:0:7")
        self.assertEqual(
            [row["setting"] for row in answer["changed"]], ["server spare", "client 203.0.113.7/32", "made"]
        )
        self.assertEqual(world.overrides(), {})
        self.assertEqual(world.connect(CLIENT).bind_id, 0)

    def test_wrong_requests(self) -> None:
        world = World()
        for verb in ("in_service", "out_of_service", "drain"):
            self.assertEqual(world.refused(verb)[:2], ("invalid", "name"))
            self.assertEqual(world.refused(verb, name="nobody")[:2], ("not-found", "name"))
            self.assertEqual(world.refused(verb, name="alpha", kind="virtual")[:2], ("not-found", "name"))
            self.assertEqual(world.refused(verb, name="alpha", kind="server")[:2], ("invalid", "kind"))
            self.assertEqual(world.refused(verb, name="alpha", wait=True)[:2], ("unknown-field", "wait"))


class TieTests(SynchronousTestCase):
    def test_bind(self) -> None:
        """For one port, or all; the row has the file's servers under 'configured'."""
        world = World()
        world.order("bind", virtual=f"{SITE}:80", real="10.0.0.8")
        self.assertEqual(world.virtual(f"{SITE}:80:0")["servers"], ["alpha", "beta", "spare"])
        self.assertEqual(world.virtual(f"{SITE}:80:0")["configured"], {"server spare": "unbound"})
        self.assertEqual(world.virtual(f"{SITE}:53/udp:0")["servers"], ["alpha", "beta"])
        world.order("unbind", virtual=SITE, real="beta")
        self.assertEqual(world.virtual(f"{SITE}:53/udp:0")["servers"], ["alpha"])
        self.assertEqual(world.virtual(f"{SITE}:53/udp:0")["configured"], {"server beta": "bound"})
        self.assertEqual(world.virtual(f"{SITE}:80:0")["servers"], ["alpha", "spare"])

    def test_wrong_requests(self) -> None:
        world = World()
        self.assertEqual(world.refused("bind", virtual=SITE, real="nobody")[:2], ("not-found", "real"))
        self.assertEqual(world.refused("bind", virtual="no.example.test", real="alpha")[:2], ("not-found", "virtual"))
        self.assertEqual(world.refused("bind", virtual=SITE)[:2], ("invalid", "real"))
        self.assertEqual(world.refused("unbind", virtual=SITE, real="spare")[0], "not-found")

    def test_backup(self) -> None:
        """Of a server a server, of a virtual server a site, by its name or an address that it holds; null is none."""
        world = World()
        world.order("backup", name="alpha", backup="10.0.0.8")
        self.assertEqual(world.server("alpha")["backup"], "spare")
        world.order("backup", name="alpha", backup=None)
        self.assertEqual(world.server("alpha")["backup"], None)
        address = world.lease("mail.example.test")
        world.order("backup", name=SITE, backup=address)
        self.assertEqual(world.virtual(f"{SITE}:80:0")["backup"], "mail.example.test")
        world.order("backup", name=SITE, backup=None, kind="virtual")
        self.assertEqual(world.overrides(), {})
        self.assertEqual(world.refused("backup", name="alpha")[:2], ("invalid", "backup"))
        self.assertEqual(world.refused("backup", name="alpha", backup="alpha")[:2], ("invalid", "backup"))
        self.assertEqual(world.refused("backup", name=SITE, backup="alpha")[0], "not-found")

    def test_assign(self) -> None:
        """An address, a prefix, or an address and a mask."""
        world = World()
        name = f"{SITE}:80:1"
        for request, client in (
            ({"client": "203.0.113.7"}, "203.0.113.7/32"),
            ({"client": "203.0.112.0/24"}, "203.0.112.0/24"),
            ({"client": "192.0.2.0", "mask": "255.255.255.128"}, "192.0.2.0/25"),
        ):
            world.order("assign", virtual=name, **request)
            self.assertIn((name, client, "by hand", "in-use"), world.clients())
        self.assertEqual(world.connect(CLIENT).bind_id, 1)
        world.order("unassign", virtual=name, client="203.0.113.7")
        self.assertEqual(world.connect(CLIENT).bind_id, 0)

    def test_an_unknown_virtual_server(self) -> None:
        """It is an error, and nothing is stored (5.10)."""
        world = World()
        for virtual in (f"{SITE}:80:7", f"{SITE}:81:1", "no.example.test:80:1", "192.0.2.9:80:1"):
            code, field, _ = world.refused("assign", virtual=virtual, client="203.0.113.7")
            self.assertEqual((code, field), ("not-found", "virtual"))
        self.assertEqual(world.journal.events, [])

    def test_clients_of_the_file(self) -> None:
        """One that a person took out is listed with what the file says."""
        world = World()
        world.order("unassign", virtual=f"{SITE}:80:1", client=str(PREFERRED))
        self.assertEqual(world.connect(SOMEBODY_PREFERRED).bind_id, 0)
        self.assertIn((f"{SITE}:80:1", str(PREFERRED), "by hand", "unassigned"), world.clients())
        self.assertNotIn((f"{SITE}:80:1", str(PREFERRED), "configured", "in-use"), world.clients())
        self.assertIn((f"{SITE}:53/udp:1", str(PREFERRED), "configured", "in-use"), world.clients())

    def test_wrong_clients(self) -> None:
        world = World()
        name = f"{SITE}:80:1"
        for request, field in (
            ({}, "client"),
            ({"client": "2001:db8::1"}, "client"),
            ({"client": "192.0.2.66/24"}, "client"),
            ({"client": "192.0.2.0", "mask": "255.0.255.0"}, "mask"),
            ({"client": "192.0.2.0", "mask": "0.0.0.255"}, "mask"),
            ({"client": "192.0.2.0", "mask": "24"}, "mask"),
            ({"client": "192.0.2.0/24", "mask": "255.255.255.0"}, "mask"),
            ({"client": "192.0.2.66", "mask": "255.255.255.0"}, "client"),
        ):
            self.assertEqual(world.refused("assign", virtual=name, **request)[1], field, request)
        self.assertEqual(world.refused("unassign", virtual=name, client="192.0.2.1")[0], "not-found")


class RevertTests(SynchronousTestCase):
    def test_one_setting(self) -> None:
        """As it is written for an order, or in the list of overrides."""
        world = World()
        world.order("real", real="alpha", weight=5, max_connections=9)
        world.order("assign", virtual=f"{SITE}:80:1", client="203.0.113.7")
        world.order("bind", virtual=f"{SITE}:80", real="spare")
        for name, setting in (
            ("alpha", "max-connections"),
            (f"{SITE}:80:1", "client 203.0.113.7"),
            (f"{SITE}:80", "server 10.0.0.8"),
        ):
            world.order("revert", name=name, setting=setting)
        self.assertEqual(world.overrides(), {("server alpha", "weight"): ("5", "1")})
        answer = world.order("revert", name="alpha", setting="weight")
        self.assertEqual(answer["changed"], [{"setting": "weight", "value": "1", "configured": "1"}])
        self.assertEqual(world.overrides(), {})
        ended = [event for event in world.heard_of(Override) if event.value is None]
        self.assertEqual(len(ended), 4)

    def test_port_0(self) -> None:
        """All ports of that bind id; the other bind ids keep theirs."""
        world = World()
        world.order("out_of_service", name=f"{SITE}:80")
        world.order("bind", virtual=f"{SITE}:53/udp", real="spare")
        world.order("out_of_service", name=f"{SITE}:80:1")
        world.order("revert", name=SITE)
        self.assertEqual(list(world.overrides()), [(f"virtual {SITE}:80:1", "state")])

    def test_nothing_to_revert(self) -> None:
        """An error that says what there is."""
        world = World()
        self.assertEqual(world.refused("revert", name="alpha")[:2], ("not-found", "name"))
        world.order("real", real="alpha", weight=5)
        code, field, message = world.refused("revert", name="alpha", setting="threshold")
        self.assertEqual((code, field), ("not-found", "setting"))
        self.assertIn("changed are weight", message)
        self.assertEqual(world.refused("revert", name="alpha", setting="client x")[:2], ("invalid", "setting"))


class FileTests(SynchronousTestCase):
    def test_a_reload(self) -> None:
        """What the file says anew wins; of the rest the order holds."""
        world = World()
        world.order("real", real="alpha", weight=5, threshold=9)
        alpha = attrs.evolve(WWW.servers[0], weight=2)
        world.configure(attrs.evolve(WWW, servers=(alpha, WWW.servers[1])))
        self.assertEqual(world.overrides(), {("server alpha", "threshold"): ("9", "8")})
        self.assertEqual(world.server("alpha")["weight"], 2)
        self.assertEqual(
            [event.reason for event in world.heard_of(Override) if event.value is None],
            ["the file says something else now"],
        )

    def test_unwelcome_clients(self) -> None:
        """One by hand, who gets the instance's answer."""
        world = World()
        world.order("assign", virtual=f"{SITE}:80:2", client="203.0.113.7")
        self.assertIsInstance(world.begin(CLIENT), Turned)


class DiskTests(SynchronousTestCase):
    def test_the_answer_waits_for_the_disk(self) -> None:
        world = World()
        world.journal.slow = True
        kept = world.orders.kept(world.order("real", real="alpha", weight=5))
        assert isinstance(kept, Deferred)
        self.assertNoResult(kept)
        self.assertEqual(world.server("alpha")["weight"], 5)
        world.journal.write()
        self.assertEqual(self.successResultOf(kept)["warning"], None)

    def test_nothing_to_wait_for(self) -> None:
        """Whoever only looks does not wait for what others have ordered."""
        world = World()
        world.journal.slow = True
        world.order("real", real="alpha", weight=5)
        answer = world.order("real", real="alpha")
        self.assertIs(world.orders.kept(answer), answer)

    def test_a_full_disk(self) -> None:
        """A server can be taken out of service all the same; the answer warns."""
        world = World()
        world.journal.failure = "no space left on device"
        kept = world.orders.kept(world.order("out_of_service", name="alpha"))
        assert isinstance(kept, Deferred)
        self.assertIn("no space left", self.successResultOf(kept)["warning"])
        self.assertEqual(world.server("alpha")["state"], "out-of-service")


class BothTests(SynchronousTestCase):
    def test_a_name_that_is_both(self) -> None:
        """Nothing is changed before it is said which one is meant."""
        world = World(sites=(attrs.evolve(WWW, servers=(server(SITE, 1),), instances=(PREFERENCES,)),))
        self.assertEqual(world.refused("out_of_service", name=SITE)[:2], ("ambiguous", "name"))
        world.order("out_of_service", name=SITE, kind="real")
        self.assertEqual(list(world.overrides()), [(f"server {SITE}", "state")])
