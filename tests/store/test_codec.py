"""What is written is read again, on this boot and on the next one."""

from __future__ import annotations

import math
from typing import cast

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from appliance.events import (
    AddressAdded,
    AddressDeclined,
    AddressFreed,
    AddressRemoved,
    ChoiceChanged,
    Event,
    LeaseBound,
    LeaseDraining,
    LeaseExtended,
    LeaseGranted,
    LeaseReclaimed,
    LeaseRecord,
    LeaseReset,
    Override,
    Pinned,
    PoolExhausted,
    State,
    Unpinned,
)
from appliance.model import Address
from appliance.store.codec import Clocks, change_of, fields_of
from appliance.store.lines import Damage, Record
from tests.store.world import lease

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
INSTANTS = st.integers(0, 10**12).map(lambda ms: ms / 1000)
ADDRESSES = st.ip_addresses(v=4)
LEASES = st.builds(
    LeaseRecord,
    pool=NAMES,
    address=ADDRESSES,
    site=NAMES,
    server=NAMES,
    state=st.sampled_from(State),
    granted_at=INSTANTS,
    promised_until=INSTANTS | st.just(math.inf),
    ends_at=INSTANTS | st.just(math.inf),
    longest=st.integers(1, 86400),
    unused=st.integers(0, 9),
    requests=st.integers(0, 10**9).map(lambda milli: milli / 1000),
    given_up=st.booleans(),
    drain_until=INSTANTS | st.just(math.inf),
    keys=st.frozensets(st.integers(0, 9) | st.integers(65530, 65540)),
)
LEASE_EVENTS = st.one_of(
    st.builds(LeaseDraining, at=INSTANTS, lease=LEASES, reason=NAMES),
    *(
        st.builds(kind, at=INSTANTS, lease=LEASES)
        for kind in (LeaseGranted, LeaseBound, LeaseExtended, LeaseReset, LeaseReclaimed)
    ),
)
FREED = st.builds(AddressFreed, at=INSTANTS, pool=NAMES, address=ADDRESSES, former=NAMES)
PINS = st.one_of(
    st.builds(
        Pinned,
        at=INSTANTS,
        site=NAMES,
        address=ADDRESSES,
        static=st.booleans(),
        longest=st.integers(0, 9999),
        waits=st.booleans(),
    ),
    st.builds(Unpinned, at=INSTANTS, site=NAMES, address=ADDRESSES),
)

OVERRIDES = st.builds(
    Override, at=INSTANTS, subject=NAMES, setting=NAMES, value=st.none() | NAMES, configured=st.none() | NAMES
)

HERE = Clocks("here", 1_700_000_000_123, 86_400_007)
STEPPED = Clocks("here", 1_600_000_000_000, 90_000_000)
"""Later on the same boot; somebody has set the wall clock back by years."""
REBOOTED = Clocks("there", 1_700_000_060_000, 5_000)


def written(what: Event | LeaseRecord, clocks: Clocks = HERE) -> Record:
    return {**clocks.stamp(1), **(fields_of(what, clocks) or {})}


class RoundTripTests(SynchronousTestCase):
    @given(LEASE_EVENTS)
    def test_leases(self, event: Event) -> None:
        """Every event of a lease leaves the whole lease; and so does a snapshot's row."""
        record = event.lease  # type: ignore[attr-defined]
        self.assertEqual(change_of(written(event), STEPPED), record)
        self.assertEqual(written(record), written(event))

    def test_what_older_records_do_not_say(self) -> None:
        """The newer fields have defaults."""
        old = {key: value for key, value in written(lease()).items() if key not in ("keys", "given_up", "drain_until")}
        self.assertEqual(change_of(old, STEPPED), lease())
        pinned = Pinned(at=1.0, site="a.test", address=Address("192.0.2.1"), longest=9)
        old = {key: value for key, value in written(pinned).items() if key not in ("longest", "waits")}
        self.assertEqual(change_of(old, STEPPED), attrs.evolve(pinned, longest=0))

    @given(FREED)
    def test_freed_addresses(self, event: AddressFreed) -> None:
        self.assertEqual(change_of(written(event), STEPPED), event)
        removed = AddressRemoved(**attrs.asdict(event))
        self.assertEqual(change_of(written(removed), STEPPED), event)

    @given(PINS)
    def test_pins(self, event: Event) -> None:
        self.assertEqual(change_of(written(event), STEPPED), event)

    @given(OVERRIDES)
    def test_overrides(self, event: Override) -> None:
        """Set and taken back; why is for people only."""
        self.assertEqual(change_of(written(event), STEPPED), event)
        self.assertEqual(written(attrs.evolve(event, reason="it was taken back")), written(event))

    @given(LEASES | FREED | PINS | OVERRIDES)
    def test_no_floats_on_disk(self, what: LeaseRecord | Event) -> None:
        """A YAML 1.1 loader and a JSON parser disagree about some."""
        self.assertNotIn(float, {type(value) for value in written(what).values()})

    def test_what_a_start_need_not_know(self) -> None:
        address = Address("192.0.2.1")
        declined = AddressDeclined(at=1, pool="p", address=address, site="s", by_all=True, reason="r", until=9)
        for event in (
            PoolExhausted(at=1, pool="p", site="s"),
            AddressAdded(at=1, pool="p", address=address),
            AddressFreed(at=1, pool="p", address=address, former=None),
            AddressRemoved(at=1, pool="p", address=address, former=None),
            declined,
            ChoiceChanged(at=1, customer="shop"),
        ):
            self.assertIsNone(fields_of(event, HERE))

    def test_what_is_no_record_of_ours(self) -> None:
        good = written(lease())
        for change in ({"kind": "spell"}, {"address": "nowhere"}, {"ends_at": "soon"}, {"state": "asleep"}):
            self.assertRaises(Damage, change_of, {**good, **change}, HERE)
        del good["longest"]
        self.assertRaises(Damage, change_of, good, HERE)
        for field in ("subject", "setting", "value", "configured", "at"):
            good = written(Override(at=1.0, subject="server alpha-1", setting="weight", value="2"))
            del good[field]
            self.assertRaises(Damage, change_of, good, HERE)


class ClockTests(SynchronousTestCase):
    def test_another_boot_has_the_wall_clock_only(self) -> None:
        """Written at uptime 86400.007 with 100 s to go; after a minute and a reboot there are 40.123 s left."""
        before = attrs.evolve(lease(), ends_at=86_400.007 + 100)
        found = cast(LeaseRecord, change_of(written(before), REBOOTED))
        self.assertAlmostEqual(found.ends_at - 5.0, 40.123, places=6)

    def test_a_step_between_writing_and_reading(self) -> None:
        """On the same boot it does not matter; on another one the time is what the wall clock says."""
        before = attrs.evolve(lease(), ends_at=86_400.007 + 100)
        record = written(before)
        self.assertEqual(cast(LeaseRecord, change_of(record, STEPPED)).ends_at, before.ends_at)
        ahead = attrs.evolve(REBOOTED, wall=REBOOTED.wall + 3_600_000)
        self.assertAlmostEqual(cast(LeaseRecord, change_of(record, ahead)).ends_at, 5.0 + 40.123 - 3600, places=6)

    @given(st.floats(0, 10**8), st.floats(0, 10**8))
    def test_ends_are_rounded_up_and_starts_down(self, start: float, end: float) -> None:
        before = attrs.evolve(lease(), granted_at=start, promised_until=end, ends_at=end)
        found = cast(LeaseRecord, change_of(written(before), STEPPED))
        self.assertGreaterEqual(found.ends_at, end - 2e-6)
        self.assertLessEqual(found.ends_at, end + 0.0011)
        self.assertLessEqual(found.granted_at, start + 2e-6)
        self.assertGreaterEqual(found.granted_at, start - 0.0011)

    @given(st.floats(0, 10**8))
    def test_writing_again_changes_nothing(self, end: float) -> None:
        """Or each restart would make every lease a millisecond longer."""
        once = cast(LeaseRecord, change_of(written(attrs.evolve(lease(), ends_at=end)), STEPPED))
        self.assertEqual(change_of(written(once, STEPPED), HERE), once)
