"""What another POP has seen of all others, fetched from its peers listener (requirement 3.2)."""

from __future__ import annotations

from appliance.model.delivery import Url
from appliance.probe.ground import Ground
from appliance.probe.http import request
from appliance.probe.pages import RowsPage
from appliance.probe.visit import Done, Visit


def rows_visit(ground: Ground, url: Url, timeout: float, done: Done) -> Visit:
    """
    Not begun yet; the finding has the rows where it is OK.

    :param url: the folder of its pages, whose ``rows`` is asked for.
    :raises ValueError: for a path that is none.
    """
    page = RowsPage(request("GET", f"{url.path.rstrip('/')}/rows", url.host))
    return Visit(ground, url.endpoint.address, url.endpoint.port, timeout, page, done)
