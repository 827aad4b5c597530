"""What the kernel was told of redirects, beside what it should have been told."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from appliance.errors import Blame, DataPathError
from appliance.nat.netfilter import NetfilterError
from appliance.nat.redirects import Redirect, Redirects
from tests.nat.filters import FakePacketFilter

A, B = IPv4Address("203.0.113.8"), IPv4Address("203.0.113.9")
ADDRESSES = st.sampled_from([A, B, IPv4Address("203.0.113.10")])
REDIRECTS = st.none() | st.builds(Redirect, st.integers(40000, 40003), st.frozensets(st.integers(1, 6), max_size=4))


class Machine(RuleBasedStateMachine):
    """
    Any order of changes, of a kernel that takes nothing for a while, and of a table that somebody took away.

    A naive model: what is wanted of each address, and where the kernel may be behind.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernel = FakePacketFilter()
        self.redirects = Redirects(self.kernel)
        self.wanted: dict[IPv4Address, Redirect] = {}
        self.behind: set[IPv4Address] = set()
        self.is_lost = False

    @rule(address=ADDRESSES, redirect=REDIRECTS)
    def lead(self, address: IPv4Address, redirect: Redirect | None) -> None:
        runs = self.kernel.runs
        try:
            self.redirects.lead(address, redirect)
        except DataPathError as error:
            assert self.kernel.failure is not None and error.blame is Blame.PROCESS
            return
        self._took_place(address, redirect, told=self.kernel.runs > runs)

    @rule(address=ADDRESSES, redirect=REDIRECTS)
    def give_up(self, address: IPv4Address, redirect: Redirect | None) -> None:
        runs = self.kernel.runs
        try:
            self.redirects.give_up(address, redirect)
        except DataPathError:
            assert self.kernel.failure is not None
            self._want(address, redirect)
            self.behind.add(address)
            return
        self._took_place(address, redirect, told=self.kernel.runs > runs)

    def _took_place(self, address: IPv4Address, redirect: Redirect | None, *, told: bool) -> None:
        if told:
            assert self.kernel.failure is None
            self.behind.clear()
            self.is_lost = False
        else:
            assert redirect == self.wanted.get(address) and address not in self.behind
        self._want(address, redirect)

    def _want(self, address: IPv4Address, redirect: Redirect | None) -> None:
        self.wanted.pop(address, None)
        if redirect is not None:
            self.wanted[address] = redirect

    @rule()
    def fail(self) -> None:
        self.kernel.failure = "was refused by nftables: Cannot allocate memory"

    @rule()
    def recover(self) -> None:
        self.kernel.failure = None

    @rule()
    def lose(self) -> None:
        self.is_lost = self.is_lost or self.kernel.table is not None
        self.kernel.close()

    @invariant()
    def the_kernel_knows(self) -> None:
        if self.is_lost:
            return
        for address in {*map(IPv4Address, self.kernel.every), *self.wanted} - self.behind:
            redirect = self.wanted.get(address)
            place = None if redirect is None else (str(address), redirect.port)
            assert self.kernel.every.get(str(address)) == place
            exact = {port for other, port in self.kernel.exact if other == str(address)}
            assert exact == (redirect.exact if redirect is not None else set())


class RedirectTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kernel = FakePacketFilter()
        self.redirects = Redirects(self.kernel)

    def test_model(self) -> None:
        run_state_machine_as_test(
            Machine,
            settings=settings(derandomize=True, max_examples=150, stateful_step_count=30, deadline=None),
        )

    def test_nothing_is_told_without_need(self) -> None:
        """Who has no such site has no table; and what stands is not told again."""
        self.redirects.lead(A, None)
        self.redirects.give_up(A, None)
        self.assertEqual((self.kernel.runs, self.kernel.table), (0, None))
        self.redirects.lead(A, Redirect(40000, frozenset({80})))
        self.redirects.lead(A, Redirect(40000, frozenset({80})))
        self.assertEqual((self.kernel.runs, self.kernel.table), (1, self.redirects.table))

    def test_changed(self) -> None:
        """In one go, and without an error, which would take the kernel a hundred times as long."""
        self.redirects.lead(A, Redirect(40000, frozenset({80, 443})))
        self.redirects.lead(A, Redirect(40001, frozenset({80, 22})))
        self.assertEqual(self.kernel.runs, 2)
        self.assertEqual(self.kernel.every, {str(A): (str(A), 40001)})
        self.assertEqual(self.kernel.exact, {(str(A), 80), (str(A), 22)})

    def test_prepared(self) -> None:
        """The first redirect then changes the table and does not make it."""
        self.redirects.prepare()
        self.redirects.prepare()
        self.assertEqual(self.kernel.runs, 1)
        self.redirects.lead(A, Redirect(40000))
        self.assertEqual((self.kernel.runs, self.kernel.every), (2, {str(A): (str(A), 40000)}))

    def test_refused(self) -> None:
        """It says which address, and why."""
        self.kernel.failure = "needs CAP_NET_ADMIN"
        self.assertRaises(NetfilterError, self.redirects.prepare)
        error = self.assertRaises(DataPathError, self.redirects.lead, A, Redirect(40000))
        self.assertEqual(str(error), f"{A}: port: all needs CAP_NET_ADMIN")
        self.assertIs(error.blame, Blame.PROCESS)
        self.assertIsNone(self.redirects.standing(A))

    def test_what_could_not_be_taken_away(self) -> None:
        """Is, before the address leads anywhere else; other addresses need not wait for that."""
        self.redirects.lead(A, Redirect(40000, frozenset({80})))
        self.kernel.failure = "was refused by nftables: Cannot allocate memory"
        self.assertRaises(DataPathError, self.redirects.give_up, A, None)
        self.assertRaises(DataPathError, self.redirects.lead, A, None)
        self.redirects.lead(B, None)
        self.kernel.failure = None
        self.redirects.lead(A, None)
        self.assertEqual((self.kernel.every, self.kernel.exact), ({}, set()))

    def test_two_processes(self) -> None:
        """Have tables of different names."""
        self.assertNotEqual(self.redirects.table, Redirects(self.kernel).table)
        self.assertRegex(self.redirects.table, r"^appliance_[0-9]+_[0-9a-f]{8}$")

    def test_closed(self) -> None:
        """There is nothing left, until something is asked for again."""
        self.redirects.lead(A, Redirect(40000))
        self.redirects.close()
        self.assertIsNone(self.kernel.table)
        self.assertIsNone(self.redirects.standing(A))
        self.redirects.lead(B, Redirect(40000))
        self.assertEqual((self.kernel.runs, self.kernel.every), (2, {str(B): (str(B), 40000)}))
