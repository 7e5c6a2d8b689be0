"""What lies in a records directory: which folders are jobs', by their content, and which files in them are ours."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from unibio.store import replays, smallfiles
from unibio.store.records import FILES, name_of
from unibio.store.writing import OWN

#: A record's name as it looks: whatever makes it readable, and 12 digits.
_NAME = re.compile(r"[^/\s]+-[0-9a-f]{12}")


def is_name(text: str) -> bool:
    """Whether a text could be a record's name, so that a directory called otherwise is somebody else's."""
    return _NAME.fullmatch(text) is not None


def own_files(path: Path, leftovers: bool = False) -> list[Path]:
    """The files in a record's directory that a job writes; nothing else there may be removed.

    Args:
        path: of the directory.
        leftovers: only those of writes that were cut off.
    """
    found = [(file, OWN.fullmatch(file.name)) for file in sorted(path.iterdir())]
    ours = [file for file, name in found if name is not None and (name[1] or not leftovers)]
    return [file for file in ours if file.is_symlink() or file.is_file()]


def tidy(path: Path) -> None:
    """Remove what a process that was killed after its record's last byte left beside it: checkpoints, parts, its sign.

    Args:
        path: of a record that is complete; nothing is removed behind a link, nor where nothing can be.
    """
    if path.is_symlink():
        return
    with suppress(OSError):
        for file in own_files(path):
            if file.name not in (*FILES, "done", replays.FILE):
                file.unlink(missing_ok=True)


def is_ours(path: Path) -> bool:
    """Whether a directory is a job's by its content, so that what lies in it may be removed as a job's.

    Its configuration has its name; or, where its process died before it wrote one, nothing but what a job writes lies
    there, and it is called as a record is. A link never is ours.
    """
    if path.is_symlink() or not path.is_dir() or not is_name(path.name):
        return False
    if (path / "config.yaml").exists():
        config = smallfiles.config(path)
        return config is not None and name_of(config) == path.name
    return len(own_files(path)) == len(list(path.iterdir()))
