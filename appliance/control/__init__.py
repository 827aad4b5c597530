"""
For the people who run it: the log of what happened, the manhole, and the verbs in it.

The manhole module is not imported here: Twisted's terminal code installs the global reactor as it is imported.
"""

from appliance.control.eventlog import EventLog
from appliance.control.logfile import log_observer
from appliance.control.verbs import Verbs

__all__ = ["EventLog", "Verbs", "log_observer"]
