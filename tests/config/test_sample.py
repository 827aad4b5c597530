"""Every key is one that works or one that does not yet; and ``etc/appliance.yaml`` shows all that do."""

from __future__ import annotations

import os
import re

from twisted.trial.unittest import SynchronousTestCase

from appliance.config import notyet
from appliance.config.tree import Node, parse
from tests.config import ROOT, all_shapes, faults


def at_place(tree: Node, place: str) -> list[Node]:
    """All nodes at a place as a shape has it."""
    nodes = [tree]
    for step in re.findall(r"[^.\[]+|\[\]", place):
        if step == "[]":
            nodes = [item for node in nodes for item in node.items]
        elif step == "*":
            nodes = [child for node in nodes for child in node.entries.values()]
        else:
            nodes = [node.entries[step] for node in nodes if step in node.entries]
    return nodes


class KeyTests(SynchronousTestCase):
    def test_all_not_yet_keys(self) -> None:
        """Every listed key is refused where it is listed, and as such."""
        samples = {
            "": "{}",
            "delivery.*": "delivery: {x: {%s: 1}}",
            "sites.*": "sites: {x: {%s: 1}}",
            "sites.*.services[]": "sites: {x: {services: [{%s: 1}]}}",
            "market": "market: {%s: 1}",
            "control": "control: {%s: 1}",
        }
        self.assertEqual(samples.keys(), notyet.KEYS.keys())
        for place, keys in notyet.KEYS.items():
            for key in keys:
                said = faults(samples[place] % key if place else f"{key}: 1")
                self.assertTrue(any(f"{key}: not yet supported" in fault for fault in said), (place, key, said))

    def test_places_exist(self) -> None:
        """A not-yet entry is in a mapping that is there, and not among the keys that work."""
        shapes = {shape.place: shape for shape in all_shapes()}
        for place, keys in notyet.KEYS.items():
            self.assertFalse(keys & shapes[place].keys.keys(), place)
        for place in notyet.VALUES:
            mapping, _, key = place.rpartition(".")
            self.assertIn(key, shapes[mapping].keys)


class SampleTests(SynchronousTestCase):
    def test_sample_shows_every_key(self) -> None:
        with open(os.path.join(ROOT, "etc", "appliance.yaml")) as file:
            sample = file.read()
        for each in all_shapes():
            for key in each.keys:
                self.assertRegex(sample, rf"(?m)^ *(# *|- \{{.*|.*\{{|- )?{key}:", each.place)

    def test_sample_has_every_key_in_its_place(self) -> None:
        """Not only in a comment, but for those that exclude others or name a file."""
        with open(os.path.join(ROOT, "etc", "appliance.yaml")) as file:
            tree = parse(file.read(), lambda node, message: self.fail(message))
        files = {"dns.cookies.secret", "dns.tsig.*.secret", "control.manhole.ssh", "control.manhole.authorized_keys"}
        files |= {"probes.*.ca", "probes.*.password"}
        excluded = {"dns.zones.*.file", "dns.zones.*.primary", "sites.*.address", "appliance.max_files"}
        missing = set()
        for each in all_shapes():
            nodes = at_place(tree, each.place)
            there = {key for node in nodes for key in node.entries}
            missing |= {f"{each.place}.{key}".lstrip(".") for key in each.keys if key not in there}
        primary = {"dns.zones.*.primary.address", "dns.zones.*.primary.key"}
        self.assertEqual(missing, files | excluded | primary)
