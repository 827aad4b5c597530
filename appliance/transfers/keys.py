"""
TSIG (RFC 8945): the keys that other servers share with this one, and what is said where a signature is not good.

dnspython signs and verifies; a secret is a file that holds it in base64, as every other name server writes it.
"""

from __future__ import annotations

import base64
import binascii
import os
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.rrset
import dns.tsig

from appliance.config import TSIGKey
from appliance.errors import SecretError
from appliance.secretfiles import read_secret, write_secret

Keyring = Mapping[dns.name.Name, dns.tsig.Key]

LEAST_BYTES = 16
"""Of a secret: a shorter one can be guessed (RFC 8945 s8 asks for 128 bits)."""
MADE_BYTES = 32
FUDGE = 300
"""Seconds that two clocks may differ by (RFC 8945 s10)."""


def keyring_of(keys: Iterable[TSIGKey], folder: Path | None) -> Keyring:
    """
    The keys with their secrets.  One without a file of its own is in the state folder, and made where it is missing.

    :param folder: the state folder.
    :raises SecretError: when a file cannot be read or made, others can read it, or it holds something else.
    """
    found = {}
    for key in keys:
        place = f"dns.tsig.{key.name.to_text(omit_final_dot=True)}.secret"
        if key.secret is not None:
            secret = _read(place, Path(key.secret))
        else:
            assert folder is not None, "the configuration asks for a secret without one"
            path = folder / f"{quote(key.name.to_text(omit_final_dot=True), safe='')}.tsig"
            if not path.exists():
                _make(place, path)
            secret = _read(place, path)
        found[key.name] = dns.tsig.Key(key.name, secret, dns.name.from_text(key.algorithm.value))
    return found


def _make(place: str, path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, base64.b64encode(os.urandom(MADE_BYTES)).decode() + "\n")
    except OSError as error:
        raise SecretError(f"{place}: {path}: {error.strerror}") from None


def _read(place: str, path: Path) -> bytes:
    try:
        text = read_secret(place, path)
    except FileNotFoundError:
        told = "the other side has the same secret, so none can be made up here"
        raise SecretError(f"{place}: {path} is missing; {told}") from None
    try:
        secret = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"{place}: {path}: not base64") from None
    if len(secret) < LEAST_BYTES:
        raise SecretError(f"{place}: {path}: found {len(secret)} bytes; allowed: at least {LEAST_BYTES}")
    return secret


def signer(message: dns.message.Message) -> dns.name.Name | None:
    """The key that a message was signed with, as its reading has verified."""
    return message.keyname if message.had_tsig and message.keyring else None


def unproven(data: bytes, error: Exception, keyring: Keyring) -> bytes | None:
    """
    What to say to a query whose signature is not good (RFC 8945 s5.2): NOTAUTH, and why.

    :return: None where ``error`` has nothing to do with a signature.
    """
    code = next((code for kinds, code in _CODES if isinstance(error, kinds)), None)
    if code is None:
        return None
    try:
        query = dns.message.from_wire(data, keyring=False)
        response = dns.message.make_response(query, pad=0)
    except (dns.exception.DNSException, ValueError, struct.error, IndexError):
        return None
    if query.tsig is None or query.keyname is None:
        return None
    asked = query.tsig[0]
    assert isinstance(asked, dns.rdtypes.ANY.TSIG.TSIG)
    response.set_rcode(dns.rcode.NOTAUTH)
    # s5.2.3: one that is only late is told our time, and signed.
    late = code == dns.rcode.BADTIME
    other = int(time.time()).to_bytes(6, "big") if late else b""
    key = keyring.get(query.keyname)
    told = dns.rdtypes.ANY.TSIG.TSIG(
        dns.rdataclass.ANY,
        dns.rdatatype.TSIG,
        asked.algorithm,
        asked.time_signed,
        FUDGE,
        b"",
        query.id,
        code,
        other,
    )
    if late and key is not None:
        told, _ = dns.tsig.sign(response.to_wire(), key, told, asked.time_signed, asked.mac)
    response.tsig = dns.rrset.from_rdata(query.keyname, 0, told)
    return bytes(response.to_wire())


_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((dns.tsig.BadTime,), dns.rcode.BADTIME),
    ((dns.tsig.BadSignature,), dns.rcode.BADSIG),
    ((dns.message.UnknownTSIGKey, dns.tsig.BadKey, dns.tsig.BadAlgorithm), dns.rcode.BADKEY),
)
