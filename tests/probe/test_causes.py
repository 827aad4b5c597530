"""What the errors of sockets say."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from appliance.model.health import Cause, Layer
from appliance.probe.causes import finding_of, silence


class CauseTests(SynchronousTestCase):
    def test_the_targets_own(self) -> None:
        for error, cause in (
            (errno.ECONNREFUSED, Cause.REFUSED),
            (errno.EHOSTUNREACH, Cause.UNREACHABLE),
            (errno.ENETUNREACH, Cause.UNREACHABLE),
            (errno.ETIMEDOUT, Cause.TIMEOUT),
            (errno.ECONNRESET, Cause.CLOSED),
            (errno.EPIPE, Cause.CLOSED),
            (errno.EIO, Cause.ERROR),
        ):
            found = finding_of(error, Layer.TLS)
            self.assertEqual((found.cause, found.layer, found.detail), (cause, Layer.TLS, os.strerror(error)))

    def test_this_hosts(self) -> None:
        """No target is down because this host has no port, no file or no right."""
        for error in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EPERM, errno.EACCES):
            found = finding_of(error, Layer.CONNECT)
            self.assertEqual((found.cause, found.layer), (Cause.ERROR, Layer.LOCAL))

    def test_silence(self) -> None:
        for layer in (Layer.CONNECT, Layer.TLS, Layer.APPLICATION):
            self.assertEqual((silence(layer).cause, silence(layer).layer), (Cause.TIMEOUT, layer))
