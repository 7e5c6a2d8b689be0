"""What there is of a job already, and whether it stands for today's code: from small files, without torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from unibio.errors import InputError
from unibio.pipeline.job import Job
from unibio.store import packs
from unibio.store.codehash import code_hash
from unibio.store.records import Record


@dataclass(frozen=True)
class Found:
    """What a sweep finds of a job.

    Attributes:
        record: the complete record, whatever code computed it; None where there is none.
        valid: whether it stands for today's code: computed by it, or replayed with it.
        unknown: whether a replay would tell; False where it has told already, or there is nothing to replay.
    """

    record: Record | None
    valid: bool
    unknown: bool


def look(job: Job) -> Found:
    """What there is of a job, and whether it stands for today's code, from what is noted; nothing is computed.

    Raises:
        InputError: a thinned record is in its place, which figures and reports may use and nobody else.
    """
    record = packs.at(job.root, job.name)
    if record.fault is not None:
        return Found(None, valid=False, unknown=False)
    if record.thinned:
        raise InputError(f"{record.path} is a thinned record, for figures and reports alone; name another records=DIR")
    now = code_hash(job.modules)
    if record.summary.get("code_hash") == now:
        return Found(record, valid=True, unknown=False)
    noted = record.replay
    if noted is None or noted.code_hash != now:
        return Found(record, valid=False, unknown=not record.path.is_symlink() and as_recorded(job, record) is not None)
    return Found(record, valid=noted.equal, unknown=False)


def as_recorded(job: Job, record: Record) -> Job | None:
    """The job with the record's number of threads, on a device of the record's kind; None where there is none here.

    Other threads and other devices give other last digits.
    """
    from unibio.pipeline.devices import pick_device

    device = record.summary.get("hardware", {}).get("device")
    kind = job.config["device"] if device is None else "cpu" if device == "cpu" else "cuda"
    try:
        pick_device(kind)
    except InputError:
        return None
    return dataclasses.replace(
        job, config=job.config | {"device": kind, "threads": record.summary.get("threads", job.config["threads"])}
    )
