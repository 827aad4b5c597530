"""What the server says of itself: NSID (RFC 5001), and the names of class CHAOS that BIND made customary (RFC 4892)."""

from __future__ import annotations

import attrs
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset

_VERSION = frozenset(map(dns.name.from_text, ("version.bind", "version.server")))
_IDENTITY = frozenset(map(dns.name.from_text, ("id.server", "hostname.bind")))
_TEXTS = (dns.rdatatype.TXT, dns.rdatatype.ANY)


@attrs.frozen(kw_only=True)
class Identity:
    """
    :param nsid: which server this is; empty: nobody is told.
    :param version: what runs here; empty: nobody is told.
    """

    nsid: str = ""
    version: str = ""

    def chaos(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        """The answer to a question of class CHAOS; None where it is refused."""
        asked = self.version if name in _VERSION else self.nsid if name in _IDENTITY else ""
        if not asked or rdtype not in _TEXTS:
            return None
        rdata = dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.CH, dns.rdatatype.TXT, [asked.encode()])
        return dns.rrset.from_rdata(name, 0, rdata)
