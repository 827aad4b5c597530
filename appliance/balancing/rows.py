"""
What people see of servers and clients.
"""

from __future__ import annotations

import math
from ipaddress import IPv4Network

from appliance.balancing.board import Board
from appliance.balancing.real import Real
from appliance.balancing.values import Administrative, ClientRow, Operational, ServerRow, VirtualRow
from appliance.balancing.virtual import Virtual


def virtual_rows(board: Board) -> list[VirtualRow]:
    return [_virtual_row(virtual) for virtual in board.virtuals()]


def server_rows(board: Board, now: float) -> list[ServerRow]:
    return [_server_row(board.reals[name], now) for name in sorted(board.reals)]


def client_rows(board: Board, now: float) -> list[ClientRow]:
    """By hand or configuration first, then by behaviour; those in the order of the virtual servers."""
    rows = [
        ClientRow(client=client, virtual=virtual.name, by=by, ends_in=math.inf)
        for virtual in board.virtuals()
        for client, (_, by) in sorted(virtual.clients.items())
    ]
    for held in board.conduct.held():
        section = held.place.sections.get(held.bind_id)
        for virtual in section.virtuals if section is not None and held.until > now else ():
            client = IPv4Network(held.client)
            rows.append(ClientRow(client=client, virtual=virtual.name, by="behaviour", ends_in=held.until - now))
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
    if real.administrative is not Administrative.IN_SERVICE:
        state = real.administrative.value
    elif real.operational is not Operational.UP:
        state = real.operational.value
    else:
        state = Administrative.IN_SERVICE.value
    failed = real.operational is Operational.FAILED and real.wake_at is not None
    return ServerRow(
        name=real.name,
        address=real.server.address,
        port=real.port,
        state=state,
        administrative=real.administrative,
        operational=real.operational,
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
        failure=real.failure if real.ditched or real.operational is not Operational.UP else "",
        retried_in=max(0.0, (real.wake_at or 0.0) - now) if failed else 0.0,
        leaving=real.gone,
    )
