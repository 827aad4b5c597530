"""
The DNS shell: datagrams and streams in, answers of SharedState out.

Twisted Names' protocols and factory host it; what is answered is decided in ``naming`` and ``leasing``.  The room
promises that no input makes it raise, that nothing but a query is answered, and that no answer is longer than its asker
can take.
"""

from appliance.nameserver.cookies import Cookies
from appliance.nameserver.responder import Responder
from appliance.nameserver.secrets import CookieSecrets, cookie_secrets
from appliance.nameserver.service import NameServer

__all__ = ["CookieSecrets", "Cookies", "NameServer", "Responder", "cookie_secrets"]
