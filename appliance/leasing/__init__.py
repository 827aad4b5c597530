"""
Who holds which address until when.

The room promises that two sites never hold the same (address, protocol, port), that no promise outlives its lease, that
an address rests before another site gets it, that nobody drains the pool by asking alone, and that no operation costs
more because there are more leases.  It knows no clock, no socket and no log: ``now`` comes in, plans and events go out.
Requirements 1.1, 1.2, 1.3, 1.5 to 1.12.
"""

from appliance.events import State
from appliance.leasing.connections import Connections
from appliance.leasing.gates import PROOF_WANTED, Verdict, prefix_of
from appliance.leasing.lease import NEVER, Counts, Lease, Plan, Promise
from appliance.leasing.periods import Span
from appliance.leasing.table import LeaseTable

__all__ = [
    "NEVER",
    "PROOF_WANTED",
    "Connections",
    "Counts",
    "Lease",
    "LeaseTable",
    "Plan",
    "Promise",
    "Span",
    "State",
    "Verdict",
    "prefix_of",
]
