"""Several starts in a row on one state folder: what one of them did, the next one finds."""

from __future__ import annotations

from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import LeaseReclaimed, State
from tests import fakes
from tests.lives import Life

A, B, C = "a.example.test", "b.example.test", "c.example.test"
[FIRST] = fakes.addresses(1)
ONE = fakes.pool(1)


class RestartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.life = Life(Path(self.mktemp()))

    def stopped_for(self, seconds: float) -> None:
        self.life.stop()
        self.life.machine.clock.advance(seconds)
        self.life.start(ONE, [A, B, C])

    def test_what_was_over_at_one_start_is_not_back_at_the_next(self) -> None:
        """a's lease ended while nobody ran; b has the address since, and a crash does not take it away."""
        life = self.life
        life.start(ONE, [A, B, C])
        life.ask(A)
        self.stopped_for(3600.0)
        life.promised(B)
        life.use(FIRST, B)
        life.kill()
        life.machine.clock.advance(1.0)
        life.start(ONE, [A, B, C])
        self.assertEqual([(site, state) for site, (state, _) in life.held().items()], [(B, State.BOUND)])
        self.assertEqual(life.path.sites_at(FIRST), [B])

    def test_what_ended_while_nobody_ran_is_in_the_history(self) -> None:
        """Until its recorded end, whether it cools at the start or has cooled."""
        life = self.life
        life.start(ONE, [A, B, C])
        for pause in (15.0, 3600.0):
            began = life.machine.clock.seconds()
            end = life.promised(A).until + fakes.PERIODS.grace
            life.use(FIRST, A)
            self.stopped_for(pause)
            self.assertEqual(life.history(FIRST)[0], (A, began, end, True))
            self.assertEqual([event.at for event in life.heard if isinstance(event, LeaseReclaimed)][-1], end)
            life.wait(60.0)

    def test_ports_that_changed_while_nobody_ran(self) -> None:
        """What a was promised cools; c, which has one of the new ports, keeps it, and a finds another address."""
        pool, life = fakes.pool(2, share_by_service=True), self.life
        ports = {A: 80, B: 25, C: 443}
        for orderly in (True, False):
            for port, addresses in ((81, [FIRST]), (443, [FIRST, fakes.addresses(2)[1]])):
                life = Life(Path(self.mktemp()))
                life.start(pool, {name: fakes.site(name, port=port) for name, port in ports.items()})
                until = {life.promised(name).address: life.promised(name).until for name in (A, C)}
                self.assertEqual(list(until), [FIRST])
                if orderly:
                    life.stop()
                else:
                    life.kill()
                life.start(pool, {name: fakes.site(name, port=p) for name, p in {**ports, A: port, B: 80}.items()})
                self.assertEqual(life.promised(C).address, FIRST)
                self.assertIn(life.promised(A).address, addresses[-1:])
                self.assertEqual(life.path.sites_at(FIRST), [A, C] if port == 81 else [C])
                there = [lease.keys for lease in life.state.tables()["public"].holders(FIRST) if lease.site == A]
                self.assertEqual(there, [{80, 81} if port == 81 else {80}])
                life.wait(90.0)
                self.assertEqual([80 in x.keys for x in life.state.tables()["public"].holders(FIRST)].count(True), 0)

    def test_fewer_addresses_and_other_servers_since_the_last_start(self) -> None:
        """What a site has too many of runs out; each that goes on has a server of its own."""
        pool = fakes.pool(4)
        for addresses, server, left in ((1, "10.0.0.1", 1), (2, "10.0.0.1", 2), (2, "10.0.0.9", 2)):
            life = Life(Path(self.mktemp()))
            life.start(pool, {A: fakes.site(A, addresses=2)})
            life.use(life.promised(A).address, A)
            life.promised(A)
            table = life.state.tables()["public"]
            self.assertEqual(len(table.answered(A)), 2)
            life.stop()
            changed = attrs.evolve(fakes.site(f"other-{A}", addresses=addresses, server=server), name=A)
            if server == "10.0.0.1":
                changed = fakes.site(A, addresses=addresses)
            life.start(pool, {A: changed})
            answered = life.state.tables()["public"].answered(A)
            self.assertEqual(len(answered), left)
            self.assertEqual({lease.server for lease in answered}, {server.name for server in changed.servers})

    def test_what_was_released_stays_so(self) -> None:
        """Its former site does not get it back before it has cooled, and it still ends its connections in time."""
        two = fakes.pool(2)
        for at_once, cools, orderly in (
            (True, False, True),
            (True, False, False),
            (False, False, False),
            (False, True, False),
        ):
            life = Life(Path(self.mktemp()))
            life.start(two, [A])
            life.promised(A)
            life.use(FIRST, A)
            if cools:
                life.state.connection_closed(FIRST, A)
                life.wait(12.0)
            life.state.by_hand.release(FIRST, at_once=at_once)
            life.machine.settle()
            drained_at = life.machine.clock.seconds() + 300
            if orderly:
                life.stop()
            else:
                life.kill()
            life.start(two, [A])
            self.assertNotEqual(life.promised(A).address, FIRST, (at_once, cools, orderly))
            if not at_once and not cools:
                life.use(FIRST, A)
                life.wait(310.0)
                ended = [event for event in life.heard if isinstance(event, LeaseReclaimed) and event.address == FIRST]
                self.assertEqual([(event.at, event.connections_end) for event in ended], [(drained_at, True)])

    def test_no_holes_in_the_history(self) -> None:
        """Where a lease that nobody reclaimed is followed by another one of the site, or by a pin."""
        life, now = self.life, self.life.machine.clock.seconds
        life.start(ONE, [A])
        life.promised(A)
        life.use(FIRST, A)
        life.wait(50.0)
        life.state.connection_closed(FIRST, A)
        [lease] = life.state.tables()["public"].leases_of(A)
        while lease.granted_at == 1000.0:
            life.wait(1.0)
            life.promised(A)
            [lease] = life.state.tables()["public"].leases_of(A)
        again = now()
        self.assertEqual(life.history(FIRST), [(A, 1000.0, again, True)])
        life.wait(3.0)
        life.state.by_hand.pin(A, FIRST)
        life.machine.settle()
        self.assertEqual(life.history(FIRST)[0], (A, again, again + 3.0, False))
        life.kill()
        life.start(ONE, [A])
        life.wait(5.0)
        unpinned = now()
        life.state.by_hand.unpin(A)
        life.machine.settle()
        self.assertEqual(life.history(FIRST)[0], (A, again + 3.0, unpinned, True), "pinned is used")
        life.wait(100.0)
        self.assertEqual(len(life.history(FIRST)), 3)

    def test_the_newest_record_of_an_address_counts(self) -> None:
        """Even if the disk should know of two holders."""
        life = self.life
        life.start(ONE, [A, B, C])
        life.promised(A)
        del life.state.tables()["public"]._book.addresses._held[int(FIRST)]
        life.state.tables()["public"]._book.addresses._free[int(FIRST)] = FIRST
        life.path.close(FIRST, A)
        life.promised(B)
        life.kill()
        life.start(ONE, [A, B, C])
        self.assertEqual(list(life.held()), [B])
        self.flushLoggedErrors()
