"""What is believed of the POPs, rule by rule."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from appliance.health import Observers, Standing
from appliance.model import Load, Row, Rows

POPS = ("ams", "fra", "nyc", "sin", "gru")


def rows(observer: str, down: str = "", *more: Row, version: int = 1, epoch: int = 1, age: float = 0.0) -> Rows:
    """All others are up but those named in ``down``; ``more``: rows that say something else."""
    pops = {pop: Row(pop=pop, up=pop not in down.split()) for pop in POPS if pop != observer}
    return Rows(
        observer=observer,
        epoch=epoch,
        version=version,
        age=age,
        rows=tuple({**pops, **{row.pop: row for row in more}}.values()),
    )


class Case(SynchronousTestCase):
    count = 5

    def setUp(self) -> None:
        self.pops = POPS[: self.count]
        self.observers = Observers("ams")
        self.observers.configure(dict.fromkeys(self.pops, 5.0), 0.0)

    def observe(self, *all_rows: Rows, now: float = 0.0) -> None:
        for each in all_rows:
            self.assertTrue(self.observers.observe(each, now), each)

    def down(self, now: float = 0.0) -> list[str]:
        return [pop for pop, row in self.observers.believe(now).rows.items() if not row.up]

    def standing(self, now: float = 0.0) -> Standing:
        return self.observers.believe(now).standing


class MajorityTests(Case):
    def test_nothing_is_known(self) -> None:
        """Everything configured counts as up."""
        self.assertEqual((self.down(), self.standing()), ([], Standing.AGREED))
        self.assertEqual(list(self.observers.believe(0.0).rows), list(POPS))
        self.assertIsNone(self.observers.next_deadline())

    def test_majority(self) -> None:
        self.observe(rows("ams", "nyc"), rows("fra", "nyc"), rows("sin"))
        self.assertEqual(self.down(), ["nyc"])
        self.observe(rows("gru"))
        self.observe(rows("fra", version=2))
        self.assertEqual(self.down(), [])

    def test_equal_votes(self) -> None:
        """What this POP has measured decides; without it, it is up."""
        self.observe(rows("fra", "nyc"), rows("sin"))
        self.assertEqual(self.down(), [])
        self.observe(rows("ams", "nyc"), rows("gru"))
        self.assertEqual(self.down(), ["nyc"])
        self.observe(rows("ams", version=2), rows("gru", "nyc", version=2))
        self.assertEqual(self.down(), [])

    def test_nobody_judges_itself(self) -> None:
        self.observe(rows("nyc", "", Row(pop="nyc", up=True)), rows("ams", "nyc"))
        self.assertEqual(self.down(), ["nyc"])
        self.observe(rows("nyc", "", Row(pop="nyc", up=False), version=2), rows("ams", version=2))
        self.assertEqual(self.down(), [])

    def test_others_judge_this_one(self) -> None:
        self.observe(rows("ams"), rows("fra", "ams"), rows("sin", "ams"), rows("gru"))
        self.assertEqual(self.down(), ["ams"])

    def test_who_sees_more_than_half_down_is_not_believed(self) -> None:
        self.observe(rows("ams"), rows("fra", "ams nyc sin"), rows("nyc", "ams sin"))
        believed = self.observers.believe(0.0)
        self.assertEqual((believed.observers, believed.doubted), (("ams", "nyc"), ("fra",)))
        self.assertEqual((self.down(), believed.standing), (["ams"], Standing.AGREED))

    def test_its_own_row_does_not_help_it(self) -> None:
        """Three of four others, though it says that it is up itself."""
        self.observe(rows("ams"), rows("fra", "nyc sin gru", Row(pop="fra", up=True)))
        self.assertEqual(self.observers.believe(0.0).doubted, ("fra",))


class FigureTests(Case):
    def test_latency_is_our_own(self) -> None:
        self.observe(rows("fra", "", Row(pop="nyc", up=True, latency=0.001)))
        self.assertIsNone(self.observers.believe(0.0).rows["nyc"].latency)
        self.observe(rows("ams", "", Row(pop="nyc", up=True, latency=0.09)))
        self.assertEqual(self.observers.believe(0.0).rows["nyc"].latency, 0.09)

    def test_medians(self) -> None:
        """Of the believed ones, who judge another; figures that are none are as not said."""
        for observer, http, ftp, down in (
            ("ams", 0.1, 3.0, ""),
            ("fra", 0.5, math.nan, ""),
            ("sin", 0.2, -1.0, ""),
            ("gru", 9.0, 9.0, "ams fra sin"),
        ):
            self.observe(rows(observer, down, Row(pop="nyc", up=True, http=http, ftp=ftp)))
        self.observe(rows("nyc", "", Row(pop="nyc", up=True, http=7.0)))
        row = self.observers.believe(0.0).rows["nyc"]
        self.assertEqual((row.http, row.ftp), (0.2, 3.0))

    def test_load(self) -> None:
        """Each figure's own median; the POP is a witness of its own load, until its row is stale."""
        loads = {"ams": Load(cpu=0.1, lag=5.0), "fra": Load(cpu=0.2, memory=0.5), "nyc": Load(cpu=0.9, memory=math.inf)}
        for observer, load in loads.items():
            self.observe(rows(observer, "", Row(pop="nyc", up=True, load=load)))
        self.assertEqual(self.observers.believe(0.0).rows["nyc"].load, Load(cpu=0.2, memory=0.5, lag=5.0))
        self.observe(rows("fra", version=2), now=10.0)
        self.assertEqual(self.observers.believe(10.0).rows["nyc"].load, Load(cpu=0.5, lag=5.0))
        self.assertEqual(self.observers.believe(15.0).rows["nyc"].load, loads["ams"])

    def test_load_of_one_that_is_not_believed(self) -> None:
        """Of itself it may speak."""
        self.observe(rows("ams"), rows("nyc", "ams fra sin", Row(pop="nyc", up=True, load=Load(cpu=0.9))))
        self.assertEqual(self.observers.believe(0.0).rows["nyc"].load, Load(cpu=0.9))

    def test_promised_is_the_sum_of_the_others(self) -> None:
        """Those are included that are not believed: they keep what they have promised; its own are among them."""
        for observer, promised, down in (
            ("ams", 100.0, ""),
            ("fra", 2.0, ""),
            ("gru", 3.0, "ams fra sin"),
            ("nyc", 4.0, ""),
        ):
            self.observe(rows(observer, down, Row(pop="nyc", up=True, promised=promised)))
        self.observe(rows("sin", "", Row(pop="nyc", up=True, promised=math.nan)))
        self.assertEqual(self.observers.believe(0.0).rows["nyc"].promised, 9.0)


class VersionTests(Case):
    def test_newest_wins(self) -> None:
        """The epoch before the version."""
        self.observe(rows("fra", "nyc", epoch=5, version=7))
        for epoch, version in ((5, 7), (5, 6), (4, 99)):
            self.assertFalse(self.observers.observe(rows("fra", epoch=epoch, version=version), 0.0))
        self.assertEqual(self.down(), ["nyc"])
        for epoch, version in ((5, 8), (6, 1)):
            self.observe(rows("fra", epoch=epoch, version=version))
        self.assertEqual(self.down(), [])

    def test_expiry(self) -> None:
        """After three periods of that observer, its age counted; then an older epoch may begin anew."""
        self.observe(rows("fra", "nyc", epoch=5, age=4.0))
        self.assertEqual(self.down(10.9), ["nyc"])
        self.assertEqual(self.observers.next_deadline(), 11.0)
        self.assertEqual(self.down(11.0), [])
        self.assertEqual(self.observers.next_deadline(), 50.9, "what nobody says is good by then")
        self.observe(rows("fra", "nyc", epoch=4), now=11.0)
        self.assertEqual(self.down(11.0), ["nyc"])

    def test_expired_rows_hold_nothing_up(self) -> None:
        """Though nobody has asked in between: that observer's clock of epochs may have gone back."""
        self.observe(rows("fra", epoch=5))
        self.assertFalse(self.observers.observe(rows("fra", "nyc", epoch=4), 14.9))
        self.observe(rows("fra", "nyc", epoch=4), now=15.0)
        self.assertEqual(self.down(15.0), ["nyc"])

    def test_refused(self) -> None:
        """A stranger's; too old; of an age that is none."""
        for each in (rows("stranger"), rows("fra", age=15.0), rows("fra", age=-1.0), rows("fra", age=math.nan)):
            self.assertFalse(self.observers.observe(each, 0.0))

    def test_own_rows_do_not_expire(self) -> None:
        self.observe(rows("ams", "nyc"))
        self.assertEqual(self.down(1e6), ["nyc"])

    def test_rows_about_strangers(self) -> None:
        """Do not count, not even among what an observer sees down."""
        strangers = [Row(pop=name, up=False) for name in ("x", "y", "z", "w", "v")]
        self.observe(rows("fra", "nyc", *strangers))
        self.assertEqual(self.observers.believe(0.0).doubted, ())
        self.assertEqual(list(self.observers.believe(0.0).rows), list(POPS))

    def test_configuration(self) -> None:
        """Rows of those that stay are kept, and count for those that are left."""
        self.observe(rows("ams"), rows("fra", "nyc sin"), rows("gru"))
        self.observers.configure({"fra": 5.0, "nyc": 5.0, "sin": 5.0}, 0.0)
        believed = self.observers.believe(0.0)
        self.assertEqual(list(believed.rows), ["fra", "nyc", "sin", "ams"])
        self.assertEqual((believed.observers, believed.doubted), (("ams",), ("fra",)))


class AloneTests(Case):
    def test_kept_then_all(self) -> None:
        self.observe(rows("ams", "nyc"), rows("fra", "nyc", Row(pop="fra", up=True, load=Load(cpu=0.3))))
        self.assertEqual((self.down(), self.standing()), (["nyc"], Standing.AGREED))
        self.observe(rows("fra", "nyc", version=2), now=5.0)
        self.assertEqual(self.standing(5.0), Standing.AGREED)
        self.observe(rows("ams", "fra nyc sin", version=2), now=15.0)
        self.assertEqual(self.standing(15.0), Standing.AGREED)
        self.assertEqual((self.down(20.0), self.standing(20.0)), (["nyc"], Standing.ALONE_KEPT))
        self.assertEqual(self.observers.believe(20.0).rows["fra"].load, Load(cpu=0.3))
        self.assertEqual(self.observers.next_deadline(), 80.0)
        self.assertEqual((self.down(79.9), self.standing(79.9)), (["nyc"], Standing.ALONE_KEPT))
        self.assertEqual((self.down(80.0), self.standing(80.0)), ([], Standing.ALONE_ALL))
        self.assertIsNone(self.observers.believe(80.0).rows["fra"].load)

    def three_agree(self) -> None:
        """That nyc is down, from 0 to 5; all see each other."""
        for version, at in ((1, 0.0), (2, 5.0)):
            self.observe(*(rows(each, "nyc", version=version) for each in ("ams", "fra")), now=at)
            self.observe(rows("sin", version=version), now=at)
            self.assertEqual(self.down(at), ["nyc"])

    def test_rows_run_out_one_after_the_other(self) -> None:
        """What is left of them meanwhile is answered by, but it is not what is kept when the last has gone."""
        self.three_agree()
        self.observe(rows("sin", version=3), now=8.0)
        self.observe(rows("ams", "fra nyc sin", version=3), now=15.0)
        for at in (15.0, 20.0):
            self.assertEqual((self.down(at), self.standing(at)), ([], Standing.AGREED))
        self.assertEqual((self.down(23.0), self.standing(23.0)), (["nyc"], Standing.ALONE_KEPT))

    def test_half_have_gone_for_long(self) -> None:
        """Then what is left is the good table."""
        self.three_agree()
        self.observe(rows("ams", "fra nyc sin", version=3), now=9.0)
        for version, at in enumerate((20.0, 30.0, 40.0, 50.0), 3):
            self.observe(rows("sin", version=version), now=at)
            self.assertEqual(self.down(at), [])
        self.assertEqual(self.observers.next_deadline(), 60.0)
        self.down(60.0)
        self.assertEqual(self.observers.next_deadline(), 65.0)
        self.assertEqual((self.down(65.0), self.standing(65.0)), ([], Standing.ALONE_KEPT))

    def test_rows_that_come_seldom(self) -> None:
        """They have run out before the next ones come; what they say is good all the same, in time."""
        for version in range(1, 5):
            at = 16.0 * version
            self.observe(rows("ams", "nyc", version=version), rows("fra", "nyc", version=version), now=at)
            self.assertEqual(self.down(at), ["nyc"])
            self.down(at + 15.0)
        self.observe(rows("ams", "fra nyc sin", version=9), now=79.5)
        self.assertEqual((self.down(79.5), self.standing(79.5)), (["nyc"], Standing.ALONE_KEPT))

    def test_one_that_is_read_seldom(self) -> None:
        """Nobody is alone before its rows have run out; so long what was good has to be kept."""
        self.observers.configure({**dict.fromkeys(self.pops, 5.0), "gru": 50.0}, 0.0)
        for version, at in ((1, 0.0), (2, 5.0)):
            self.observe(*(rows(each, "nyc", version=version) for each in ("ams", "fra", "gru")), now=at)
            self.assertEqual(self.down(at), ["nyc"])
        self.observe(rows("ams", "fra nyc sin gru", version=3), now=25.0)
        for at in (25.0, 46.0, 100.0, 154.0):
            self.down(at)
        self.assertEqual((self.down(155.0), self.standing(155.0)), (["nyc"], Standing.ALONE_KEPT))

    def test_what_was_good_long_ago(self) -> None:
        """Is not kept the next time: what is seen after it counts at once."""
        self.three_agree()
        self.observe(rows("ams", "fra nyc sin", version=3), now=15.0)
        self.assertEqual((self.down(20.0), self.standing(20.0)), (["nyc"], Standing.ALONE_KEPT))
        self.assertEqual((self.down(80.0), self.standing(80.0)), ([], Standing.ALONE_ALL))
        self.observe(*(rows(each, version=9) for each in ("ams", "fra", "sin")), now=20_000.0)
        self.assertEqual((self.down(20_000.0), self.standing(20_000.0)), ([], Standing.AGREED))
        self.observe(rows("ams", "fra nyc sin", version=10), now=20_010.0)
        self.assertEqual((self.down(20_015.0), self.standing(20_015.0)), ([], Standing.ALONE_KEPT))

    def test_a_reload_leaves_fewer(self) -> None:
        """They are not half of those who were: those who are configured are."""
        self.three_agree()
        self.observers.configure({"ams": 5.0, "nyc": 5.0}, 6.0)
        self.observe(rows("ams", version=3), now=6.0)
        self.assertEqual((self.down(6.0), self.observers.next_deadline()), ([], None))

    def test_not_alone_while_another_can_be_believed(self) -> None:
        """Ours is the network that has failed, and somebody tells us how things are."""
        self.observe(rows("ams", "fra nyc sin"), rows("gru", "sin"))
        self.assertEqual((self.down(), self.standing()), (["sin"], Standing.AGREED))

    def test_back(self) -> None:
        """Alone anew, it has the whole time again, and the newer table."""
        self.observe(rows("ams", "fra nyc sin"))
        self.assertEqual(self.standing(0.0), Standing.ALONE_KEPT)
        self.assertEqual(self.standing(60.0), Standing.ALONE_ALL)
        for version, at in ((2, 61.0), (3, 61.5)):
            self.observe(rows("ams", "gru", version=version), now=at)
            self.assertEqual((self.down(at), self.standing(at)), (["gru"], Standing.AGREED))
        self.observe(rows("ams", "fra nyc sin", version=4), now=62.0)
        self.assertEqual((self.down(121.0), self.standing(121.0)), (["gru"], Standing.ALONE_KEPT))

    def test_our_latencies_go_on(self) -> None:
        self.observe(rows("ams", "fra nyc sin", Row(pop="gru", up=True, latency=0.2)))
        believed = self.observers.believe(0.0)
        self.assertEqual((believed.standing, believed.rows["gru"].latency), (Standing.ALONE_KEPT, 0.2))


class ThreeTests(Case):
    count = 3

    def setUp(self) -> None:
        """All three see each other, and go on doing so until 15."""
        super().setUp()
        self.versions = 0
        for at in (0.0, 5.0, 10.0, 15.0):
            self.see("ams fra nyc", "", at)

    def see(self, observers: str, down: str, now: float) -> None:
        self.versions += 1
        self.observe(*(rows(each, down, version=self.versions) for each in observers.split()), now=now)
        self.observers.believe(now)

    def test_cut_off(self) -> None:
        """What it finds before it knows is answered by, and not kept."""
        self.see("ams", "nyc", 27.0)
        self.assertEqual((self.down(27.0), self.standing(27.0)), (["nyc"], Standing.AGREED))
        self.see("ams", "nyc fra", 28.0)
        self.assertEqual((self.down(28.0), self.standing(28.0)), ([], Standing.AGREED), "as the others said last")
        self.assertEqual((self.down(30.0), self.standing(30.0)), ([], Standing.ALONE_KEPT))

    def test_one_is_lost_and_then_cut_off(self) -> None:
        """What those that are left agreed on before the cut is kept."""
        for at in (20.0, 25.0, 30.0):
            self.see("ams fra", "nyc", at)
            self.assertEqual(self.down(at), ["nyc"])
        self.see("ams", "nyc fra", 42.0)
        self.assertEqual((self.down(45.0), self.standing(45.0)), (["nyc"], Standing.ALONE_KEPT))

    def test_cut_off_as_one_is_lost(self) -> None:
        """What nobody has been heard after is not kept: it may be by the cut."""
        self.see("ams fra", "nyc", 25.0)
        self.see("ams", "nyc fra", 37.0)
        self.assertEqual((self.down(40.0), self.standing(40.0)), ([], Standing.ALONE_KEPT))


class TwoTests(Case):
    count = 2

    def test_the_other_is_down(self) -> None:
        """Or we are; whoever asks here has reached here, and is answered with what can be reached from here."""
        self.observe(rows("ams", "fra"))
        self.assertEqual((self.down(), self.standing()), (["fra"], Standing.AGREED))

    def test_each_goes_on_with_itself(self) -> None:
        for own, other in (("ams", "fra"), ("fra", "ams")):
            self.observers = Observers(own)
            self.observers.configure({"ams": 5.0, "fra": 5.0}, 0.0)
            self.observe(rows(own, other))
            self.assertEqual(self.down(100.0), [other])


class SplitTests(SynchronousTestCase):
    """Each POP of each side of a split hears its own side only, for a time, and then for long."""

    def tables(self, *sides: str) -> dict[str, tuple[Standing, set[str]]]:
        """After the split has been noticed: of each POP its standing, and who is up."""
        pops = [pop for side in sides for pop in side.split()]
        tables = {}
        for side in sides:
            for own in side.split():
                observers = Observers(own)
                observers.configure(dict.fromkeys(pops, 5.0), 0.0)
                for step in range(40):
                    now = step * 5.0
                    for observer in pops:
                        seen = pops if step < 3 else side.split()
                        if observer in seen:
                            about = tuple(Row(pop=pop, up=pop in seen) for pop in pops if pop != observer)
                            observers.observe(Rows(observer=observer, epoch=1, version=step + 1, rows=about), now)
                    believed = observers.believe(now)
                tables[own] = believed.standing, {pop for pop, row in believed.rows.items() if row.up}
        return tables

    def test_majority_and_minority(self) -> None:
        """The larger side goes on without the other; the smaller answers everything that is configured."""
        tables = self.tables("a b c", "d e")
        for pop in "abc":
            self.assertEqual(tables[pop], (Standing.AGREED, set("abc")))
        for pop in "de":
            self.assertEqual(tables[pop], (Standing.ALONE_ALL, set("abcde")))

    def test_equal_halves(self) -> None:
        for table in self.tables("a b", "c d").values():
            self.assertEqual(table, (Standing.ALONE_ALL, set("abcd")))

    def test_one_of_three(self) -> None:
        tables = self.tables("a b", "c")
        self.assertEqual(tables["a"], (Standing.AGREED, set("ab")))
        self.assertEqual(tables["c"], (Standing.ALONE_ALL, set("abc")))
