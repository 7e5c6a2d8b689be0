"""The records directory, tried before work starts."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from unibio.errors import InputError


def check_writable(root: Path) -> None:
    """Try to write into the records directory, creating it.

    Raises:
        InputError: that does not work.
    """
    try:
        (root / ".locks").mkdir(parents=True, exist_ok=True)
        probe = root / f".writable-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise unwritable(root, error) from None


def unwritable(root: Path, error: OSError) -> InputError:
    """What is said of a records directory that cannot be written."""
    room = "make room and give the same command, which goes on from the last checkpoint, or "
    return InputError(
        f"records = {root} cannot be written: {os.strerror(error.errno) if error.errno else error}; "
        f"{room if error.errno in (errno.ENOSPC, errno.EDQUOT) else ''}choose another directory with records=DIR"
    )
