"""The kernel's packet filter through libnftables: it takes all or nothing, and says why not."""

from __future__ import annotations

import os
import subprocess
import sys

from appliance.nat.netfilter import LIBRARY, Netfilter, NetfilterError
from tests.integration.hosts import need_namespaces, own_network
from tests.integration.process import ROOT, tool
from tests.integration.sockets import NatCase

TABLE = "add table ip ours { flags owner; }\nadd set ip ours some { type inet_service; }"
SCRIPT = """
from appliance.nat.netfilter import Netfilter, NetfilterError
try:
    Netfilter().run("add table ip ours")
except NetfilterError as error:
    print(error)
"""


def nft(*words: str) -> str:
    done = subprocess.run(["nft", *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


class NetfilterTests(NatCase):
    def setUp(self) -> None:
        own_network(self)
        super().setUp()
        self.netfilter = Netfilter()
        self.addCleanup(self.netfilter.close)

    def test_run(self) -> None:
        """Several commands, one after the other and at once."""
        self.netfilter.run(TABLE)
        self.netfilter.run("add element ip ours some { 80 }; add element ip ours some { 443 }\n")
        self.assertIn("elements = { 80, 443 }", nft("list", "ruleset"))

    def test_refused(self) -> None:
        """In nft's own words, and nothing of it was done."""
        self.netfilter.run(TABLE)
        for commands, words in (
            ("add element ip ours some { 80 }\ndelete element ip ours some { 81 }", "No such file or directory"),
            ("add element ip ours some { 80 }\nadd elephant", "syntax error"),
            ("add element ip ours some { 80 }\nadd element ip ours other { 80 }", "No such file or directory"),
        ):
            error = self.assertRaises(NetfilterError, self.netfilter.run, commands)
            self.assertRegex(str(error), f"^was refused by nftables: .*{words}.*$")
        self.assertNotIn("80", nft("list", "ruleset"))
        self.netfilter.run("add element ip ours some { 80 }")

    def test_owned(self) -> None:
        """Nobody else changes or flushes it; it goes with us, and only then."""
        self.netfilter.run(TABLE)
        self.assertEqual(nft("flush", "ruleset"), "")
        self.assertIn("Operation not permitted", nft("delete", "table", "ip", "ours"))
        other = Netfilter()
        self.addCleanup(other.close)
        self.assertRaises(NetfilterError, other.run, "delete table ip ours")
        self.assertEqual(nft("list", "tables"), "table ip ours\n")
        self.netfilter.close()
        self.netfilter.close()
        self.assertEqual(nft("list", "tables"), "")
        self.netfilter.run(TABLE)
        self.assertEqual(nft("list", "tables"), "table ip ours\n")

    def test_no_right(self) -> None:
        """Says which is missing."""
        words = [tool("setpriv", "util-linux"), "--bounding-set", "-net_admin", sys.executable, "-c", SCRIPT]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
        expected = "needs CAP_NET_ADMIN to set up nftables (a unit grants it with AmbientCapabilities=)\n"
        self.assertEqual((done.stdout, done.stderr), (expected, ""))


class MissingTests(NatCase):
    def test_no_library(self) -> None:
        """Is told when it is needed, with what to install."""
        netfilter = Netfilter("libnftables.so.0")
        self.addCleanup(netfilter.close)
        error = self.assertRaises(NetfilterError, netfilter.run, "list tables")
        self.assertIn(f"needs {LIBRARY} (apt install libnftables1): ", str(error))
        another = Netfilter("libc.so.6")
        self.assertIn(LIBRARY, str(self.assertRaises(NetfilterError, another.run, "list tables")))

    async def test_no_descriptors(self) -> None:
        """The library would end the process."""
        need_namespaces()
        netfilter = Netfilter()
        self.addCleanup(netfilter.close)
        netfilter.run("list tables")
        netfilter.close()
        held = await self.exhaust_descriptors()
        error = self.assertRaises(NetfilterError, netfilter.run, "list tables")
        self.assertEqual(str(error), "needs a netlink socket to nftables: Too many open files")
        os.close(held.pop())
        netfilter.run("list tables")
