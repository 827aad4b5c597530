"""
Who holds which address until when.

The room promises that one address never has two holders, that no promise outlives its lease, that an address rests
before another site gets it, and that no operation costs more because there are more leases.  It knows no clock, no
socket and no log: ``now`` comes in, plans and events go out.  Requirements 1.1, 1.2, 1.3, 1.6, 1.11.
"""

from appliance.leasing.connections import Connections
from appliance.leasing.lease import Counts, Lease, Plan, Promise, State
from appliance.leasing.periods import Span
from appliance.leasing.table import LeaseTable

__all__ = ["Connections", "Counts", "Lease", "LeaseTable", "Plan", "Promise", "Span", "State"]
