"""Reloads, one after the other: read in a thread, followed in the reactor."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from appliance.assembly import Appliance
from appliance.config import Config, loads
from appliance.errors import ApplianceError
from appliance.reloading import SLOW, Reloads

CONFIG = loads("dns: {listen: ['127.0.0.1:53']}\n", file="here.yaml", folder=".")


class ReloadsTests(TestCase):
    """:ivar followed: in which thread, each time."""

    timeout = 30

    def setUp(self) -> None:
        self.may_read = threading.Semaphore(0)
        self.read_in: list[threading.Thread] = []
        self.followed: list[threading.Thread] = []
        self.error: Exception | None = None
        self.reloads = Reloads(reactor, self.read, self.follow, lambda error: f"refused: {error}")
        self.addCleanup(self.may_read.release, 10)

    def read(self) -> Config:
        self.read_in.append(threading.current_thread())
        self.may_read.acquire()
        return CONFIG

    def follow(self, config: Config) -> str:
        self.assertIs(config, CONFIG)
        self.followed.append(threading.current_thread())
        if self.error is not None:
            raise self.error
        return f"number {len(self.followed)}"

    async def test_those_who_ask_meanwhile_share_the_next(self) -> None:
        first = self.reloads.ask()
        others = [self.reloads.ask() for _ in range(3)]
        self.assertEqual(self.followed, [])
        self.may_read.release(2)
        self.assertEqual(await first, (True, "number 1"))
        self.assertEqual([await each for each in others], [(True, "number 2")] * 3)
        self.may_read.release()
        self.assertEqual(await self.reloads.ask(), (True, "number 3"))
        main = threading.main_thread()
        self.assertEqual(self.followed, [main] * 3)
        self.assertNotIn(main, self.read_in)

    async def test_one_after_the_other(self) -> None:
        """Also where nobody waits any more when the next one is asked for."""
        self.may_read.release(2)
        for number in (1, 2):
            before = gc.get_freeze_count()
            self.assertEqual(await self.reloads.ask(), (True, f"number {number}"))
            self.assertGreater(gc.get_freeze_count(), before)
            await deferLater(reactor, 0.0)

    async def test_while_it_is_being_stopped(self) -> None:
        """What was read before is not followed any more; and a read that hangs is an alarm."""
        appliance = Appliance(reactor, CONFIG, lambda: CONFIG)
        done, said = await appliance.reload()
        self.assertEqual((done, said.splitlines()[1:]), (False, ["the appliance is being stopped"]))
        self.assertEqual([each for each in appliance._reading.alarms() if "more than a minute" in each], [])
        appliance._reloads.is_slow = True
        self.assertEqual(len([each for each in appliance._reading.alarms() if "more than a minute" in each]), 1)

    async def test_what_is_refused_is_collected(self) -> None:
        """A file of thousands of sites that is refused each minute would fill the memory else."""

        class Parsed:
            pass

        alive: list[weakref.ref[Parsed]] = []

        def read() -> Config:
            parsed = Parsed()
            alive.append(weakref.ref(parsed))
            try:
                raise ValueError(parsed)
            except ValueError as error:
                raise ApplianceError("no") from error

        reloads = Reloads(reactor, read, self.follow, str)
        for _ in range(3):
            self.assertEqual(await reloads.ask(), (False, "no"))
        self.may_read.release()
        self.assertEqual((await self.reloads.ask())[0], True)
        self.assertTrue(gc.isenabled())
        gc.collect()
        self.assertEqual([each() for each in alive], [None] * 3)

    async def test_what_hangs(self) -> None:
        """Is told of after a while, and nothing else suffers from it."""
        clock = Clock()
        clock.callFromThread = reactor.callFromThread  # type: ignore[attr-defined]
        reloads = Reloads(clock, self.read, self.follow, str)
        asked = reloads.ask()
        self.assertEqual((reloads.is_slow, gc.isenabled()), (False, False))
        clock.advance(SLOW)
        self.assertEqual((reloads.is_slow, gc.isenabled()), (True, True))
        self.may_read.release()
        self.assertEqual((await asked)[0], True)
        self.assertFalse(reloads.is_slow)

    async def test_what_is_refused(self) -> None:
        """And a bug is told and logged; the next one is as good as ever."""
        self.may_read.release(3)
        self.error = ApplianceError("no such folder")
        self.assertEqual(await self.reloads.ask(), (False, "refused: no such folder"))
        self.error = ZeroDivisionError()
        found: Any = await self.reloads.ask()
        self.assertEqual(found, (False, "a bug of the appliance; its log has the traceback"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.error = None
        self.assertEqual(await self.reloads.ask(), (True, "number 3"))
