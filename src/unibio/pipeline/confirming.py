"""Do today's configuration and code give the records of an experiment that was published by an earlier state?"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from unibio.errors import InputError
from unibio.pipeline.composing import composer, expand
from unibio.store.records import Record


def differing(found: Sequence[Record], command: str, given: Iterable[str], root: Path) -> str:
    """Why an experiment's records are not those of today's configuration and code, in words; "" where they are.

    The command is planned again, by which every record gets its name, and nothing is computed. The code counts as the
    same where it has the records' own hash, or a replay has shown that it makes no difference.

    Args:
        found: the experiment's records.
        command: that computed them.
        given: words that it needs here besides its own, as the directory of its data.
        root: a directory of records in which nothing lies.
    """
    if stale := [one.name for one in found if one.stale]:
        return f"{len(stale)} of {len(found)} records were computed by older code (first: {stale[0]})"
    words = shlex.split(command)
    keys = {word.partition("=")[0] for word in given}
    own = [word for word in words if "=" in word and word.partition("=")[0] not in keys]
    needed = [word for word in given if word.partition("=")[0] in {one.partition("=")[0] for one in words}]
    try:
        with composer() as compose_one:
            jobs = expand([*own, *needed, f"records={root}", "tracker=none"], compose_one)
    except InputError as error:
        return f"its command cannot be planned: {error}"
    planned, recorded = {job.name for job in jobs}, {one.name for one in found}
    if planned == recorded:
        return ""
    return (
        f"today's configuration plans {len(planned)} records, {len(planned - recorded)} of which are not among the "
        f"{len(recorded)} published ones"
    )
