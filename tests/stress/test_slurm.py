"""``launcher=slurm`` on a real SLURM of one node: a sweep with a killed job and a preempted one, then its second try.

It brings up its own cluster and ends it: ``make slurm-test``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from stress import slurm_node
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import existing, run_job
from unibio.pipeline.job import Job
from unibio.store import heartbeat, records
from unibio.store.status import state_of

JOBS = 22
SWEEP = (f"seed=range({JOBS})", "problem.noise=1", "steps=1500", "checkpoint_seconds=0.2", "tracker=none", "device=cpu")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm_node.Node]:
    reason = slurm_node.missing()
    if reason:
        pytest.skip(reason)
    began = time.monotonic()
    try:
        slurm_node.install()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"SLURM could not be installed: {' '.join(error.cmd)} ended with {error.returncode}")
    with slurm_node.Node(tmp_path_factory.mktemp("slurm")) as running:
        print(f"\nSLURM is up after {time.monotonic() - began:.0f} s: {running.ask('scontrol', '--version').strip()}")
        yield running
    assert not [daemon for daemon, process in running._daemons if process.poll() is None]


def jobs_of(root: Path) -> list[Job]:
    with composer() as compose_one:
        return expand([*SWEEP, f"records={root}"], compose_one)


def sweep(
    node: slurm_node.Node, root: Path, *more: str, partition: str = "low", what: Sequence[str] = SWEEP
) -> subprocess.Popen[str]:
    words = ["-m", *what, f"records={root}", "launcher=slurm", f"launcher.partition={partition}"]
    words += [f"launcher.setup=['echo $SLURM_ARRAY_TASK_ID gpu=$CUDA_VISIBLE_DEVICES >> {root}/gpus']"]
    words += ["launcher.gpus_per_node=1", "launcher.signal_delay_s=30", "launcher.timeout_min=30", *more]
    environment = node.environment | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "unibio", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(ready: Callable[[], object], what: str, process: subprocess.Popen[str], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, (what, process.communicate())
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_what_slurm_refuses_is_said(node: slurm_node.Node, tmp_path: Path) -> None:
    refused = sweep(node, tmp_path, partition="nowhere")
    out, err = refused.communicate(timeout=300)
    assert refused.returncode == 2, (out, err)
    assert re.fullmatch(r"unibio: SLURM refuses the jobs: .*partition.*", err.splitlines()[-1])
    assert "Traceback" not in err


def test_a_cancelled_job_writes_its_checkpoint_and_does_not_come_back(node: slurm_node.Node, tmp_path: Path) -> None:
    endless = ("seed=0", "steps=10000000", "log_points=5", "checkpoint_seconds=100000", "tracker=none", "device=cpu")
    process = sweep(node, tmp_path, what=endless)
    begun = lambda: list(tmp_path.glob("*/running.json"))  # noqa: E731
    until(begun, "it computes", process)
    (directory,) = (path.parent for path in begun())
    until(lambda: (heartbeat.read(directory) or {}).get("iteration"), "it is in the middle of it", process)
    (number,) = set(node.ask("squeue", "--noheader", "--format=%A").split())
    node.ask("scancel", number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, (out, err)
    assert "1 of 1 jobs failed" in err
    assert state_of(directory).state == "interrupted"
    assert len(list(directory.glob("checkpoint-*.pt"))) == 1
    deadline = time.monotonic() + 60
    while node.ask("squeue", "--noheader").strip():  # it is completing
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert node.ask("sacct", "--noheader", "--allocations", "--format=State%20").strip().startswith("CANCELLED")
    print(f"cancelled: {err.splitlines()[1].strip()}")


def test_a_sweep_with_a_killed_and_a_preempted_job(node: slurm_node.Node, tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path)
    paths = [tmp_path / records.record_name(job.config) for job in jobs]
    process = sweep(node, tmp_path)

    def with_checkpoint(but: Path | None = None) -> Path | None:
        found = [path for path in paths if path != but and list(path.glob("checkpoint-*.pt")) and heartbeat.read(path)]
        return found[0] if found else None

    until(with_checkpoint, "a job runs and has a checkpoint", process)
    killed = with_checkpoint()
    assert killed is not None
    beat = heartbeat.read(killed)
    assert beat is not None
    os.kill(beat["pid"], signal.SIGKILL)
    print(f"killed process {beat['pid']} of {killed.name} at iteration {beat['iteration']}")

    until(lambda: with_checkpoint(killed), "another job runs and has a checkpoint", process)
    preemptor = node.ask("sbatch", "--parsable", "--partition=high", "--cpus-per-task=4", "--gpus-per-node=4",
                         "--output=/dev/null", "--wrap=sleep 1").strip()  # fmt: skip
    interrupted: set[Path] = set()

    def preempted() -> bool:
        states = {path: state_of(path) for path in paths if path != killed}
        interrupted.update(path for path, s in states.items() if s.summary.get("status") == "interrupted")
        return bool(interrupted)

    until(preempted, "the preempted jobs have written their checkpoints and gone", process)
    until(lambda: not node.ask("squeue", "--noheader", "--jobs", preemptor, check=False).strip(), "it ran", process)
    print(f"preempted: {', '.join(sorted(path.name for path in interrupted))}")

    def hurry() -> bool:
        """SLURM holds a requeued job back for two minutes; a test need not wait for that."""
        waiting = node.ask("squeue", "--noheader", "--states=PENDING", "--array", "--format=%i %r", check=False)
        for line in waiting.splitlines():
            number, reason = line.split(maxsplit=1)
            if reason == "BeginTime":
                node.ask("scontrol", "update", f"JobId={number}", "StartTime=now", check=False)
        return process.poll() is not None

    deadline = time.monotonic() + 500
    while not hurry():
        assert time.monotonic() < deadline, node.ask("squeue")
        time.sleep(0.5)
    out, err = process.communicate()
    print(out, err, sep="\n")
    assert process.returncode == 1
    assert f"1 of {JOBS} jobs failed" in err
    (line,) = [line for line in err.splitlines() if killed.name in line]
    assert "was killed" in line

    states = [state_of(path).state for path in paths]
    assert states == ["failed" if path == killed else "done" for path in paths]
    assert (killed / "config.yaml").is_file()
    resumed = []
    for job, path in zip(jobs, paths, strict=True):
        if path != killed:
            record = existing(job)
            assert record is not None
            if record.summary["resumed_from"]:
                resumed.append(path)
    assert resumed, "the preempted went on from their checkpoints"
    assert interrupted & set(resumed)
    shown = (tmp_path / "gpus").read_text().splitlines()
    assert {line.split()[0] for line in shown} == {str(index) for index in range(JOBS)}
    assert all(re.fullmatch(r"\d+ gpu=[0-3]", line) for line in shown), "every job has exactly one GPU"
    assert len({line.split()[1] for line in shown}) == 4

    here = tmp_path / "here"
    for path in [*resumed[:2], paths[-1]]:
        alone = run_job(jobs_of(here)[paths.index(path)]).record
        mine = existing(jobs[paths.index(path)])
        assert mine is not None
        assert mine.history.drop(columns="seconds").equals(alone.history.drop(columns="seconds"))
    print(f"{JOBS} jobs: 1 killed, {len(resumed)} preempted and resumed, {JOBS - 1} records right")

    again = sweep(node, tmp_path, "retry_failed=true")
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, (out, err)
    assert f"{JOBS} jobs, {JOBS - 1} already recorded, 1 to run" in out
    assert all(existing(job) is not None for job in jobs)
