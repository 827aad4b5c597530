"""Pages that another machine writes about itself: how busy it is, and what it has seen of others (requirement 3.2)."""

from __future__ import annotations

from appliance.model.health import Cause
from appliance.peering import MOST_BYTES, parse_load, parse_rows
from appliance.probe.conversation import shown
from appliance.probe.http import Http


class LoadPage(Http):
    """JSON of a Load, each part of it optional; anything else is ``content``."""

    __slots__ = ()

    def wants_content(self) -> bool:
        return True

    def judged(self, code: int, reason: str, content: bytes) -> None:
        try:
            load = parse_load(content)
        except ValueError as wrong:
            self.found(Cause.CONTENT, shown(str(wrong)))
        else:
            self.found(Cause.OK, f"{code} {reason}".rstrip(), load)


class RowsPage(Http):
    """JSON of Rows; anything else, also a code other than 200, is no success."""

    __slots__ = ()

    def __init__(self, sent: bytes) -> None:
        super().__init__(sent, ((200, 200),), b"", MOST_BYTES)

    def wants_content(self) -> bool:
        return True

    def judged(self, code: int, reason: str, content: bytes) -> None:
        try:
            rows = parse_rows(content)
        except ValueError as wrong:
            self.found(Cause.CONTENT, shown(str(wrong)))
        else:
            self.found(Cause.OK, f"{code} {reason}".rstrip(), rows=rows)
