"""
Which server a connection goes to, and what is known of virtual servers, real servers and clients.

The room promises that a connection goes to a server that takes new ones and has room, that the most specific assignment
of its client decides the instance (5.3, 5.4), that a server which does not answer is left alone and tried again (5.8),
and that nobody waits while there is room.  It knows no clock, no socket and no log: ``now`` comes in, decisions and
events go out.  Requirements 5.1 to 5.8 and 5.10 to 5.13.
"""

from appliance.balancing.balancer import Balancer
from appliance.balancing.ticket import State, Ticket
from appliance.balancing.values import (
    Administrative,
    Carried,
    ClientRow,
    Decision,
    Operational,
    Override,
    Refused,
    Route,
    ServerRow,
    Turned,
    VirtualRow,
    VirtualState,
    Wait,
    Why,
)

__all__ = [
    "Administrative",
    "Balancer",
    "Carried",
    "ClientRow",
    "Decision",
    "Operational",
    "Override",
    "Refused",
    "Route",
    "ServerRow",
    "State",
    "Ticket",
    "Turned",
    "VirtualRow",
    "VirtualState",
    "Wait",
    "Why",
]
