"""
What a question is answered from zone data, and which questions need a lease.

The room promises RFC 1034 section 4.3.2 (with RFC 2308, 4592 and 6672) over zones that never change while they are
used.  It knows no socket, no clock and no lease: a site's A question comes out as :class:`NeedsLease`, and
:func:`leased` makes the answer once somebody knows the address.  Names are wire bytes in lower case.
"""

from appliance.naming.answer import answer, exhausted, lacks, leased
from appliance.naming.messages import fill
from appliance.naming.names import from_text, to_text
from appliance.naming.values import Answer, ExtendedError, NeedsLease, Question, RRset
from appliance.naming.zone import SiteNames, Zone, Zones

__all__ = [
    "Answer",
    "ExtendedError",
    "NeedsLease",
    "Question",
    "RRset",
    "SiteNames",
    "Zone",
    "Zones",
    "answer",
    "exhausted",
    "fill",
    "from_text",
    "lacks",
    "leased",
    "to_text",
]
