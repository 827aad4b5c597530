"""
Rows for people.

From tables to plain dicts (what a CLI, a page or a person at the manhole is shown) and from dicts to aligned text.  The
room promises that looking changes nothing.
"""

from appliance.views.rows import lease_rows, pool_rows, site_rows
from appliance.views.table import as_table

__all__ = ["as_table", "lease_rows", "pool_rows", "site_rows"]
