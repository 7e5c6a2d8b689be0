"""How sweeps stand: the state of every job, from small files only. Needs no torch."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unibio.store import heartbeat, lists, packs, records, replays
from unibio.store.directories import is_name, is_ours
from unibio.store.packs import Pack
from unibio.store.replays import Standing

#: What a job can be, in the order of a table's columns.
STATES = ("done", "running", "failed", "interrupted", "to do")


@dataclass(frozen=True)
class State:
    """How one job stands.

    Attributes:
        name: of the record.
        state: one of :data:`STATES`. "done" is a sealed record whose files are not read again here; "interrupted"
            covers a job that was asked to stop and one whose process has gone without a word.
        summary: of a done, failed or interrupted job.
        beat: the last sign of life, where there is one.
        standing: of a done job, to today's code.
    """

    name: str
    state: str
    summary: dict[str, Any] = field(default_factory=dict)
    beat: dict[str, Any] | None = None
    standing: Standing | None = None

    @property
    def reason(self) -> str:
        """Why it is not done, in a few words."""
        if self.state == "failed":
            return (str(self.summary.get("traceback", "")).strip().splitlines() or ["no traceback"])[-1]
        if self.state == "interrupted" and self.beat is not None:
            return f"its process ({self.beat['host']}:{self.beat['pid']}) is gone"
        return ""

    @property
    def stale(self) -> bool:
        """Whether a done job was computed by code that has changed since, and nothing shows that it does not matter."""
        return self.standing is not None and self.standing.state == "stale"

    @property
    def replayed(self) -> bool:
        """Whether it was computed by code that has changed since, and today's computes the same where it was tried."""
        return self.standing is not None and self.standing.state == "replayed"

    @property
    def diverged(self) -> int:
        """Runs of a done job's batch that diverged."""
        return int(self.summary.get("statuses", {}).get("diverged", 0))

    def remaining(self, now: float) -> float | None:
        """Seconds until a running job's end at its pace so far; None where that is not known."""
        beat = self.beat or {}
        finished, steps = beat.get("iteration"), beat.get("steps")
        if self.state != "running" or not finished or not steps:
            return None
        return max(0.0, (now - beat["began"]) * (steps - finished) / finished)


def state_of(path: Path, packed: Mapping[str, Pack] | None = None) -> State:
    """How the job of a directory stands; "to do" where there is none.

    Args:
        path: of the record.
        packed: what its parent holds packed, see :func:`unibio.store.packs.contents`, where it is known.
    """
    beat = heartbeat.read(path)
    if beat is not None and heartbeat.alive(beat):
        return State(path.name, "running", beat=beat)
    summary = records.unfinished(path)
    # A sign of life that has stopped says nothing against a record: the process may have died after its last byte.
    if summary.get("status") == "completed" and (path / "done").is_file():
        return State(path.name, "done", summary, standing=replays.standing(summary, lambda: replays.read(path)))
    if beat is None and summary.get("status") == "failed":
        return State(path.name, "failed", summary)
    if not path.is_dir():
        record = packs.at(path.parent, path.name, packed)
        if record.fault is not None:
            return State(path.name, "to do")
        return State(path.name, "done", record.summary, standing=record.standing)
    return State(path.name, "interrupted", summary, beat)


@dataclass(frozen=True)
class Sweep:
    """The jobs of an experiment or a sweep, or all that belong to none (then without a command)."""

    name: str
    command: str
    jobs: list[State]

    def count(self, state: str) -> int:
        """Jobs in a state."""
        return Counter(job.state for job in self.jobs)[state]

    def eta(self, now: float | None = None) -> float | None:
        """Seconds until the end if as many jobs run as now; None if none does, or nothing is known of their length.

        Jobs that have not begun, or were interrupted, are taken to last as long as the mean of those that are done.
        """
        now = time.time() if now is None else now
        running = [job for job in self.jobs if job.state == "running"]
        if not running:
            return None
        took = [float(job.summary["seconds"]) for job in self.jobs if job.state == "done" and "seconds" in job.summary]
        left = [job.remaining(now) for job in running]
        known = took or [now - job.beat["began"] + rest for job, rest in zip(running, left, strict=True)
                         if job.beat is not None and rest is not None]  # fmt: skip
        if not known:
            return None
        mean = sum(known) / len(known)
        waiting = self.count("to do") + self.count("interrupted")
        return (sum(mean / 2 if rest is None else rest for rest in left) + waiting * mean) / len(running)


def sweeps(root: Path) -> list[Sweep]:
    """Every sweep noted in a records directory, and what belongs to none; folders of other programs are left out."""
    names = [path.name for path in sorted(root.iterdir()) if _is_job(path)] if root.is_dir() else []
    states = {name: state_of(root / name) for name in names}
    found, covered, packed = [], set(), packs.contents(root)
    for path in sorted((root / ".experiments").glob("*.json")):
        content = lists.manifest(root, path.stem)
        if content is None:
            continue
        members = content["records"]
        covered |= set(members)
        jobs = [states.get(name) or state_of(root / name, packed) for name in members]
        found.append(Sweep(path.stem, content["command"], jobs))
    others = [state for name, state in states.items() if name not in covered]
    return [*found, Sweep("(no sweep)", "", others)] if others else found


def unreadable(root: Path) -> list[str]:
    """The lists of records in a records directory that are none."""
    paths = sorted((root / ".experiments").glob("*.json"))
    return [path.name for path in paths if lists.manifest(root, path.stem) is None]


def _is_job(path: Path) -> bool:
    return is_name(path.name) and path.is_dir()


def unfinished(root: Path) -> list[State]:
    """The jobs whose directories, ours by what lies in them, hold neither a record nor a running process."""
    states = [state_of(path) for path in sorted(root.iterdir()) if is_ours(path)] if root.is_dir() else []
    return [state for state in states if state.state in ("failed", "interrupted")]
