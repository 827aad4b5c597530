"""
Where changes are recorded, so that a restart knows what was promised.

:class:`FileJournal` keeps them in the state folder: with ``fsync: grant`` nothing that :meth:`~FileJournal.durable`
has confirmed is lost by a crash of the process or of the machine, and a start finds the last state of every lease.
A disk that fails costs new leases only, for as long as it fails.  It also remembers who held an address when.
:class:`MemoryJournal` keeps nothing: a restart forgets every lease.

Knows events and values only; what the tables are, and what becomes of what it found, is for others.
"""

from appliance.store.configured import bounds_of, journal_of
from appliance.store.journal import FileJournal
from appliance.store.memory import MemoryJournal
from appliance.store.scribe import Bounds

__all__ = ["Bounds", "FileJournal", "MemoryJournal", "bounds_of", "journal_of"]
