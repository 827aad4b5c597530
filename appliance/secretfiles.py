"""Files with secrets: nobody else reads them, and they are replaced at once and for good."""

from __future__ import annotations

import os
from pathlib import Path

from appliance.errors import SecretError


def read_secret(place: str, path: Path) -> str:
    """
    What is in the file.

    :param place: the configuration's key that speaks of it, for people.
    :raises SecretError: when it cannot be read, or others can read it.
    :raises FileNotFoundError: when there is none.
    """
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text("ascii", errors="replace")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SecretError(f"{place}: {path}: {error.strerror}") from None
    if mode & 0o077:
        raise SecretError(f"{place}: {path}: others can read it (mode {mode:o}); chmod 600 {path}")
    return text


def write_secret(path: Path, text: str) -> None:
    """Make or replace the file, with mode 600.  Blocks; raises OSError."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
