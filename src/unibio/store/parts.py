"""Parts of a record that is computed piece by piece: tables of some of its runs, kept beside it until all are there.

    part-<tag>-<first run>-history.parquet, -runs.parquet, -ends.parquet
    part-<tag>-<first run>.json       what else is noted of it, and digests of the three; written last

A part whose digests do not match is none: a job that was killed computes that part again, and no other. The tag says
what the parts belong to; those of another are not looked at, and removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unibio.store.smallfiles import json_object
from unibio.store.writing import atomically, write_text

if TYPE_CHECKING:
    import pandas as pd

_TABLES = ("history", "runs", "ends")


@dataclass(frozen=True)
class Part:
    """A part that is complete.

    Attributes:
        directory, name: of its files.
        noted: plain values.
    """

    directory: Path
    name: str
    noted: dict[str, Any]

    @property
    def history(self) -> Path:
        """The file of its history."""
        return _file(self.directory, self.name, "history")

    def table(self, kind: str) -> pd.DataFrame:
        """Its "runs", or the "ends" of their histories; not meant for the history, which may be large."""
        import pandas as pd

        return pd.read_parquet(_file(self.directory, self.name, kind))


def name_of(tag: str, first: int) -> str:
    """The name that a part's files begin with."""
    return f"part-{tag}-{first}"


def find(directory: Path, name: str) -> Part | None:
    """The part of a name; None where there is none, or its files are not what was written."""
    content = json_object(directory / f"{name}.json", {"noted": {str: object}, "digests": {str: str}})
    if content is None:
        return None
    try:
        digests = _digests(directory, name, content["noted"])
    except OSError:
        return None
    return Part(directory, name, content["noted"]) if content["digests"] == digests else None


def write(
    directory: Path,
    name: str,
    noted: Mapping[str, Any],
    history: pd.DataFrame,
    runs: pd.DataFrame,
    ends: pd.DataFrame,
) -> Part:
    """Write a part; whatever had its name counts as none until the last file is there."""
    (directory / f"{name}.json").unlink(missing_ok=True)
    for kind, table in zip(_TABLES, (history, runs, ends), strict=True):
        atomically(_file(directory, name, kind), partial(table.to_parquet, index=False))
    content = {"noted": dict(noted), "digests": _digests(directory, name, noted)}
    write_text(directory / f"{name}.json", json.dumps(content) + "\n")
    return Part(directory, name, dict(noted))


def remove(directory: Path, but: str | None = None) -> None:
    """Remove the files of parts.

    Args:
        directory: of the record.
        but: a tag, whose parts stay.
    """
    for file in directory.glob("part-*-*"):
        if but is None or not file.name.startswith(f"part-{but}-"):
            file.unlink(missing_ok=True)


def _file(directory: Path, name: str, kind: str) -> Path:
    return directory / f"{name}-{kind}.parquet"


def _digests(directory: Path, name: str, noted: Mapping[str, Any]) -> dict[str, str]:
    """{what: sha256} of a part's tables and of what is noted."""
    found = {"noted": hashlib.sha256(json.dumps(dict(noted), sort_keys=True).encode()).hexdigest()}
    for kind in _TABLES:
        with _file(directory, name, kind).open("rb") as file:
            found[kind] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
