"""
Rows for people and programs.

From tables to plain dicts (what the API, a CLI or a person at the manhole is shown) and from dicts to aligned text.
The room promises that looking changes nothing.
"""

from appliance.views.balance import client_row, server_row, virtual_row
from appliance.views.market import capacity_row, coming_rows, market_text
from appliance.views.natpools import nat_pool_row
from appliance.views.network import check_row, delivery_row, ledger_row, measured_row, pop_row, rule_words
from appliance.views.people import beside, for_people, span
from appliance.views.rows import (
    Row,
    flow_row,
    lease_row,
    pin_row,
    pool_row,
    ports_of,
    secondary_row,
    site_row,
)
from appliance.views.table import as_table
from appliance.views.texts import explanation_text, left_text, order_text, pops_text, status_text

__all__ = [
    "Row",
    "as_table",
    "beside",
    "capacity_row",
    "check_row",
    "client_row",
    "coming_rows",
    "delivery_row",
    "explanation_text",
    "flow_row",
    "for_people",
    "lease_row",
    "ledger_row",
    "left_text",
    "market_text",
    "measured_row",
    "nat_pool_row",
    "order_text",
    "pin_row",
    "pool_row",
    "pop_row",
    "pops_text",
    "ports_of",
    "rule_words",
    "secondary_row",
    "server_row",
    "site_row",
    "span",
    "status_text",
    "virtual_row",
]
