"""Files as text, or one reason why not; used for the configuration and for zone files."""

from __future__ import annotations

LARGEST_BYTES = 256 * 1024 * 1024
"""Of one file.  Ours: a million sites fit; a device or a disk image given by mistake does not."""


class Unreadable(Exception):
    """``str()`` of it is the reason; ``line`` is 1-based where it has one, else 0."""

    def __init__(self, reason: str, line: int = 0) -> None:
        self.line = line
        super().__init__(reason)


def read_text(path: str) -> str:
    """
    A file's text, decoded as UTF-8, line ends as they are but for CRLF, which becomes a newline.

    :raises Unreadable: if it is missing, forbidden, not a file, too large or not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LARGEST_BYTES:
        raise Unreadable(f"is larger than {LARGEST_BYTES // 1024**2} MB")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"is not UTF-8 text: byte 0x{content[error.start]:02x} in line {line}", line) from None
