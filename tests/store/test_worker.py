"""The real thread, the real disk and the real reactor, together."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import gatherResults, succeed
from twisted.trial.unittest import TestCase

from appliance.errors import JournalError
from appliance.events import Fsync
from appliance.model import Address
from appliance.store import FileJournal
from appliance.store.codec import Clocks
from appliance.store.replay import replay
from appliance.store.scribe import boot_id
from appliance.store.worker import Worker
from tests.store.world import bound, granted, lease, reclaimed

reactor: Any = _reactor


class ThreadTests(TestCase):
    timeout = 30

    async def test_in_order_and_back_on_the_reactors_thread(self) -> None:
        worker = Worker(reactor)
        self.addCleanup(worker.stop)
        order: list[int] = []

        def job(number: int) -> int:
            order.append(number)
            return threading.get_ident()

        jobs = [worker.call(job, number) for number in range(9)]
        threads = set(await gatherResults(jobs))
        self.assertEqual((order, len(threads)), (list(range(9)), 1))
        self.assertNotIn(threading.get_ident(), threads)
        with self.assertRaises(ZeroDivisionError):
            await worker.call(lambda: 1 // 0)
        worker.stop()
        with self.assertRaises(JournalError):
            await worker.call(lambda: None)

    async def test_a_whole_life(self) -> None:
        folder = Path(self.mktemp())
        entries = [lease(number) for number in range(2000)]
        journal = FileJournal(reactor, folder, fsync=Fsync.GRANT, snapshot_interval=60, history_seconds=1e6)
        journal.open()
        journal.serve(lambda: iter(entries))
        for number in range(2000):
            journal.record(granted(number))
        taken = journal.snapshot()
        journal.record(bound(1))
        entries[1] = bound(1).lease
        waiting = journal.durable()
        assert waiting is not None
        await waiting
        await taken
        journal.record(reclaimed(3, at=95.0))
        entries[3] = reclaimed(3).lease
        await (journal.durable() or succeed(None))
        self.assertEqual(len(await journal.find(Address("192.0.2.3"))), 1)
        await journal.stop()
        now = Clocks(boot_id(), round(time.time() * 1000), round(reactor.seconds() * 1000))
        found = replay(folder, now).recovered
        self.assertEqual((set(found.entries), found.crashed), (set(entries), False))
