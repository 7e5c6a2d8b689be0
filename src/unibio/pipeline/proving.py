"""Before publishing: one record of every problem and algorithm whose code has changed, computed again to its end.

The first iterations, which a sweep replays, cannot show what acts late: decays, checkpoint periods, tables that fill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from unibio.errors import InputError
from unibio.pipeline.job import Job, job_from, portable
from unibio.pipeline.replay import replay
from unibio.store.records import Record


def prove(found: Iterable[Record], say: Callable[[str], None]) -> None:
    """Replay whole what stands for the records that other code computed, unless that has been done with this code.

    Args:
        found: what is to be published.
        say: told of every replay, before it begins and after it.

    Raises:
        InputError: the first that differs, or cannot be computed here.
        Interrupted: asked to stop.
    """
    for (problem, algorithm), chosen in sorted(representatives(found).items()):
        job = job_of(chosen)
        took = float(chosen.summary.get("seconds", 0))
        say(f"{problem}, {algorithm}: replaying {chosen.name} whole, which took {took:.0f} s when it was computed")
        result = replay(job, chosen, whole=True)
        if result is None:
            raise InputError(
                f"{chosen.name} was computed on {chosen.summary['hardware']['device']}, and its code has changed: only "
                "a machine with such a device can tell whether that matters; publish there, or compute it again"
            )
        if not result.equal:
            raise InputError(
                f"today's code does not compute what {chosen.name} holds ({result.difference}): records of {problem} "
                f"with {algorithm} are of other code; run make reproduce, which computes those again that differ "
                "early, and unibio rerun for the others"
            )
        say(f"  equal to the bit up to its end, iteration {result.iteration}, in {result.seconds:.0f} s")


def representatives(found: Iterable[Record]) -> dict[tuple[str, str], Record]:
    """{(problem, algorithm): record to be replayed} of those that have none, by today's code, that was replayed whole.

    Of a pair's records that took no longer than the median one, the one with the most iterations.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    proven = set()
    for record in {record.path: record for record in found}.values():
        pair = str(record.config["problem"]["name"]), str(record.config["algorithm"]["name"])
        standing = record.standing
        if standing.state == "replayed" and standing.replay is not None and standing.replay.whole:
            proven.add(pair)
        elif standing.state != "current":
            groups.setdefault(pair, []).append(record)
    return {pair: _typical(records) for pair, records in groups.items() if pair not in proven}


def _typical(found: list[Record]) -> Record:
    seconds = {record.name: float(record.summary.get("seconds", 0)) for record in found}
    most = median(seconds.values())
    quick = [record for record in found if seconds[record.name] <= most]
    return max(quick, key=lambda record: (record.summary.get("iterations", 0), -seconds[record.name], record.name))


def job_of(record: Record) -> Job:
    """The job that a record's own configuration describes.

    Raises:
        InputError: today's code does not take it, or makes another record of it.
    """
    here = {"records": str(record.path.parent), "launcher": {"name": "local"}}  # however it was launched
    job = job_from({**portable(record.config), **here})
    if job.name != record.name:
        raise InputError(f"today's code makes {job.name} of the configuration of {record.name}; compute it again")
    return job
