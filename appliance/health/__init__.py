"""
What works, as far as can be told: by this process's own checks, and by what other POPs say.

The room promises that a check's failures are believed as configured and not before, that every check is done in its
time and never twice at once, that ``until`` is never later than a state's next change, and that a POP which is cut off
does not take the others for dead.  It knows no socket and no clock: ``now`` comes in, checks to begin and events go
out.  Requirements 3.1, 3.2, 5.1 and 5.2.
"""

from appliance.health.board import Board
from appliance.health.condition import Condition
from appliance.health.events import (
    PopsAgreed,
    PopsAlone,
    SubjectDown,
    SubjectEvent,
    SubjectFlapping,
    SubjectForced,
    SubjectUp,
)
from appliance.health.observers import Believed, Observers, Standing
from appliance.health.watch import CheckRow

__all__ = [
    "Believed",
    "Board",
    "CheckRow",
    "Condition",
    "Observers",
    "PopsAgreed",
    "PopsAlone",
    "Standing",
    "SubjectDown",
    "SubjectEvent",
    "SubjectFlapping",
    "SubjectForced",
    "SubjectUp",
]
