"""A start from what was on the disk: what goes on, what cools, what is kept back (docs/leases.rst, *On the disk*)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import AddressFreed, LeaseRecord, Pinned, Recovered, State
from appliance.leasing import Promise
from appliance.shared import Refusal
from tests import fakes
from tests.test_shared import Setting, zones

NAME = "a.example.test"
[FIRST] = fakes.addresses(1)


def record(number: int, site: str, state: State, *, until: float) -> LeaseRecord:
    return LeaseRecord(
        pool="public",
        address=IPv4Address("192.0.2.0") + number,
        site=site,
        server=f"server 0 of {site}",
        state=state,
        granted_at=-50.0,
        promised_until=until - 1,
        ends_at=until,
        longest=10,
        unused=0,
        requests=0.0,
    )


class RestoreTests(SynchronousTestCase):
    def start(self, *entries: LeaseRecord | Pinned, more: str = "", **recovered: bool) -> Setting:
        """A start at second 0 that finds these."""
        setting = Setting([])
        names = (NAME, "b.example.test", "c.example.test")
        sites = {name: fakes.site(name) for name in names}
        if more:
            sites[more] = attrs.evolve(fakes.site(more), address=FIRST)
        setting.state.configure(
            {"public": fakes.pool(3)}, sites, zones(*sites), Recovered(entries=entries, **recovered)
        )
        return setting

    def states(self, setting: Setting) -> dict[str, tuple[State, float]]:
        return {x.site[0]: (x.state, x.ends_at) for x in setting.state.tables()["public"].held()}

    def test_live_leases_go_on(self) -> None:
        """With their data path, and for their site only."""
        setting = self.start(record(1, NAME, State.BOUND, until=30.0))
        self.assertEqual(self.states(setting), {"a": (State.BOUND, 30.0)})
        self.assertEqual(setting.path.sites_at(FIRST), [NAME])
        answer = setting.ask(NAME)
        assert answer is not None
        self.assertEqual(str(answer.answer[0].rdatas[0]), str(FIRST))

    def test_what_ended_meanwhile_cools_from_its_end(self) -> None:
        """Not from the start of this process; what has cooled is free, for its former site first."""
        setting = self.start(
            record(1, NAME, State.BOUND, until=-5.0), record(2, "b.example.test", State.OFFERED, until=-25.0)
        )
        self.assertEqual(self.states(setting), {"a": (State.COOLING, 15.0)})
        answer = setting.ask("b.example.test")
        assert answer is not None
        self.assertEqual(str(answer.answer[0].rdatas[0]), "192.0.2.2")

    def test_after_a_crash_it_cools_a_little_longer(self) -> None:
        """For what may have been promised while the disk failed."""
        setting = self.start(record(1, NAME, State.BOUND, until=-25.0), crashed=True)
        self.assertEqual(self.states(setting), {"a": (State.COOLING, fakes.PERIODS.minimum + 1)})

    def test_after_a_crash_what_is_about_to_end_lasts_as_long_too(self) -> None:
        """However short it cools: where the disk failed, the minimum was promised beyond what it knows."""
        setting = Setting([])
        periods = attrs.evolve(fakes.PERIODS, minimum=50, cooling=0)
        sites = {NAME: fakes.site(NAME)}
        entries = (
            record(1, NAME, State.BOUND, until=2.0),
            record(2, "gone.example.test", State.DRAINING, until=2.0),
            record(3, "c.example.test", State.COOLING, until=2.0),
        )
        recovered = Recovered(entries=entries, crashed=True)
        setting.state.configure({"public": fakes.pool(3, periods)}, sites, zones(NAME), recovered)
        self.assertEqual(
            self.states(setting),
            {"a": (State.BOUND, 51.0), "g": (State.DRAINING, 51.0), "c": (State.COOLING, 2.0)},
        )
        setting.clock.advance(51)
        setting.state.reclaim(limit=9)
        self.assertEqual(self.states(setting)["a"], (State.COOLING, 101.0))

    def test_an_unsure_start_lets_the_rest_rest(self) -> None:
        """Nobody knows who was promised what seems free."""
        setting = self.start(record(1, NAME, State.BOUND, until=30.0), unsure=True)
        self.assertEqual(setting.state.tables()["public"].counts(0.0).cooling, 2)
        self.assertEqual(len(setting.ask(NAME).answer), 1)  # type: ignore[union-attr]
        self.assertEqual(len(setting.ask("b.example.test").answer), 0)  # type: ignore[union-attr]
        setting.clock.advance(62)
        setting.state.reclaim(limit=9)
        self.assertEqual(len(setting.ask("b.example.test").answer), 1)  # type: ignore[union-attr]

    def test_what_an_unsure_start_finds_rests_too(self) -> None:
        """The last things that were promised may be missing, so every lease may have been promised for the maximum."""
        until = fakes.PERIODS.maximum + fakes.PERIODS.grace
        for state, end, expected in (
            (State.COOLING, 3.0, State.COOLING),
            (State.COOLING, -3.0, State.COOLING),
            (State.BOUND, -30.0, State.COOLING),
            (State.DRAINING, -5.0, State.COOLING),
            (State.BOUND, 30.0, State.BOUND),
        ):
            setting = self.start(record(1, NAME, state, until=end), unsure=True)
            self.assertEqual(self.states(setting), {"a": (expected, until)}, (state, end))
        setting.clock.advance(until)
        setting.state.reclaim(limit=9)
        self.assertEqual(self.states(setting), {"a": (State.COOLING, until + fakes.PERIODS.maximum)})

    def test_nobody_is_put_beside_a_holder_after_an_unsure_start(self) -> None:
        """Somebody may have been there whom nobody knows."""
        pool = fakes.pool(1, share_by_service=True)
        sites = {name: fakes.site(name, port=port) for name, port in ((NAME, 22), ("b.example.test", 25))}
        setting = Setting([])
        recovered = Recovered(entries=(record(1, NAME, State.BOUND, until=30.0),), unsure=True)
        setting.state.configure({"public": pool}, sites, zones(*sites), recovered)
        setting.state.configure({"public": pool}, sites, zones(*sites))
        self.assertEqual(len(setting.ask("b.example.test").answer), 0)  # type: ignore[union-attr]
        setting.clock.advance(61)
        setting.state.reclaim(limit=9)
        self.assertEqual(setting.path.sites_at(FIRST), [NAME])
        self.assertEqual(len(setting.ask("b.example.test").answer), 1)  # type: ignore[union-attr]
        self.assertEqual(setting.path.sites_at(FIRST), [NAME, "b.example.test"])

    def test_an_address_that_became_another_sites_own(self) -> None:
        """The lease from before runs out first, and its site keeps what it was promised."""
        setting = self.start(record(1, NAME, State.BOUND, until=30.0), more="d.example.test")
        self.assertEqual(setting.path.sites_at(FIRST), [NAME])
        self.assertEqual(len(setting.ask("d.example.test").answer), 0)  # type: ignore[union-attr]
        for _ in range(2):
            setting.clock.advance(40)
            setting.state.reclaim(limit=9)
        self.assertEqual(setting.path.sites_at(FIRST), ["d.example.test"])
        self.assertEqual(len(setting.ask("d.example.test").answer), 1)  # type: ignore[union-attr]

    def test_a_static_address_that_waits_is_on_the_disk_before_it_is_told(self) -> None:
        """Else a crash would find the former holder there again."""
        setting = Setting([fakes.pool(2)], NAME)
        setting.ask(NAME)
        setting.journal.slow = True
        sites = {NAME: fakes.site(NAME), "d.example.test": attrs.evolve(fakes.site("d.example.test"), address=FIRST)}
        setting.state.configure({"public": fakes.pool(2)}, sites, zones(*sites))
        for _ in range(2):
            setting.clock.advance(40)
            setting.state.reclaim(limit=9)
        self.assertEqual(setting.path.sites_at(FIRST), ["d.example.test"])
        self.assertIs(setting.state.lease("d.example.test"), Refusal.EXHAUSTED)
        setting.journal.write()
        self.assertIsInstance(setting.state.lease("d.example.test"), Promise)

    def test_a_pin_is_found_again(self) -> None:
        setting = self.start(Pinned(at=-9.0, site=NAME, address=FIRST))
        promise = setting.state.lease(NAME)
        assert isinstance(promise, Promise)
        self.assertEqual((promise.address, promise.ttl), (FIRST, 60))

    def test_a_pin_that_another_configuration_contradicts(self) -> None:
        """Its site, or another one, has a static address now: what was pinned cools, and the configuration counts."""
        setting = self.start(Pinned(at=-9.0, site=NAME, address=FIRST), more="d.example.test")
        self.assertEqual(self.states(setting), {"a": (State.COOLING, 61.0)})
        self.assertEqual(len(setting.ask("d.example.test").answer), 0)  # type: ignore[union-attr]
        setting.clock.advance(61)
        setting.state.reclaim(limit=9)
        self.assertEqual(setting.state.lease("d.example.test").address, FIRST)  # type: ignore[union-attr]
        pinned = IPv4Address("192.0.2.3")
        setting = self.start(Pinned(at=-9.0, site="d.example.test", address=pinned), more="d.example.test")
        self.assertEqual(self.states(setting), {"d": (State.COOLING, 61.0)})
        self.assertEqual(setting.state.lease("d.example.test").address, FIRST)  # type: ignore[union-attr]
        setting = self.start(Pinned(at=-9.0, site="d.example.test", address=FIRST), more="d.example.test")
        self.assertEqual(setting.state.lease("d.example.test").address, FIRST)  # type: ignore[union-attr]

    def test_a_pin_of_a_site_that_is_gone_cools(self) -> None:
        """It was promised for the maximum."""
        setting = self.start(Pinned(at=-9.0, site="gone.example.test", address=FIRST))
        self.assertEqual(self.states(setting), {"g": (State.COOLING, 61.0)})


class ShorterTests(SynchronousTestCase):
    """The configuration was changed as well: the periods of the process before count, too."""

    def until_b_has_it(self, *entries: LeaseRecord, **recovered: Any) -> float:
        setting = Setting([])
        sites = {name: fakes.site(name) for name in (NAME, "b.example.test")}
        found = Recovered(entries=entries, crashed=True, **recovered)
        setting.state.configure({"public": fakes.pool(1)}, sites, zones(*sites), found)
        while not isinstance(setting.state.lease("b.example.test"), Promise):
            setting.clock.advance(1)
            setting.state.reclaim(limit=9)
        return setting.clock.seconds()

    def test_a_maximum(self) -> None:
        for entries in ((), (record(1, NAME, State.BOUND, until=-99.0),), (record(1, NAME, State.BOUND, until=9.0),)):
            self.assertGreaterEqual(self.until_b_has_it(*entries, unsure=True, maximum=500), 500)

    def test_a_minimum(self) -> None:
        for until in (-99.0, 9.0):
            self.assertGreaterEqual(self.until_b_has_it(record(1, NAME, State.BOUND, until=until), minimum=80), 80)

    def test_who_may_have_lost_it_does_not_get_it_back(self) -> None:
        """What had cooled by the disk may have been another's before the crash."""
        for state, until in ((State.COOLING, -1.0), (State.BOUND, -21.0)):
            setting = Setting([])
            found = Recovered(entries=(record(1, NAME, state, until=until),), crashed=True, unsure=True)
            setting.state.configure({"public": fakes.pool(1)}, {NAME: fakes.site(NAME)}, zones(NAME), found)
            self.assertNotIsInstance(setting.state.lease(NAME), Promise)
            setting.clock.advance(61)
            setting.state.reclaim(limit=9)
            self.assertIsInstance(setting.state.lease(NAME), Promise)


class NoPoolTests(SynchronousTestCase):
    """No pool is left in the configuration; an address that is static now was promised to others before."""

    def start(self, *entries: LeaseRecord | Pinned) -> Setting:
        setting = Setting([])
        sites = {NAME: attrs.evolve(fakes.site(NAME, pool=""), address=FIRST)}
        setting.state.configure({}, sites, zones(NAME), Recovered(entries=entries))
        return setting

    def test_it_waits_for_their_end(self) -> None:
        for entry, until in (
            (record(1, "b.example.test", State.BOUND, until=30.0), 50.0),
            (record(1, "b.example.test", State.COOLING, until=30.0), 30.0),
            (Pinned(at=-9.0, site="b.example.test", address=FIRST, longest=60), 65.0),
        ):
            setting = self.start(entry)
            while not isinstance(setting.state.lease(NAME), Promise):
                setting.clock.advance(1)
                setting.state.reclaim(limit=9)
            # By the defaults there is nothing else to count with.
            self.assertGreaterEqual(setting.clock.seconds(), until)
            self.assertEqual(dict(setting.state.tables()), {})

    def test_nor_is_one_by_a_reload(self) -> None:
        """It was another site's for good, and cools."""
        setting = self.start()
        other = attrs.evolve(fakes.site("b.example.test", pool=""), address=FIRST)
        until = setting.state.lease(NAME).until  # type: ignore[union-attr]
        setting.state.configure({}, {other.name: other}, zones(other.name))
        while not isinstance(setting.state.lease(other.name), Promise):
            setting.clock.advance(1)
            setting.state.reclaim(limit=9)
        self.assertGreaterEqual(setting.clock.seconds(), until)


class FormerTests(SynchronousTestCase):
    def test_who_is_not_configured_is_not_remembered(self) -> None:
        """Neither those who had free addresses, nor those whose leases end later; pins included."""
        setting = Setting([])
        entries = (
            record(1, "gone.example.test", State.BOUND, until=9.0),
            AddressFreed(at=-1.0, pool="public", address=IPv4Address("192.0.2.2"), former="old.example.test"),
            AddressFreed(at=-1.0, pool="public", address=IPv4Address("192.0.2.4"), former=NAME),
            Pinned(at=-9.0, site="pinned.example.test", address=IPv4Address("192.0.2.3")),
        )
        recovered = Recovered(entries=entries)
        setting.state.configure({"public": fakes.pool(4)}, {NAME: fakes.site(NAME)}, zones(NAME), recovered)
        for _ in range(3):
            setting.clock.advance(99)
            setting.state.reclaim(limit=9)
        self.assertEqual(setting.state.tables()["public"].counts(0.0).free, 4)
        former = [entry.former for entry in setting.state.entries() if isinstance(entry, AddressFreed)]
        self.assertEqual(former, [NAME])


class RestTests(SynchronousTestCase):
    """After an unsure start nobody gets an address that rests, in no way."""

    until = fakes.PERIODS.maximum + fakes.PERIODS.grace

    def start(self, *entries: Pinned, static: bool = False) -> Setting:
        setting = Setting([])
        sites = {NAME: fakes.site(NAME), "b.example.test": fakes.site("b.example.test")}
        if static:
            sites[NAME] = attrs.evolve(sites[NAME], address=FIRST)
        recovered = Recovered(entries=entries, crashed=True, unsure=True)
        setting.state.configure({"public": fakes.pool(1)}, sites, zones(*sites), recovered)
        return setting

    def answered_at(self, setting: Setting) -> float:
        while not isinstance(setting.state.lease(NAME), Promise):
            setting.clock.advance(1)
            setting.state.reclaim(limit=9)
        return setting.clock.seconds()

    def test_not_by_a_pin(self) -> None:
        setting = self.start()
        self.assertFalse(setting.state.by_hand.pin(NAME, FIRST))
        self.assertEqual(setting.state.tables()["public"].counts(0.0).cooling, 1)
        self.assertEqual(self.answered_at(setting), self.until)
        self.assertEqual(setting.state.tables()["public"].counts(0.0).all, 0)

    def test_nor_by_the_configuration(self) -> None:
        """At the start, and by a reload; but one that was the site's before is not anybody else's."""
        self.assertEqual(self.answered_at(self.start(static=True)), self.until)
        before = Pinned(at=-9.0, site=NAME, address=FIRST, static=True)
        self.assertEqual(self.answered_at(self.start(before, static=True)), 0.0)
        setting = self.start()
        sites = {NAME: attrs.evolve(fakes.site(NAME), address=FIRST)}
        setting.state.configure({"public": fakes.pool(1)}, sites, zones(*sites))
        self.assertEqual(self.answered_at(setting), self.until)

    def test_nor_by_another_start(self) -> None:
        """A pin that waits for the address to have rested does so after the next start, too."""
        for static in (False, True):
            first = self.start(static=static)
            if not static:
                first.state.by_hand.pin(NAME, FIRST)
            for later in (0.0, self.until + 1):
                for _ in range(int(later)):
                    first.clock.advance(1)
                    first.state.reclaim(limit=9)
                entries = first.journal.recovered().entries
                setting = self.start(*(entry for entry in entries if isinstance(entry, Pinned)), static=static)
                self.assertEqual(self.answered_at(setting), 0.0 if later else self.until)

    def test_nor_by_another_pool(self) -> None:
        """The address moves there when it has rested; if it comes back before, it rests on."""
        for moves in (("other",), ("other", "public"), ("", "public")):
            setting = self.start()
            for name in moves:
                pools = {name: attrs.evolve(fakes.pool(1), name=name)} if name else {}
                setting.state.configure(pools, {NAME: fakes.site(NAME, pool=name)} if name else {}, zones(NAME))
            self.assertEqual(self.answered_at(setting), self.until, moves)
            self.assertEqual(list(setting.state.tables()), [moves[-1]])
