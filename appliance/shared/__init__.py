"""
SharedState: the tables, the one clock, and who is told of what happened.

Every operation is synchronous, so on one reactor it is atomic and needs no lock - but for a new grant, which waits for
the disk; queries for the same site join it.  A grant is one transaction: the gates let it pass, the rules plan it, the
data path opens, the table commits, the journal has it on the disk, the answer leaves.  Data path and journal are ports
that may refuse; subscribers only hear of it afterwards.  Requirements 1.1 to 1.12, 5.10.
"""

from appliance.shared.carrying import servers_of
from appliance.shared.network import NetworkConfig
from appliance.shared.outcome import Refusal
from appliance.shared.overrides import Overrides
from appliance.shared.pinning import maximum_ttl
from appliance.shared.sitenames import delivered_names, site_names
from appliance.shared.state import SharedState

__all__ = [
    "NetworkConfig",
    "Overrides",
    "Refusal",
    "SharedState",
    "delivered_names",
    "maximum_ttl",
    "servers_of",
    "site_names",
]
