"""
Asking the running process over its control socket: HTTP over UNIX, JSON both ways.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from appliance.errors import ApplianceError

DEFAULT_SOCKET = "var/control.sock"
VARIABLE = "APPLIANCE_CONTROL"
"""Of the environment: the socket, where ``--control`` does not say it."""

PATIENCE = 60.0
"""Seconds that an answer may take; a snapshot of many leases on a slow disk takes some."""


class ControlError(ApplianceError):
    """The process cannot be asked, or refuses; ``str()`` says why."""


class _Connection(http.client.HTTPConnection):
    """:param path: of the socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


class Control:
    """:param path: of the socket; empty: the environment's, or ``var/control.sock``."""

    def __init__(self, path: str) -> None:
        self._path = path or os.environ.get(VARIABLE) or DEFAULT_SOCKET

    def get(self, what: str, **parameters: str) -> Any:
        """:raises ControlError: with the reason."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self._ask("GET", f"/api/v1/{what}{query}", None)

    def items(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        """All rows of a list, which may come in several parts."""
        rows: list[dict[str, Any]] = []
        part = self.get(what, **parameters)
        rows += part["items"]
        while part["next"] is not None:
            part = self.get(what, **{**parameters, "after": part["next"]})
            rows += part["items"]
        return rows

    def post(self, what: str, request: Mapping[str, Any]) -> Any:
        """:raises ControlError: with the reason."""
        return self._ask("POST", f"/api/v1/{what}", json.dumps(request))

    def _ask(self, method: str, path: str, data: str | None) -> Any:
        connection = _Connection(self._path)
        try:
            connection.request(method, path, data, {"content-type": "application/json"} if data else {})
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except OSError as error:
            why = error.strerror or str(error) or "no answer"
            raise ControlError(
                f"{self._path}: {why}; is the process running, and is this its control socket? "
                f"(--control SOCKET, or {VARIABLE})"
            ) from error
        except (ValueError, http.client.HTTPException) as error:
            raise ControlError(f"{self._path}: what answers there is no appliance ({error})") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ControlError(str(found["error"]["message"]))
        return found
