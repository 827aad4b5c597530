"""What the errors of a socket say of a target, or of this host."""

from __future__ import annotations

import errno
import os

from appliance.model.health import Cause, Layer
from appliance.probe.conversation import Finding

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN})
"""Errors of making a socket or a process that say that this host has run out of something."""

UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY})
"""Answers of connect(2) that are none yet."""

_LOCAL = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT}) | EXHAUSTED
"""Those that speak of this host: it has no port left, or a packet filter of its own is in the way."""

_CAUSES = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.ENETUNREACH: Cause.UNREACHABLE,
    errno.EHOSTUNREACH: Cause.UNREACHABLE,
    errno.ENETDOWN: Cause.UNREACHABLE,
    errno.EHOSTDOWN: Cause.UNREACHABLE,
    errno.ETIMEDOUT: Cause.TIMEOUT,
    errno.ECONNRESET: Cause.CLOSED,
    errno.EPIPE: Cause.CLOSED,
}


def finding_of(error: int, layer: Layer) -> Finding:
    """
    :param error: a number of errno(3).
    :param layer: how far the check had come.
    """
    if error in _LOCAL:
        return Finding(Cause.ERROR, os.strerror(error), layer=Layer.LOCAL)
    return Finding(_CAUSES.get(error, Cause.ERROR), os.strerror(error), layer=layer)


def silence(layer: Layer) -> Finding:
    """The deadline has come."""
    what = {Layer.CONNECT: "no connection", Layer.TLS: "no TLS"}.get(layer, "no whole answer")
    return Finding(Cause.TIMEOUT, f"{what} in time", layer=layer)
