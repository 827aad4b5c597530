"""
Rows for people and programs.

From tables to plain dicts (what the API, a CLI or a person at the manhole is shown) and from dicts to aligned text.
The room promises that looking changes nothing.
"""

from appliance.views.natpools import nat_pool_row
from appliance.views.rows import (
    Row,
    flow_row,
    for_people,
    lease_row,
    pin_row,
    pool_row,
    ports_of,
    secondary_row,
    site_row,
    span,
)
from appliance.views.table import as_table
from appliance.views.texts import explanation_text, status_text

__all__ = [
    "Row",
    "as_table",
    "explanation_text",
    "flow_row",
    "for_people",
    "lease_row",
    "nat_pool_row",
    "pin_row",
    "pool_row",
    "ports_of",
    "secondary_row",
    "site_row",
    "span",
    "status_text",
]
