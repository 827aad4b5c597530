"""
Zone transfers: whole zones to other name servers and from them (AXFR, IXFR, NOTIFY, TSIG).

The room promises that nobody has a zone who is not configured to have it; that what comes in is a whole zone or
changes nothing; that no zone is served beyond its SOA's expiry; and that neither a slow secondary nor a hostile primary
holds up an answer.  It answers through the name server and puts new zones into SharedState, and knows neither.

From the outside in: ``service``; ``answering`` and ``outgoing`` (out); ``secondary``, ``schedule``, ``fetching``,
``incoming`` and ``zonefiles`` (in); ``notifying``; ``asking`` (sockets), ``keys`` (TSIG).
"""

from appliance.transfers.fetching import Patience
from appliance.transfers.incoming import Bounds
from appliance.transfers.service import ZoneTransfers

__all__ = ["Bounds", "Patience", "ZoneTransfers"]
