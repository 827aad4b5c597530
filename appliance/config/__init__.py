"""
A YAML file becomes one frozen :class:`Config`, or one ``ConfigError`` that carries every fault of it.

The room promises that nothing but ``ConfigError`` leaves :func:`load` and :func:`loads`, whatever the file holds; that
each fault names file, line and key path, says what was found and what is allowed, and hides no other one; that what is
not built yet is refused, never ignored (``notyet.py`` lists it); and that a :class:`Config` needs no further checking.

From text to values: ``tree`` (YAML with places), ``shapes`` and ``scalars`` (how keys and values are read), ``schema``
and the modules of its sections (which there are), ``zones`` and ``masterfile``, ``checks`` and what it calls (across
sections), ``building`` (values of what is good), ``loading`` (all of it).  Serves the contract's configuration; knows
nothing of the rooms that are configured.
"""

from appliance.config.loading import load, loads
from appliance.config.values import (
    Config,
    CookieConfig,
    DNSConfig,
    LogConfig,
    LogFormat,
    LogLevel,
    ManholeSocket,
    ManholeSSH,
    PeersListen,
    Primary,
    RateLimit,
    TCPLimits,
    TransferConfig,
    TSIGAlgorithm,
    TSIGKey,
    ZoneConfig,
)

__all__ = [
    "Config",
    "CookieConfig",
    "DNSConfig",
    "LogConfig",
    "LogFormat",
    "LogLevel",
    "ManholeSSH",
    "ManholeSocket",
    "PeersListen",
    "Primary",
    "RateLimit",
    "TCPLimits",
    "TSIGAlgorithm",
    "TSIGKey",
    "TransferConfig",
    "ZoneConfig",
    "load",
    "loads",
]
