"""Kills a process before its n-th operation on the file system, for every n, and looks at what is there afterwards.

Operations are what Python announces to audit hooks (files opened to write, renamed, removed, made, truncated) and the
syncs of files, before which the file may as well be half of what was written.

    python -m stress.moments job|report DIRECTORY [EVERY]
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unibio.store import records
from unibio.store.status import state_of

_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def die_before(number: int, root: Path) -> Callable[[], int]:
    """Have this process killed before its ``number``-th operation below a directory.

    A file's sync is two of them: before the first, half of the file is cut off.

    Args:
        number: from 1 on; 0 for never.
        root: of the files that count.

    Returns:
        How many there have been.
    """
    done, below, sync = 0, str(root), os.fsync

    def count(prepare: Callable[[], object] = lambda: None) -> None:
        nonlocal done
        done += 1
        if done == number:
            prepare()
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        writes = event in _EVENTS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES)
        if writes and isinstance(arguments[0], (str, os.PathLike)) and os.fspath(arguments[0]).startswith(below):
            count()

    def syncing(descriptor: int) -> None:
        path = f"/proc/self/fd/{descriptor}"
        if str(Path(path).readlink()).startswith(below):
            count(lambda: os.truncate(path, os.fstat(descriptor).st_size // 2))
            count()
        sync(descriptor)

    sys.addaudithook(heard)
    os.fsync = syncing
    return lambda: done


def forked(work: Callable[[], object]) -> int:
    """The exit code of a process that does some work and ends; it is forked, so that nothing is imported again."""

    def child() -> None:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def every_moment(
    work: Callable[[], object], root: Path, prepare: Callable[[], object], every: int = 1
) -> Iterator[int]:
    """Kill some work before each of its operations, and say which it was; ends when the work is through once.

    Args:
        work: what is to be killed.
        root: below which it writes.
        prepare: brings about what it begins with.
        every: every so-manieth operation only.

    Raises:
        AssertionError: it ended by itself in another way than well.
    """

    def dying(number: int) -> None:
        die_before(number, root)
        work()

    for number in itertools.count(1, every):
        prepare()
        code = forked(partial(dying, number))
        assert code in (0, -signal.SIGKILL), f"operation {number}: exit code {code}"
        if code == 0:
            return
        yield number


@dataclass
class Killed:
    """How work stood up to it: kills, and of these such after which all of it was there already."""

    kills: int = 0
    whole: int = 0


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a directory, links as what they point to are left out."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


#: What other programs and people put into a directory of records, and into a record.
FOREIGN = {
    "thesis/chapter.tex": "precious",
    "notes-0123456789ab/draft.md": "precious",
    "table.csv": "a,b",
    ".experiments/mine.json": "[1",
    ".git/config": "precious",
}
#: What a job may find in its record's place: nothing, a record of other code with other numbers, or such a record whose
#: files are links to somebody's own, with links in the places of temporary files, too.
WORLDS = ("nothing", "an older record", "links")


def _furnish(world: str, reference: Path, template: Path, home: Path) -> None:
    """Make the directory of records that a job begins with.

    Args:
        world: of ``WORLDS``.
        reference: the job's record.
        template: to be made.
        home: where links lead to.
    """
    record = records.Record(reference)
    there = template / record.name
    for name, text in FOREIGN.items():
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text(text)
    if world == "nothing":
        return
    older = record.history.assign(hypergradient_norm=record.history["hypergradient_norm"] + 1.0)
    records.write(there, record.config, {**record.summary, "code_hash": "0" * 64}, older, record.runs)
    (there / "notes.txt").write_text("precious")
    if world == "links":
        home.mkdir(parents=True)
        for name in (*records.FILES, "done", "running.json", "checkpoint-old.pt", ".done.7", ".config.yaml.7"):
            own = home / name
            own.write_bytes((there / name).read_bytes() if (there / name).is_file() else b"precious")
            (there / name).unlink(missing_ok=True)
            (there / name).symlink_to(own)


def job_at_every_moment(root: Path, words: list[str], world: str, every: int = 1) -> Killed:
    """Kill a job at every moment, and each time look at what it left and let it go on.

    Args:
        root: of everything.
        words: its configuration.
        world: what it finds, of ``WORLDS``.
        every: every so-manieth operation only.

    Raises:
        AssertionError: something half was taken for whole, nothing could be read, the numbers differ, or what is not
            the job's was changed.
    """
    import torch

    from unibio.pipeline.composing import composer, expand
    from unibio.pipeline.compute import run_job
    from unibio.pipeline.provenance import circumstances_of
    from unibio.simulation import simulate

    simulate.SAVE_PAUSE = 0
    found, where, template, home = Killed(), root / "runs", root / "template", root / "home"
    with composer() as compose_one:
        (job,) = expand([*words, f"records={where}"], compose_one)
    circumstances_of(job, torch.device("cpu"))  # asks git and parses the code once, for all that are forked
    assert forked(partial(run_job, job)) == 0
    reference = records.find(job.path)
    assert reference is not None
    wanted = (reference.history.drop(columns="seconds"), reference.runs)
    _furnish(world, job.path, template, home)
    older = None if world == "nothing" else records.Record(template / job.name).history.drop(columns="seconds")
    precious = contents(home)
    foreign = {*FOREIGN, *([] if older is None else [f"{job.name}/notes.txt"])}

    def prepare() -> None:
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(template, where, symlinks=True)

    def others() -> dict[str, bytes]:
        return {name: content for name, content in contents(where).items() if name in foreign}

    prepare()
    theirs = others()
    assert set(theirs) == foreign
    for number in every_moment(partial(run_job, job), where, prepare, every):
        found.kills += 1
        moment = f"{world}, killed before operation {number}"
        left = records.Record(job.path)
        why = left.fault
        assert why in (None, "not complete"), f"{moment}: {why}"
        assert state_of(job.path).state in ("done", "interrupted", "to do"), moment
        if why is None:
            now = left.history.drop(columns="seconds")
            new = now.equals(wanted[0])
            found.whole += new
            assert new or (older is not None and now.equals(older)), moment
        assert forked(partial(run_job, job)) == 0, f"{moment}: it did not go on"
        again = records.find(job.path)
        assert again is not None, moment
        assert again.history.drop(columns="seconds").equals(wanted[0]), moment
        assert again.runs.equals(wanted[1]), moment
        assert not any(file.is_symlink() for file in job.path.iterdir()), moment
        files = {file.name for file in job.path.iterdir()} - {"notes.txt"}
        assert files == {*records.FILES, "done"}, f"{moment}: {files}"
        assert others() == theirs, f"{moment}: something that is not the job's"
        assert contents(home) == precious, f"{moment}: something behind a link"
    return found


def report_at_every_moment(root: Path, every: int = 1) -> Killed:
    """Kill the drawing of a figure and the writing of the report at every moment, over older ones.

    Args:
        root: of everything.
        every: every so-manieth operation only.

    Raises:
        AssertionError: a file was half, or in the end not what it is without a kill.
    """
    from synthetic import study, whole_study
    from unibio import report
    from unibio.report.pictures import draw_all

    found, out, older = Killed(), root / "results", root / "older"
    evidence = study(fig1_equal=whole_study()["fig1_equal"])

    def work() -> None:
        draw_all(root, out, ["fig1_equal"], evidence)
        report.write(root, out, evidence)

    assert forked(work) == 0
    wanted = contents(out)
    assert {"index.html", "report.md", "claims.json", "figures/fig1_equal.png"} <= set(wanted)
    shutil.copytree(out, older)
    for name in wanted:
        (older / name).write_bytes(b"older")

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(older, out)

    for number in every_moment(work, out, prepare, every):
        found.kills += 1
        moment = f"the report, killed before operation {number}"
        left = contents(out)
        assert set(wanted) <= set(left), moment
        assert all(left[name] in (b"older", content) for name, content in wanted.items()), moment
        assert all(Path(name).name.startswith(".") for name in left.keys() - wanted.keys()), moment
        found.whole += all(left[name] == content for name, content in wanted.items())
        assert forked(work) == 0, f"{moment}: it could not be written again"
        again = contents(out)
        assert {name: again[name] for name in wanted} == wanted, moment
    return found


if __name__ == "__main__":
    kind, directory, *more = sys.argv[1:]
    rarely = int(more[0]) if more else 1
    WORDS = ["steps=6", "problem.noise=1", "+grid.seed=[0,1]", "checkpoint_seconds=0", "log_points=3", "tracker=none"]
    if kind == "report":
        counted = {kind: report_at_every_moment(Path(directory), rarely)}
    else:
        assert kind == "job"
        counted = {one: job_at_every_moment(Path(directory) / one, WORDS, one, rarely) for one in WORLDS}
    print(json.dumps({one: vars(killed) for one, killed in counted.items()}))
