"""The records of a sweep by its name: that of an experiment, one that was given, or a single record's."""

from __future__ import annotations

import warnings
from pathlib import Path

from unibio.errors import InputError, unknown
from unibio.store import lists, packs
from unibio.store.records import Record
from unibio.store.show import find_record


def sweep(root: Path, name: str) -> list[Record]:
    """The complete records of a sweep, or the one record of this name or digest. Warns about those that are not whole.

    Args:
        root: directory of records.
        name: as ``unibio status`` and ``unibio show`` print it.

    Raises:
        InputError: there is none, or none of its records is complete.
    """
    noted = lists.manifest(root, name)
    if noted is None:
        known = sorted(path.stem for path in (root / ".experiments").glob("*.json"))
        directories = packs.names(root) if root.is_dir() else []
        if any(one.startswith(name) or one.rpartition("-")[2].startswith(name) for one in directories):
            return [find_record(root, name)]
        raise unknown(f"sweep in {root},", name, known)
    found = lists.load_experiment(root, name)
    if not found:
        raise InputError(f"{name}: none of its {len(noted['records'])} records is complete; run: {noted['command']}")
    return found


def sweeps(root: Path, names: list[str]) -> tuple[dict[str, list[Record]], list[str]]:
    """The records of several sweeps by name, and what was found wrong on loading, in words.

    Raises:
        InputError: as :func:`sweep`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = {name: sweep(root, name) for name in dict.fromkeys(names)}
    return found, [str(one.message) for one in caught]
