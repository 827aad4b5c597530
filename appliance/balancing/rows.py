"""
What people see of servers and clients.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

from appliance.balancing.behaviour import Held
from appliance.balancing.board import Board
from appliance.balancing.real import Real
from appliance.balancing.values import Administrative, ClientRow, Operational, ServerRow, VirtualRow
from appliance.balancing.virtual import Section, Virtual

Place = Callable[[str], Any]
Where = tuple[Any, int, int]
MOST = 1 << 32
"""More rows than there can be."""


class Shown:
    """What people may ask."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def virtuals(self, now: float) -> list[VirtualRow]:
        """By site, as configured; O(virtual servers)."""
        return virtual_rows(self._board)

    def servers(self, now: float) -> list[ServerRow]:
        """By name; O(servers)."""
        return server_rows(self._board, now)

    def clients(self, now: float, place: Place = str, after: Where | None = None, limit: int = MOST) -> list[ClientRow]:
        """Who is assigned to what; O(what the virtual servers of these rows have, and clients that are held)."""
        return client_rows(self._board, now, place, after, limit)


def virtual_rows(board: Board) -> list[VirtualRow]:
    return [_virtual_row(virtual) for virtual in board.virtuals()]


def server_rows(board: Board, now: float) -> list[ServerRow]:
    return [_server_row(board.reals[name], now) for name in sorted(board.reals)]


def client_rows(board: Board, now: float, place: Place, after: Where | None, limit: int) -> list[ClientRow]:
    """
    By virtual server, client and prefix length; rows are made for none but those that are returned.

    :param place: sorts virtual servers by their names.
    :param after: only what comes after this: a place, a client's address, and the length of its prefix.
    """
    held: dict[Section, list[Held]] = {}
    for each in board.conduct.held():
        section = each.place.sections.get(each.bind_id)
        if section is not None and each.until > now:
            held.setdefault(section, []).append(each)
    virtuals = [(place(each.name), each) for each in board.virtuals() if each.clients or each.section in held]
    rows: list[ClientRow] = []
    for at, virtual in sorted(virtuals, key=lambda each: each[0]):
        if after is not None and at < after[0]:
            continue
        entries = [
            (int(client.network_address), client.prefixlen, by, math.inf) for client, (_, by) in virtual.clients.items()
        ]
        entries += [(each.client, 32, "behaviour", each.until - now) for each in held.get(virtual.section, ())]
        if after is not None and at == after[0]:
            entries = [entry for entry in entries if entry[:2] > after[1:]]
        for client, length, by, ends_in in heapq.nsmallest(limit - len(rows), entries):
            prefix = IPv4Network((client, length))
            rows.append(ClientRow(client=prefix, virtual=virtual.name, by=by, ends_in=ends_in))
        if len(rows) == limit:
            break
    return rows


def _virtual_row(virtual: Virtual) -> VirtualRow:
    section, answer = virtual.section, virtual.answer
    if answer is None:
        word = ""
    elif isinstance(answer, bytes):
        word = "message"
    else:
        word = answer.value
    return VirtualRow(
        name=virtual.name,
        site=section.place.name,
        port=virtual.first_port,
        transport=virtual.transport,
        bind_id=section.bind_id,
        instance=section.instance.name if section.instance is not None else "",
        state=virtual.state,
        predictor=virtual.predictor,
        servers=tuple(real.name for real in virtual.bound),
        backup=virtual.backup,
        answer=word,
        connections=virtual.live,
        waiting=virtual.waiting(),
        places=section.places,
        total=virtual.total,
    )


def _server_row(real: Real, now: float) -> ServerRow:
    verdict = real.verdict()
    if real.administrative is not Administrative.IN_SERVICE:
        state = real.administrative.value
    elif verdict is not Operational.UP:
        state = verdict.value
    else:
        state = Administrative.IN_SERVICE.value
    waits = real.operational is Operational.FAILED and real.fault is None and real.wake_at is not None
    return ServerRow(
        name=real.name,
        address=real.server.address,
        port=real.port,
        state=state,
        administrative=real.administrative,
        operational=verdict,
        weight=real.weight,
        share=real.share,
        connections=real.live,
        opening=real.opening,
        max_connections=0 if real.most == math.inf else int(real.most),
        threshold=real.threshold,
        ditched=real.ditched,
        ditched_total=real.ditched_total,
        total=real.total,
        backup=real.backup,
        response=real.response,
        failure=real.why(),
        retried_in=max(0.0, (real.wake_at or 0.0) - now) if waits else None,
        leaving=real.gone,
    )
