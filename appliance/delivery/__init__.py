"""
What a customer's names are answered with: its best web server, or the best POP (requirements 3.1, 3.2, 3.3, 3.5).

The room promises that nobody who is down is answered while anybody is up, that the same figures give the same answer
but for chance that comes in as ``rng``, that answers to static names change at most once in 30 s unless somebody went
down or is full, and that it says when an answer has changed.  It knows no clock, no socket and no log, and no figure
that it was not given: what is believed of a server or POP is somebody else's business.
"""

from appliance.delivery.chooser import Chooser
from appliance.delivery.explaining import Explanation, Reason, Term
from appliance.delivery.values import Candidate, Choice, OriginFigures, PopFigures, Standing, Why

__all__ = [
    "Candidate",
    "Choice",
    "Chooser",
    "Explanation",
    "OriginFigures",
    "PopFigures",
    "Reason",
    "Standing",
    "Term",
    "Why",
]
