"""
How busy this machine and this process are: what the process says of itself to other POPs and to people (3.2).

One timer of 100 ms shows how long work waits for its turn; once a second the rest is looked at.  The room promises to
cost less than a thousandth of a core, and knows nothing of names, leases or connections: counts are given to it.  It
remembers the POP's own load of past days, from which it says what will be unused (2.1).
"""

from appliance.vitals.machine import Machine, ThisMachine
from appliance.vitals.unused import Unused
from appliance.vitals.vitals import Vitals

__all__ = ["Machine", "ThisMachine", "Unused", "Vitals"]
