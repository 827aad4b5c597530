"""
Probing: what a target says when it is looked at, over real sockets (requirement 3.2; health for 5.1, 5.2).

Each protocol is a machine without sockets (``http``, ``ftp``, ``question``, ``smtp``, ``pages``; ``tls`` around one of
them); ``visit`` carries any of them over a socket, ``program`` runs a program, ``prober`` does so when a check is due.
A target is never believed: what it says is bounded in bytes and in time, whatever it sends, or does not.
"""

from appliance.probe.looking import Looking
from appliance.probe.prober import Prober, Watch

__all__ = ["Looking", "Prober", "Watch"]
