"""Which records an experiment consists of: what its last sweep noted, and the records themselves."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unibio.store import packs, smallfiles
from unibio.store.records import Record
from unibio.store.writing import write_text


def write_manifest(root: Path, experiment: str, names: Iterable[str], command: str) -> None:
    """Note which records make up an experiment."""
    content = {"experiment": experiment, "command": command, "records": list(names)}
    write_text(root / ".experiments" / f"{experiment}.json", json.dumps(content, indent=1) + "\n")


def manifest(root: Path, experiment: str) -> dict[str, Any] | None:
    """What :func:`write_manifest` noted; None where there is nothing, or it cannot be read."""
    noted = smallfiles.json_object(root / ".experiments" / f"{experiment}.json", {"command": str, "records": [str]})
    return noted if noted is not None and all(map(_is_file_name, noted["records"])) else None


def _is_file_name(name: str) -> bool:
    """Whether a text names a file right inside a directory, and nothing above, below or beside it."""
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        return False
    return 0 < length < 256 and name not in (".", "..") and not {"/", "\0"} & set(name)


def load_experiment(root: Path, experiment: str) -> list[Record]:
    """The complete records of an experiment's last sweep, in its order; [] if it was never run.

    Warns about records that are missing, damaged, another's or stale: what is drawn from the rest is not the whole
    experiment.
    """
    content = manifest(root, experiment)
    if content is None:
        if (root / ".experiments" / f"{experiment}.json").exists():
            warnings.warn(
                f"{experiment}: {root}/.experiments/{experiment}.json is no list of records; the experiment's command "
                "writes it again",
                stacklevel=2,
            )
        return []
    packed = packs.contents(root)
    found = [packs.at(root, name, packed) for name in content["records"]]
    faults = {record.name: why for record in found if (why := record.fault) is not None}
    complete = [record for record in found if record.name not in faults]
    stale = {record.name: "" for record in complete if record.stale}
    for names, what in ((faults, "missing or damaged"), (stale, "computed by older code")):
        if names:
            first, why = next(iter(names.items()))
            warnings.warn(
                f"{experiment}: {len(names)} of {len(found)} records {what} (first: {first}{', ' * bool(why)}{why}); "
                f"rerun: {content['command']}",
                stacklevel=2,
            )
    return complete
