"""
How much a target can take, how much has been promised of it, and how much is left to sell.

The room promises that no answer names a target beyond its capacity: each one is a lease on the target's load, counted
until its TTL is over, and what is promised, what others promise and what is measured all have to fit.  It learns what
load hides behind a resolver, and foretells a POP's own load.  It knows no clock, no zone and no socket: ``now`` comes
in, numbers and verdicts go out.  Requirements 2.1, 2.8 and 3.2.
"""

from appliance.capacity.forecast import Forecast
from appliance.capacity.holding import Holding
from appliance.capacity.ledger import Ledger
from appliance.capacity.resolvers import ResolverBook, prefix_of
from appliance.capacity.supply import Supply
from appliance.capacity.values import Standing, Verdict

__all__ = ["Forecast", "Holding", "Ledger", "ResolverBook", "Standing", "Supply", "Verdict", "prefix_of"]
