"""
For the people who run it: the log of what happened, the control socket, the manhole, and the verbs in both.

The manhole module is not imported here: Twisted's terminal code installs the global reactor as it is imported.
"""

from appliance.control.changing import Changing
from appliance.control.doors import Doors
from appliance.control.eventlog import EventLog
from appliance.control.logfile import log_observer
from appliance.control.orders import Orders
from appliance.control.reading import Reading
from appliance.control.socket import private_folder
from appliance.control.web import api_factory

__all__ = [
    "Changing",
    "Doors",
    "EventLog",
    "Orders",
    "Reading",
    "api_factory",
    "log_observer",
    "private_folder",
]
