"""
Which address and port a connection to a server comes from.

The room promises that no pair is used twice at a time, that one rests before it is used again, that a pool grows as it
is needed and shrinks back to nothing, and that taking a pair costs the same however many there are.  It knows no clock,
no socket and no log: ``now`` comes in, blocks go out.  Requirements 4.1 to 4.5; US 7,089,328, 7,072,981, 7,660,909.
"""

from appliance.ports.blocks import Block, Subpool
from appliance.ports.counts import Counts
from appliance.ports.intervals import Interval, Intervals
from appliance.ports.pairs import Pairs
from appliance.ports.pool import PairPool
from appliance.ports.supply import Level

__all__ = ["Block", "Counts", "Interval", "Intervals", "Level", "PairPool", "Pairs", "Subpool"]
