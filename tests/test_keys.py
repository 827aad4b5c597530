"""Sets of keys: made of runs, shown as runs, and the same object for the same set."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.leasing.lease import Surplus
from appliance.model import (
    UDP_KEYS,
    Address,
    Service,
    Transport,
    all_keys,
    joined,
    keys_of,
    keys_of_runs,
    runs_of,
    shown,
)
from appliance.views import ports_of

PORTS = st.integers(1, 40) | st.integers(65530, 65535)
SERVICES = st.lists(st.tuples(st.sampled_from(Transport), PORTS, st.integers(0, 5)), max_size=6)
EVERY = Service(every=True, first_port=1, last_port=65535, to=1)


def service(transport: Transport, first: int, more: int) -> Service:
    return Service(transport=transport, first_port=first, last_port=min(first + more, 65535), to=first)


class KeyTests(SynchronousTestCase):
    @settings(derandomize=True, max_examples=200)
    @given(SERVICES)
    def test_of_services(self, words: list[tuple[Transport, int, int]]) -> None:
        """Every port of each, whatever overlaps, and the same object for any order; the runs are its own, apart."""
        services = [service(*each) for each in words]
        keys = keys_of(services)
        naive = {
            port + (UDP_KEYS if each.transport is Transport.UDP else 0) for each in services for port in each.ports()
        }
        self.assertEqual(keys, naive)
        self.assertIs(keys, keys_of(reversed(services)))
        runs = runs_of(keys)
        self.assertIs(keys_of_runs(reversed(runs)), keys)
        self.assertEqual([key for first, last in runs for key in range(first, last + 1)], sorted(naive))
        self.assertTrue(all(before[1] + 1 < after[0] for before, after in itertools.pairwise(runs)), runs)

    def test_every_port(self) -> None:
        """A site with all of them costs no more than another: one set for all such sites, with the exact ones in it."""
        keys = keys_of([EVERY])
        self.assertEqual(len(keys), 65535)
        self.assertIs(keys_of([service(Transport.TCP, 80, 5), EVERY]), keys)
        self.assertIs(joined(keys, keys), keys)
        self.assertIs(joined(keys_of([service(Transport.TCP, 80, 0)]), keys), keys)

    def test_shown(self) -> None:
        """In as few words as there are runs; so it is in a ``repr``."""
        keys = keys_of([EVERY, service(Transport.UDP, 53, 0), service(Transport.UDP, 6000, 5)])
        self.assertEqual(shown(keys), "1-65535 65589 71536-71541")
        self.assertEqual(ports_of(keys), ["1-65535/tcp", "53/udp", "6000-6005/udp"])
        self.assertEqual(ports_of(all_keys()), ["0-65535/tcp", "0-65535/udp"])
        self.assertEqual((shown(frozenset()), ports_of(frozenset())), ("", []))
        surplus = Surplus(address=Address("192.0.2.1"), site="a.example", keep=keys, ends_at=1.0)
        self.assertIn("keep=1-65535 65589 71536-71541,", repr(surplus))
