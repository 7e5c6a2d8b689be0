"""Kills a job again and again, at random times and in the middle of its writes, and watches what is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from unibio import tensorfile
from unibio.pipeline.compute import run_job
from unibio.pipeline.job import Job
from unibio.pipeline.provenance import circumstances_of
from unibio.simulation import simulate as run
from unibio.store import records

#: How far a write is when the process dies: half of it on disk, all of it but not synced, synced but not renamed.
STAGES = ("half", "unsynced", "unnamed")

#: A stage, what is written (checkpoint or record), and how many such writes come first and one more.
Write = tuple[str, str, int]


@dataclass
class Campaign:
    """What happened.

    Attributes:
        moments: kills by what the process was doing.
        with_checkpoint: kills that found a checkpoint to go on from.
        progress: kills by tenths of the iterations.
        lost: per kill, the iterations that had to be computed again.
        rounds: jobs that were killed until they ended.
    """

    moments: Counter[str] = field(default_factory=Counter)
    with_checkpoint: int = 0
    progress: Counter[int] = field(default_factory=Counter)
    lost: list[int] = field(default_factory=list)
    rounds: int = 0

    @property
    def kills(self) -> int:
        """All of them."""
        return self.moments.total()

    @property
    def in_writes(self) -> int:
        """Those in the middle of writing a file."""
        return sum(count for moment, count in self.moments.items() if moment.startswith("writing"))

    def __str__(self) -> str:
        lines = [f"{self.kills} kills in {self.rounds} runs: {self.in_writes} during a write,"
                 f" {self.with_checkpoint} with a checkpoint to go on from"]  # fmt: skip
        lines += [f"  {count:3}  {moment}" for moment, count in sorted(self.moments.items())]
        lines.append("  by progress of the run:")
        lines += [f"  {10 * tenth:3}–{10 * tenth + 10} %  {'█' * self.progress[tenth]} {self.progress[tenth]}"
                  for tenth in range(10)]  # fmt: skip
        lines.append(f"  iterations computed again: median {sorted(self.lost)[len(self.lost) // 2]}, "
                     f"most {max(self.lost)}")  # fmt: skip
        return "\n".join(lines)


def campaign(job_in: Callable[[Path], Job], root: Path, kills: int, in_writes: int, seed: int = 0) -> Campaign:
    """Kill runs of a job until enough have died, and compare what they end with to a run that nobody disturbed.

    Processes are forked, so that none spends seconds on imports; the caller must not have used autograd before.

    Args:
        job_in: the job with its records in a directory.
        root: where everything is written.
        kills: how many at least.
        in_writes: how many of them in the middle of a write; the others come at random times.
        seed: of the random times.

    Raises:
        AssertionError: a resumed process did not begin right after its checkpoint, or the numbers differ.
    """
    rng, done = random.Random(seed), Campaign()
    whole = job_in(root / "whole")
    circumstances_of(whole, torch.device("cpu"))  # asks git and parses the code once, for all that are forked
    began = time.monotonic()
    assert _run(whole, root / "whole.log", None, None) == 0
    duration = time.monotonic() - began
    reference = records.find(whole.root / records.record_name(whole.config))
    assert reference is not None
    steps = whole.config["steps"]
    while done.kills < kills or done.in_writes < in_writes:
        job = job_in(root / str(done.rounds))
        done.rounds += 1
        while True:  # until this run ends
            log = root / f"{done.rounds}.log"
            log.unlink(missing_ok=True)
            path = job.root / records.record_name(job.config)
            saved = _saved(path)
            due = done.kills < kills or done.in_writes < in_writes
            write = done.in_writes < in_writes and (rng.random() < 0.5 or done.kills >= kills)
            when = _write(rng) if write else None
            delay = rng.uniform(0.02, 0.5) * duration if due and not write else None
            code = _run(job, log, when, delay)
            executed = _executed(log)
            if executed:
                assert executed[0] == saved + 1, "it began right after its checkpoint"
                assert executed == list(range(saved + 1, executed[-1] + 1)), "and did nothing twice"
            if code == 0:
                break
            assert code == -signal.SIGKILL, code
            last, kept = executed[-1] if executed else saved, _saved(path)
            assert records.find(path) is None or last == steps
            done.moments[f"writing a {when[1]}, {when[0]}" if when else "computing"] += 1
            done.with_checkpoint += kept > 0
            done.progress[min(9, 10 * last // steps)] += 1
            done.lost.append(last - kept)
        record = records.find(path)
        assert record is not None
        assert record.history.drop(columns="seconds").equals(reference.history.drop(columns="seconds"))
        assert record.runs.equals(reference.runs)
        left = sorted(file.name for file in path.iterdir())
        assert left == sorted([*records.FILES, "done"]), "no checkpoint and no half of a file remains"
    return done


def _write(rng: random.Random) -> Write:
    """Which write is the last: one of the first checkpoints, or one of a record's five files."""
    stage = rng.choice(STAGES)
    return (stage, "record", rng.randint(1, 5)) if rng.random() < 0.4 else (stage, "checkpoint", rng.randint(1, 8))


def _run(job: Job, log: Path, write: Write | None, delay: float | None) -> int:
    """The exit code of a process that computes a job and is killed in a write, or after a delay, or not at all."""
    process = multiprocessing.get_context("fork").Process(target=_child, args=(job, log, write))
    process.start()
    if delay is not None:
        process.join(timeout=delay)
        process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _child(job: Job, log: Path, write: Write | None) -> None:
    run.SAVE_PAUSE = 0  # checkpoints as often as the interval says, however slow the disk: there are more to kill
    if write is not None:
        stage, target, number = write
        count, sync = 0, os.fsync

        def deadly(descriptor: int) -> None:
            nonlocal count
            checkpoint_file = "checkpoint-" in str(Path(f"/proc/self/fd/{descriptor}").readlink())
            count += checkpoint_file == (target == "checkpoint")
            if count < number:
                sync(descriptor)
                return
            if stage == "half":
                _halve(descriptor)
            elif stage == "unnamed":
                sync(descriptor)
            os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = deadly
    with log.open("ab", buffering=0) as file:
        run_job(job, lambda finished: file.write(struct.pack("<q", finished)) and None)
    os._exit(0)


def _halve(descriptor: int) -> None:
    """Cut an open file in half, by its path: it may be open for reading only."""
    os.truncate(f"/proc/self/fd/{descriptor}", os.fstat(descriptor).st_size // 2)


def _executed(log: Path) -> list[int]:
    """The iterations that a process finished, in order."""
    content = log.read_bytes() if log.exists() else b""
    return [number for (number,) in struct.iter_unpack("<q", content[: len(content) // 8 * 8])]


def _saved(path: Path) -> int:
    """The iteration of a directory's checkpoint; 0 where there is none."""
    for file in path.glob("checkpoint-*.pt"):
        content = tensorfile.load(file)
        return 0 if content is None else int(content["iteration"])
    return 0
