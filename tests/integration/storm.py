"""
Two storms for a running process: one that kills it again and again, one that floods it with questions.

What clients were told is written down outside the process, which is the only place that no crash can reach.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from pathlib import Path

import attrs
import dns.message
import dns.rcode

from tests.integration.process import Running, until

WINDOW = 6.0
"""Seconds after which other sites are asked for."""


@attrs.frozen
class Told:
    """An answer, as its asker saw it: it was made between ``asked_at`` and ``heard_at``."""

    site: str
    address: str
    ttl: int
    asked_at: float
    heard_at: float


def contradictions(answers: list[Told]) -> list[str]:
    """Answers that name an address while an earlier one still promised it to another site."""
    found = []
    by_address: dict[str, list[Told]] = {}
    for answer in sorted(answers, key=lambda answer: answer.heard_at):
        for before in by_address.get(answer.address, ()):
            if before.site != answer.site and answer.heard_at < before.asked_at + before.ttl:
                found.append(f"{before} and then {answer}")
        # Only promises that still run can be contradicted.
        running = [one for one in by_address.get(answer.address, ()) if one.asked_at + one.ttl > answer.asked_at - 60]
        by_address[answer.address] = [*running[-200:], answer]
    return found


class Askers(threading.Thread):
    """Asks for one of the sites, again and again, and writes the answers down; silence is no answer."""

    def __init__(self, resolver: tuple[str, int], sites: list[str], seed: int) -> None:
        super().__init__(daemon=True)
        self._resolver = resolver
        self._sites = sites
        self._rng = random.Random(seed)
        self.answers: list[Told] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            # Only some are asked for at a time, so that others' leases end and their addresses move on.
            window = int(time.monotonic() / WINDOW) * 3
            site = self._sites[(window + self._rng.randrange(4)) % len(self._sites)]
            told = ask(self._resolver, site, patience=0.3)
            if told is not None:
                self.answers.append(told)
                if self._rng.random() < 0.3:
                    _connect(told)
            self.stopping.wait(self._rng.uniform(0.0, 0.02))


def ask(resolver: tuple[str, int], site: str, *, patience: float, source: str | None = None) -> Told | None:
    """:return: None where there was no answer in time, or none with an address."""
    query = dns.message.make_query(site, "A")
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        if source is not None:
            sock.bind((source, 0))
        sock.settimeout(patience)
        sock.connect(resolver)
        asked_at = time.monotonic()
        try:
            sock.send(query.to_wire())
            response = dns.message.from_wire(sock.recv(4096))
        except OSError:
            return None
    if response.rcode() != dns.rcode.NOERROR or not response.answer:
        return None
    [rrset] = response.answer
    return Told(site, str(rrset[0]), rrset.ttl, asked_at, time.monotonic())


def _connect(told: Told) -> None:
    """Some answers are used, so that leases are bound; what is behind the address does not matter."""
    with socket.socket() as sock:
        sock.settimeout(0.2)
        sock.connect_ex((told.address, 9))


def kill_again_and_again(
    file: Path, resolver: tuple[str, int], sites: list[str], kills: int, seed: int
) -> tuple[list[Told], list[str]]:
    """
    Start, let clients ask, SIGKILL at a random moment, start again on the same state.

    :return: all answers, and what the processes wrote, one text each.
    """
    rng = random.Random(seed)
    askers = [Askers(resolver, sites, seed + number) for number in range(3)]
    for asker in askers:
        asker.start()
    outputs = []
    try:
        for _ in range(kills):
            running = Running("--config", str(file))
            try:
                running.started()
                time.sleep(
                    rng.choice(
                        [rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.6), rng.uniform(0.2, 1.5), rng.uniform(1.0, 4.0)]
                    )
                )
            finally:
                running.process.kill()
                running.ended()
                running.stop()
            outputs.append(running.output())
    finally:
        for asker in askers:
            asker.stopping.set()
            asker.join()
    return [answer for asker in askers for answer in asker.answers], outputs


def flood(resolver: tuple[str, int], sites: list[str], sources: int, *, pause_every: int = 200) -> int:
    """
    One question from each of many addresses of 127.0.0.0/8, answers unread, as forged ones would be.

    :return: how many were sent.
    """
    queries = [dns.message.make_query(site, "A").to_wire() for site in sites]
    sent = 0
    for number in range(sources):
        address = f"127.{100 + number // 60000}.{number // 240 % 250}.{number % 240 + 10}"
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
            try:
                sock.sendto(queries[number % len(queries)], resolver)
                sent += 1
            except OSError:
                continue
        if number % pause_every == 0:
            # The socket's buffer is small, and what overflows it is no test of anything.
            until(lambda: ask(resolver, sites[0], patience=2.0) is not None or True, "an answer")
    return sent
