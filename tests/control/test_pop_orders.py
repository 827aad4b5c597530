"""A POP that a person takes out of service: at run time, beside what is measured, and after a restart."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import RequestError
from appliance.events import Override, Recovered
from appliance.health import SubjectForced
from appliance.model import Load
from appliance.shared import overrides
from tests.control.network import POPS, SHOP, WEB_1, World

IMG = "img.example.test"
FORCED = {"subject": "pop ams", "setting": "state", "value": "out-of-service", "configured": "in-service"}


def world(recovered: Recovered | None = None, **more: Any) -> World:
    made = World(recovered, SHOP, **more)
    made.network.pops.own_load = Load
    made.run(6)
    return made


class OrderTests(SynchronousTestCase):
    def test_out_and_in(self) -> None:
        """It is answered no more at once, also this POP itself; the file holds again when it is put back."""
        found = world()
        self.assertEqual(found.ask(IMG)[0], {"203.0.113.1"})
        answer = found.order("out_of_service", name="ams")
        self.assertEqual((answer["kind"], answer["name"]), ("pop", "ams"))
        changed = {"setting": "state", "value": "out-of-service", "configured": "in-service"}
        self.assertEqual(answer["changed"], [changed])
        [row] = answer["items"]
        self.assertEqual([row[key] for key in ("state", "by", "measured")], ["down", "forced", "up"])
        self.assertEqual(row["configured"], {"state": "in-service"})
        self.assertNotIn("203.0.113.1", found.ask(IMG)[0])
        self.assertEqual(found.carried.overrides(limit=9), [FORCED])
        answer = found.order("in_service", name="ams")
        self.assertEqual(answer["changed"], [{**changed, "value": "in-service"}])
        self.assertEqual((found.pop("ams")["by"], found.carried.overrides(limit=9)), ("own", []))

    def test_it_counts_whatever_the_others_say(self) -> None:
        """And it is no observation: neither are the others told, nor does this POP take itself for cut off."""
        found = world()
        for name in ("fra", "nyc"):
            found.order("out_of_service", name=name)
        found.gossip("nyc", ams=True, fra=True)
        found.gossip("fra", ams=True, nyc=True)
        self.assertEqual([found.pop(name)["state"] for name in POPS], ["up", "down", "down"])
        self.assertEqual([row.up for row in found.network.pops.rows().rows], [True, True, True])
        self.assertEqual(found.delivered.standing()["standing"], "agreed")
        untils = {row["candidate"]: row["until"] for row in found.explain(IMG)["candidates"]}
        self.assertIsNone(untils["fra"], "no rows of others change it")
        self.assertIsNotNone(untils["ams"])

    def test_revert(self) -> None:
        found = world()
        found.order("out_of_service", name="fra", kind="pop")
        self.assertEqual(found.refused("revert", name="fra", setting="weight")[0], "not-found")
        answer = found.order("revert", name="fra", setting="state")
        self.assertEqual(answer["changed"][0]["value"], "in-service")
        self.assertEqual(found.pop("fra")["state"], "up")
        self.assertEqual(found.refused("revert", name="fra")[0], "not-found")

    def test_twice_is_once(self) -> None:
        """Nothing is recorded that holds already."""
        found = world()
        found.order("in_service", name="fra")
        for _ in range(2):
            found.order("out_of_service", name="fra")
        self.assertEqual(len([event for event in found.heard if isinstance(event, Override)]), 1)

    def test_what_it_is_not(self) -> None:
        """A POP is not drained, has no backup, and is none where it is not in the file."""
        found = world()
        self.assertEqual(found.refused("drain", name="fra")[0], "not-found")
        self.assertEqual(found.refused("backup", name="fra", backup=None)[0], "not-found")
        code, message = found.refused("out_of_service", name="fra2", kind="pop")
        self.assertEqual((code, message), ("not-found", "no POP 'fra2'; there is ams, fra, nyc"))
        self.assertEqual(found.refused("drain", name="fra", kind="pop")[0], "invalid")
        listed = "'appliance servers', 'appliance virtuals' and 'appliance pops' list them"
        for verb in ("in_service", "out_of_service"):
            message = found.refused(verb, name="fra2")[1]
            self.assertEqual(message, f"no real server, virtual server or POP 'fra2'; {listed}")
        message = found.refused("drain", name="fra")[1]
        self.assertEqual(
            message, "fra is a POP; this is for real and virtual servers, and 'out-of-service' for POPs too"
        )

    def test_a_name_of_several(self) -> None:
        """Which is meant has to be said."""
        pops = {**POPS, "web-1": attrs.evolve(POPS["fra"], name="web-1")}
        found = world(pops=pops)
        code, message = found.refused("out_of_service", name=WEB_1.name)
        self.assertEqual(code, "ambiguous")
        self.assertEqual(message, "web-1 is a real server and a POP; write 'real web-1' or 'pop web-1'")
        found.order("out_of_service", name="web-1", kind="pop")
        self.assertEqual(found.pop("web-1")["state"], "down")
        self.assertEqual(found.carried.servers(name="web-1", limit=9)[0]["state"], "in-service")
        self.assertEqual(found.refused("revert", name="web-1")[0], "ambiguous")

    def test_a_site_of_the_same_name(self) -> None:
        found = world(
            pops={"ams": POPS["ams"], "site.example.test": attrs.evolve(POPS["fra"], name="site.example.test")}
        )
        code, message = found.refused("out_of_service", name="site.example.test")
        self.assertEqual(code, "ambiguous")
        self.assertIn("is a virtual server and a POP", message)

    def test_too_many(self) -> None:
        self.patch(overrides, "MOST", 1)
        found = world()
        found.order("out_of_service", name="fra")
        self.assertEqual(found.refused("out_of_service", name="nyc")[0], "too-many")
        self.assertEqual(found.pop("nyc")["state"], "up")

    def test_no_such_state(self) -> None:
        self.assertRaises(RequestError, world().network.forcing.order, "fra", "draining")


class RestartTests(SynchronousTestCase):
    def left(self, found: World) -> Recovered:
        return Recovered(entries=tuple(found.state.entries()))

    def test_it_is_taken_up(self) -> None:
        """By POPs and servers alike, each its own; and it is said again what counts."""
        before = world()
        before.order("out_of_service", name="ams")
        before.order("out_of_service", name="web-1")
        after = world(self.left(before))
        self.assertEqual([after.pop("ams")[key] for key in ("state", "by")], ["down", "forced"])
        self.assertEqual(after.carried.servers(name="web-1", limit=9)[0]["state"], "out-of-service")
        self.assertEqual(len(after.carried.overrides(limit=9)), 2)
        self.assertNotIn("203.0.113.1", after.ask(IMG)[0])
        self.assertEqual([event.subject for event in after.heard if isinstance(event, SubjectForced)], ["pop ams"])

    def test_one_that_has_left_the_file(self) -> None:
        """While nobody ran, or with a reload: the order ends, and does not come back with the POP."""
        before = world()
        before.order("out_of_service", name="fra")
        rest = {name: each for name, each in POPS.items() if name != "fra"}
        after = world(self.left(before), pops=rest)
        self.assertEqual(after.carried.overrides(limit=9), [])
        before.configure(rest)
        [*_, ended] = [event for event in before.heard if isinstance(event, Override)]
        self.assertEqual((ended.value, ended.reason), (None, "it is not in the file any more"))
        before.configure(POPS)
        before.run(6)
        self.assertEqual((before.pop("fra")["state"], before.carried.overrides(limit=9)), ("up", []))

    def test_a_reload_keeps_it(self) -> None:
        found = world()
        found.order("out_of_service", name="fra")
        found.configure(POPS)
        self.assertEqual(found.pop("fra")["by"], "forced")
