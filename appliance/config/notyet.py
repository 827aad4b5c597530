"""
What the public contract names and this version does not do yet, in one place.

Whoever builds one of these deletes its entry here and adds the key to ``schema.py``.  In a place, ``*`` stands for a
name that the user chose and ``[]`` for a list's entries; the empty place is the top of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KEYS: Mapping[str, frozenset[str]] = {
    "": frozenset({"cache"}),
    "sites.*": frozenset({"stale_clients", "unknown"}),
    "sites.*.services[]": frozenset({"name"}),
    "delivery.*": frozenset({"cache"}),
    "market": frozenset({"role", "controller", "slot", "purchasers", "offers", "notices"}),
    "control": frozenset({"http"}),
}
"""Keys, by the place of the mapping that they are in."""

VALUES: Mapping[str, re.Pattern[str]] = {
    "pools.*.when_exhausted": re.compile(r"[0-9]+(\.[0-9]+){3}"),
    "market.capacity.unit": re.compile("requests|sessions|bytes|bandwidth"),
}
"""Values of keys that work otherwise, by the place of the key; the whole value must match."""
