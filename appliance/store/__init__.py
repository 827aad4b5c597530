"""
Where changes are recorded.

So far they are not: :class:`MemoryJournal` keeps nothing, and a restart forgets every lease.
"""

from appliance.store.memory import MemoryJournal

__all__ = ["MemoryJournal"]
