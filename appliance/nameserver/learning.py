"""What the wire cache keeps of a response that the plain path has made, if it can keep it at all."""

from __future__ import annotations

import dns.rcode

from appliance.nameserver.forms import COOKIE, TC, Form
from appliance.nameserver.kept import Entry, Tally, place_of_lease, pointers_of
from appliance.naming import Answer

COOKIE_SIZE = 24
"""Bytes of a client cookie and our server cookie."""

_OVERHEAD = 700
"""Bytes that an entry costs beside its texts, as measured with tracemalloc."""

_NOTHING_THERE = (dns.rcode.NXDOMAIN, dns.rcode.REFUSED)


def entry_of(
    data: bytes, form: Form, response: bytes, answer: Answer, tally: Tally, *, shared: bytes, cookies: bool
) -> Entry | None:
    """
    :param data: the query, ``response``: all that was sent.
    :param shared: where the response for all names that are not there is; empty for another name.
    :param cookies: who sends a cookie gets one.
    :return: None for what cannot be kept: it would not be right for others who ask the same.
    """
    if shared and (answer.rcode not in _NOTHING_THERE or answer.answer or answer.site is not None):
        return None
    if response[2] & TC and (shared or answer.site is not None):
        return None
    tail = response[form.end :]
    if form.cookie is not None and cookies:
        if tail[-COOKIE_SIZE - 4 : -COOKIE_SIZE] != COOKIE + b"\0\x18":
            return None
        tail = tail[:-COOKIE_SIZE]
    place = 0
    if answer.site is not None:
        place = place_of_lease(tail, answer.answer[-1].rdatas[0].to_wire() or b"", opt=form.opt)
        if place < 0:
            return None
    pointers = None
    if shared and answer.authority:
        pointers = pointers_of(tail, form.end - 4 - len(answer.authority[0].owner))
        if pointers is None:
            return None
    name, kind_and_class = data[12 : form.end - 4].lower(), data[form.end - 4 : form.end]
    simple = form.cookie is None and not shared and data[12 : form.end - 4] == name
    wire = response[2:12] + name + kind_and_class + tail
    entry = Entry(shared or form.key, data[2:] if simple else b"", wire, response[2:12], tail, tally, place)
    entry.pointers, entry.end = pointers or (), form.end
    entry.size = len(entry.key) + len(entry.exact_key) + len(wire) + len(tail) + _OVERHEAD
    return entry
