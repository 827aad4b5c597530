"""
What a question is answered from zone data, and which questions need a lease.

The room promises RFC 1034 section 4.3.2 (with RFC 2308, 4592 and 6672) over zones that never change while they are
used.  It knows no socket, no clock and no lease: a site's A question comes out as :class:`NeedsLease`, and
:func:`leased` makes the answer once somebody knows the address.  Nor does it know who is up: an address question for a
name of the POP network's customers comes out as :class:`NeedsChoice`, for :func:`chosen`.  Names are wire bytes in
lower case.
"""

from appliance.naming.answer import answer, lacks
from appliance.naming.completing import chosen, exhausted, leased, unchosen
from appliance.naming.messages import fill
from appliance.naming.names import from_text, to_text
from appliance.naming.values import Answer, ExtendedError, NeedsChoice, NeedsLease, Question, RRset
from appliance.naming.zone import SiteNames, Zone, Zones

__all__ = [
    "Answer",
    "ExtendedError",
    "NeedsChoice",
    "NeedsLease",
    "Question",
    "RRset",
    "SiteNames",
    "Zone",
    "Zones",
    "answer",
    "chosen",
    "exhausted",
    "fill",
    "from_text",
    "lacks",
    "leased",
    "to_text",
    "unchosen",
]
