"""
The kernel's packet filter, told in nft's own language what to do.

``libnftables`` is the library behind the program ``nft``.  It is called from here: a transaction takes a tenth of a
millisecond so, a process of ``nft`` four.  (pyroute2 knows neither maps nor concatenations; the bindings that Debian
has are for its own Python.)  It is looked for when something is to be set up, not when this module is imported, for
most appliances never need it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket

from appliance.errors import ApplianceError

LIBRARY = "libnftables.so.1"
"""The only version that there has been; since 2018."""

_NETLINK_NETFILTER = 12
"""``linux/netlink.h``; the module ``socket`` has no name for it."""


class NetfilterError(ApplianceError):
    """Why the packet filter was not changed, and what to do about it: words that follow a subject."""


class Netfilter:
    """
    Changes to the packet filter, each made as a whole or not at all.

    What is made with ``flags owner`` belongs to this object: no other program can change or flush it, and it goes when
    this is closed or the process ends, however it ends (Linux 5.12).

    :param library: the name or path of libnftables.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        self._library = library
        self._nft: ctypes.CDLL | None = None
        self._context: int | None = None

    def run(self, commands: str) -> None:
        """
        :param commands: lines as in a file for ``nft -f``.
        :raises NetfilterError: and nothing has changed.  One that the kernel refuses takes 10 ms and more.
        """
        nft, context = self._opened()
        if nft.nft_run_cmd_from_buffer(context, commands.encode()) == 0:
            return
        said: bytes = nft.nft_ctx_get_error_buffer(context)
        raise NetfilterError(_advice(said.decode(errors="replace")))

    def close(self) -> None:
        """Take away what is owned.  Does nothing a second time."""
        if self._nft is not None and self._context is not None:
            self._nft.nft_ctx_free(self._context)
        self._context = None

    def _opened(self) -> tuple[ctypes.CDLL, int]:
        if self._nft is None or self._context is None:
            _try_socket()
            nft = self._nft = self._nft or _load(self._library)
            self._context = nft.nft_ctx_new(0)
            if self._context is None:
                raise NetfilterError(f"needs memory for nftables: {os.strerror(errno.ENOMEM)}")
            # Else it would write to our standard output and error.
            nft.nft_ctx_buffer_output(self._context)
            nft.nft_ctx_buffer_error(self._context)
        return self._nft, self._context


def _load(library: str) -> ctypes.CDLL:
    try:
        nft = ctypes.CDLL(library)
        nft.nft_ctx_new.restype = ctypes.c_void_p
        nft.nft_ctx_new.argtypes = [ctypes.c_uint32]
        nft.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        nft.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        for name in ("nft_ctx_get_error_buffer", "nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
            getattr(nft, name).argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError) as problem:
        raise NetfilterError(f"needs {LIBRARY} (apt install libnftables1): {problem}") from problem
    return nft


def _try_socket() -> None:
    """The library ends the whole process where it cannot open its socket, so find that out before it does."""
    try:
        with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)):
            pass
    except OSError as problem:
        raise NetfilterError(f"needs a netlink socket to nftables: {problem.strerror}") from problem


def _advice(said: str) -> str:
    """
    :param said: what nft says: ``Error: Could not process rule: File exists``, and two lines that should show where but
        always show the first command.
    """
    words = said.partition("\n")[0].rpartition("Error: ")[2]
    if words.endswith(os.strerror(errno.EPERM)):
        return "needs CAP_NET_ADMIN to set up nftables (a unit grants it with AmbientCapabilities=)"
    return f"was refused by nftables: {words}"
