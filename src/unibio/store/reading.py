"""Reading files that anybody may have put there: regular ones only, and small ones only as far as they are small."""

from __future__ import annotations

import errno
import os
from pathlib import Path

#: More bytes than any small file of ours has.
MOST = 2**26


def regular(path: Path) -> Path:
    """The path, if a regular file stands there, behind links or not: a pipe would be waited for, a device never ends.

    Raises:
        OSError: anything else stands there, or nothing.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return path


def small_bytes(path: Path) -> bytes:
    """A regular file's content.

    Raises:
        OSError: there is none, it cannot be read, or it is larger than anything of ours.
    """
    with regular(path).open("rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


def small_text(path: Path) -> str:
    """The same as text.

    Raises:
        OSError: as above.
        UnicodeDecodeError: it is no UTF-8.
    """
    return small_bytes(path).decode("utf-8")
