"""Sweeps: which of their jobs are recorded, what the others will cost, and what is said before they start.

Torch is loaded where a job is to be computed, and not where all are recorded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unibio.data.progress import Progress
from unibio.errors import InputError
from unibio.pipeline import conf
from unibio.pipeline.job import Job
from unibio.pipeline.place import check_writable, unwritable
from unibio.pipeline.standing import look
from unibio.store import heartbeat, lists, records
from unibio.store.directories import tidy


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, those still to be computed, and an estimate of their computing time.

    Jobs that cannot run are not among the pending ones: ``refused`` holds them, and why. Among the pending ones are the
    ``older``, whose records were computed by other code: they are replayed, and computed only where that shows a
    difference, which the estimate does not count.
    """

    jobs: list[Job]
    pending: list[Job]
    seconds: float | None
    refused: tuple[tuple[Job, str], ...] = ()
    older: int = 0

    def describe(self, workers: int) -> str:
        """One line for the reader before work starts."""
        missing = self.pending[self.older :]
        trajectories = sum(job.runs for job in missing)
        found = len(self.jobs) - len(self.pending) - len(self.refused)
        text = f"{len(self.jobs)} {'job' if len(self.jobs) == 1 else 'jobs'}, {found} already recorded"
        if self.older:
            text = f"{text}, {self.older} recorded by other code, whose first iterations are replayed"
        if self.refused:
            text = f"{text}, {len(self.refused)} left out because they cannot run"
        if not missing:
            return text
        text = f"{text}, {len(missing)} to run ({trajectories:,} trajectories)"
        if self.seconds is None:
            return text
        return f"{text}, about {duration(self.seconds / max(1, min(workers, len(missing))))}"


def plan(jobs: list[Job], probes: int = 6) -> Plan:
    """Find what is missing, and estimate its computing time by trying a few of the missing jobs for a moment.

    There is no estimate where it would cost more than it says (a single job, whose progress bar tells; networks, whose
    data and metrics take as long as the moment), where the jobs run on other machines, or where those tried fail, which
    is theirs to report.

    Raises:
        InputError: a job whose record is damaged or not by today's code, which does not take its configuration.
    """
    looked = {id(job): (job, look(job)) for job in Progress(show=True).count(jobs, "looking for records")}
    wanted = [(job, found) for job, found in looked.values() if not found.valid]
    for job in (job for job, found in looked.values() if found.valid and (job.path / heartbeat.FILE).exists()):
        tidy(job.path)
    if not wanted:
        return Plan(jobs, [], None)
    from unibio.pipeline.pace import expected_seconds
    from unibio.pipeline.preflight import refusal

    for job, _ in wanted:
        job.check()  # which composing leaves to whoever computed the record, where there seems to be one
    due = [(job, found.unknown, refusal(job)) for job, found in wanted]
    refused = tuple((job, reason) for job, _, reason in due if reason is not None)
    older = [job for job, unknown, reason in due if reason is None and unknown]
    missing = [job for job, unknown, reason in due if reason is None and not unknown]
    planned = Plan(jobs, [*older, *missing], None, refused, len(older))
    costly = len(missing) <= 1 or missing[0].config["epochs"] is not None
    if costly or missing[0].config["launcher"].get("name") == "slurm":
        return planned
    tried = missing[:: max(1, math.ceil(len(missing) / probes))]
    try:
        seconds = sum(map(expected_seconds, tried)) * len(missing) / len(tried)
    except Exception:
        return planned
    return dataclasses.replace(planned, seconds=seconds)


def announce(jobs: list[Job], command: str, name: str | None = None) -> Plan:
    """Note which records make up each experiment, and say what is about to happen and on what data.

    A sweep that is no experiment and has no name is noted as ``sweep-<digest>``, so that ``unibio status`` knows what
    is still to come.

    Args:
        jobs: all of them.
        command: that runs them again; a * in it stands for the experiment's name.
        name: of the sweep, by which it is noted, also where it is an experiment's.

    Raises:
        InputError: the records directory cannot be written, or the name is an experiment's.
    """
    if name is not None and name in conf.options("experiment"):
        raise InputError(f"--name {name}: an experiment has this name, whose records it would stand for; give another")
    check_writable(jobs[0].root)
    experiments: dict[str | None, list[Job]] = {}
    for job in jobs:
        experiments.setdefault(name or job.config["experiment"], []).append(job)
    for experiment, some in experiments.items():
        if experiment is None and len(some) == 1:
            continue
        names = [job.name for job in some]
        label = experiment or "sweep-" + hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:8]
        for job in some:
            job.join(label)
        again = command if experiment is None or name is not None else command.replace("*", experiment)
        try:
            lists.write_manifest(jobs[0].root, label, names, again)
        except OSError as error:
            raise unwritable(jobs[0].root, error) from None
    planned = plan(jobs)
    for line in _data(planned.pending):
        print(line, flush=True)
    slow = None
    workers = 1
    if planned.pending:
        from unibio.pipeline.launch import workers_of
        from unibio.pipeline.preflight import slowness

        workers, slow = workers_of(jobs[0]), slowness(planned.pending[planned.older :])
    print(f"unibio: {planned.describe(workers)}; records in {jobs[0].root}", flush=True)
    counts = Counter(reason for _, reason in planned.refused)
    warnings = [f"{count} of {len(jobs)} jobs left out: {reason}" for reason, count in counts.items()]
    for line in warnings + ([f"warning: {slow}"] if slow else []):
        print(f"unibio: {line}", file=sys.stderr, flush=True)
    return planned


def same_for_all_seeds(jobs: Sequence[Job]) -> Iterator[str]:
    """Sentences about jobs whose seeds made no difference, one for all that differ in their seeds only."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if "seed" not in job.axes:
            groups.setdefault(records.digest({**job.config, "seed": None}), []).append(job)
    for alike in (group for group in groups.values() if len(group) > 1):
        names: list[str] = []
        first = None
        for record in (one.record for job in alike if (one := look(job)).valid and one.record is not None):
            curve = record.history.drop(columns="seconds")
            first = curve if first is None else first
            if not first.equals(curve):
                break  # most often at the second, after which no other need be read
            names.append(record.name)
        else:
            if len(names) > 1:
                yield (
                    f"{names[0]} and {len(names) - 1} more with other seeds are one and the same run, to the bit: "
                    "nothing is random in them, so one seed says as much"
                )


def _data(jobs: Sequence[Job]) -> Iterator[str]:
    """What the data of jobs are, once for all jobs with the same."""
    for job in {job.config["data_hash"]: job for job in jobs}.values():
        lines = job.problem.described()
        if not lines:
            continue
        yield f"unibio: data of {job.problem.name}"
        yield from (f"  {line}" for line in lines)
        amiss = job.problem.unlike_the_paper()
        if amiss and job.config["experiment"] and job.config["scale"].get("name") == "paper":
            yield f"unibio: warning: scale=paper, but {amiss}"


def duration(seconds: float) -> str:
    """A rough length of time in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
