"""The command line's orders: the words, what is asked of the process, and waiting for something to drain."""

from __future__ import annotations

import contextlib
import io
import json
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from appliance.commands import main, orders
from appliance.commands.socket import ControlError

SITE = "www.example.test"


class FakeControl:
    """
    The running process.

    :ivar posted: (verb, request) of each order.
    :ivar lists: what the next look at a list finds; the last one stays.  An exception is raised.
    """

    def __init__(self) -> None:
        self.posted: list[tuple[str, Any]] = []
        self.lists: list[Any] = []
        self.answer: dict[str, Any] = {
            "name": "alpha",
            "kind": "real",
            "connections": None,
            "warning": None,
            "items": [],
            "changed": [{"setting": "state", "value": "draining", "configured": "in-service"}],
        }

    def post(self, what: str, request: Any) -> Any:
        self.posted.append((what, request))
        return self.answer

    def items(self, what: str) -> list[dict[str, Any]]:
        found = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(found, BaseException):
            raise found
        return [{"virtual" if what == "virtuals" else "server": name, **row} for name, row in found.items()]


class OrderCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.control = FakeControl()
        self.slept: list[float] = []
        self.patch(orders, "Control", lambda path: self.control)
        self.patch(time, "sleep", self.slept.append)

    def run_it(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(words)
            except SystemExit as wrong:
                code = int(wrong.code or 0)
        return code, out.getvalue(), err.getvalue()


class WordTests(OrderCase):
    def test_words(self) -> None:
        """What is not said is not asked for."""
        for words, request in (
            (("virtual", f"{SITE}:80:1"), {"virtual": f"{SITE}:80:1"}),
            (("virtual", SITE, "in-service"), {"virtual": SITE, "state": "in-service"}),
            (("real", "alpha"), {"real": "alpha"}),
            (("real", "alpha", "out-of-service"), {"real": "alpha", "state": "out-of-service"}),
            (
                ("real", "alpha", "--weight", "0", "--threshold", "9", "--max-connections", "7"),
                {"real": "alpha", "weight": 0, "threshold": 9, "max_connections": 7},
            ),
            (("bind", SITE, "alpha"), {"virtual": SITE, "real": "alpha"}),
            (("unbind", SITE, "alpha"), {"virtual": SITE, "real": "alpha"}),
            (("assign", SITE, "192.0.2.0/24"), {"virtual": SITE, "client": "192.0.2.0/24"}),
            (
                ("unassign", SITE, "192.0.2.0", "255.255.255.0"),
                {"virtual": SITE, "client": "192.0.2.0", "mask": "255.255.255.0"},
            ),
            (("backup", "alpha", "beta"), {"name": "alpha", "backup": "beta"}),
            (("backup", "virtual", SITE, "b.test"), {"kind": "virtual", "name": SITE, "backup": "b.test"}),
            (("backup", "alpha", "--none"), {"name": "alpha", "backup": None}),
            (("in-service", "alpha"), {"name": "alpha"}),
            (("out-of-service", "real", "alpha"), {"kind": "real", "name": "alpha"}),
            (("out-of-service", "fra1"), {"name": "fra1"}),
            (("in-service", "pop", "fra1"), {"kind": "pop", "name": "fra1"}),
            (("revert", "pop", "fra1"), {"kind": "pop", "name": "fra1"}),
            (("drain", "real"), {"name": "real"}),
            (("revert", "alpha"), {"name": "alpha"}),
            (("revert", "alpha", "weight"), {"name": "alpha", "setting": "weight"}),
            (
                ("revert", "virtual", SITE, "client", "192.0.2.1"),
                {"kind": "virtual", "name": SITE, "setting": "client 192.0.2.1"},
            ),
        ):
            self.assertEqual(self.run_it(*words)[0], 0, words)
            self.assertEqual(self.control.posted.pop(), (words[0], request))

    def test_wrong_words(self) -> None:
        for words in (
            ("drain",),
            ("drain", "alpha", "beta"),
            ("backup", "alpha"),
            ("backup", "alpha", "beta", "--none"),
            ("real", "alpha", "draining"),
            ("real", "alpha", "--weight", "x"),
            ("bind", SITE),
        ):
            self.assertEqual(self.run_it(*words)[0], 2, words)
        self.assertEqual(self.control.posted, [])

    def test_json_and_warnings(self) -> None:
        """One document on stdout; what a restart will not know on stderr."""
        self.control.answer["warning"] = "it holds, but"
        code, out, err = self.run_it("drain", "alpha", "--json")
        self.assertEqual((code, json.loads(out)["name"], err), (0, "alpha", "appliance: it holds, but\n"))
        self.assertEqual(self.run_it("drain", "alpha")[1], "alpha: state draining (file: in-service)\n")


class DrainTests(OrderCase):
    def drain(self, *lists: Any, words: tuple[str, ...] = (), **answer: Any) -> tuple[int, str, str]:
        self.control.lists = list(lists)
        self.control.answer |= {"connections": 3, "items": [{"server": "alpha"}], **answer}
        return self.run_it("drain", "alpha", "--wait", *words)

    def test_until_it_is_empty(self) -> None:
        """It says how many are left when that changes."""
        rows = [
            {"alpha": {"connections": left, "state": "draining"}, "beta": {"connections": 9}} for left in (3, 3, 1, 0)
        ]
        code, out, _ = self.drain(*rows)
        self.assertEqual(code, 0)
        said = ["alpha: 3 connections left", "alpha: 1 connection left", "alpha: empty"]
        self.assertEqual(out.splitlines()[1:], said)
        self.assertEqual(len(self.slept), 4)

    def test_without_waiting(self) -> None:
        self.control.answer |= {"connections": 3}
        self.assertEqual(self.run_it("drain", "alpha")[0], 0)
        self.assertEqual(self.slept, [])

    def test_nothing_is_left(self) -> None:
        self.assertEqual(self.drain(connections=0)[0], 0)
        self.assertEqual(self.slept, [])

    def test_one_that_leaves_the_file(self) -> None:
        """It is waited for as before, until it is in no list."""
        row = {"connections": 1, "state": "in-service", "leaving": True}
        code, out, _ = self.drain({"alpha": row}, {"beta": {"connections": 9}})
        self.assertEqual((code, out.splitlines()[-1], len(self.slept)), (0, "alpha: empty", 2))

    def test_in_service_again(self) -> None:
        """Somebody else has put it back: it would never be empty."""
        code, _, err = self.drain({"alpha": {"connections": 2, "state": "in-service", "leaving": False}})
        self.assertEqual(code, 1)
        self.assertIn("alpha was put into service again", err)

    def test_a_virtual_server(self) -> None:
        """All that the name means are counted together."""
        names = f"{SITE}:80:0", f"{SITE}:443:0"
        rows = [{name: {"connections": left, "state": "out-of-service"} for name in names} for left in (1, 0)]
        code, out, _ = self.drain(*rows, name=SITE, kind="virtual", items=[{"virtual": name} for name in names])
        self.assertEqual((code, out.splitlines()[2:]), (0, [f"{SITE}: 2 connections left", f"{SITE}: empty"]))

    def test_quietly(self) -> None:
        """With --json there is one document."""
        code, out, _ = self.drain({"alpha": {"connections": 1, "state": "draining"}}, {}, words=("--json",))
        self.assertEqual((code, json.loads(out)["connections"]), (0, 3))

    def test_ctrl_c(self) -> None:
        """It goes on draining."""
        code, _, err = self.drain(KeyboardInterrupt())
        self.assertEqual((code, err), (130, "\nappliance: alpha goes on draining\n"))
        self.assertEqual([verb for verb, _ in self.control.posted], ["drain"])

    def test_the_process_ends(self) -> None:
        """The wait is over, with the reason."""
        code, _, err = self.drain(ControlError("var/control.sock: Connection refused"))
        self.assertEqual(code, 1)
        self.assertIn("Connection refused", err)
