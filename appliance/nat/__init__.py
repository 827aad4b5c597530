"""
The NAT proxy: a leased address answers for its site's private server.

While a site's data path is open on an address, every port of its services has a listener there; what comes in goes
to the site's server and the replies leave from the leased address and port.  The room tells :class:`Traffic` of each
live TCP connection and each bound UDP session, and knows nothing else of leases.  It serves 1.4, and 1.6 and 1.10 by
what it tells.

Read :mod:`~appliance.nat.datapath` for what opens and closes, :mod:`~appliance.nat.side` for how bytes move.
"""

from appliance.nat.datapath import Nat
from appliance.nat.traffic import Counters, Flow, Traffic

__all__ = ["Counters", "Flow", "Nat", "Traffic"]
