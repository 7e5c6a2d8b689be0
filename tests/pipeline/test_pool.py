"""Pools of real processes: killed workers, two sweeps at once, killed holders of a lock, signs of life."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from tqdm import tqdm

import pool_work
from unibio.errors import InputError
from unibio.pipeline import local, pool, worker
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import Busy, existing, note_killed, run_job
from unibio.pipeline.compute import Ended as Outcome
from unibio.pipeline.devices import visible_gpus
from unibio.pipeline.job import Job
from unibio.pipeline.launch import launch, report_failures
from unibio.pipeline.local import Failure
from unibio.pipeline.pool import run_pool
from unibio.store import heartbeat, records
from unibio.store.status import state_of

ENDLESS = "steps=10000000"


def make(root: Path, *overrides: str) -> Job:
    steps = [] if any(word.startswith("steps=") for word in overrides) else ["steps=12"]
    with composer() as compose_one:
        (job,) = expand([f"records={root}", "tracker=none", *steps, *overrides], compose_one)
    return job


def several(root: Path, count: int) -> list[Job]:
    """Jobs of the seeds 0, 1, ..., composed at once."""
    with composer() as compose_one:
        return expand([f"records={root}", "tracker=none", "steps=12", f"seed=range({count})"], compose_one)


def until(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def directory(job: Job) -> Path:
    return job.root / records.record_name(job.config)


@pytest.mark.slow
def test_a_killed_worker_fails_its_job_and_no_other(tmp_path: Path) -> None:
    """Nor does a job that another sweep computes: it is taken up last, once it can be."""
    doomed = make(tmp_path, ENDLESS, "log_points=5")
    *others, elsewhere = several(tmp_path, 4)
    done: list[Job] = []
    failures: list[Failure] = []
    jobs = [doomed, elsewhere, *others]
    (tmp_path / ".locks").mkdir()
    lock = FileLock(tmp_path / ".locks" / f"{elsewhere.name}.lock")
    lock.acquire()
    sweep = threading.Thread(target=lambda: failures.extend(run_pool(jobs, 2, False, lambda job, _: done.append(job))))
    sweep.start()
    until(lambda: state_of(directory(doomed)).state == "running" and len(done) == 3, "the others are done")
    beat = heartbeat.read(directory(doomed))
    assert beat is not None
    assert beat["pid"] != os.getpid()
    os.kill(beat["pid"], signal.SIGKILL)
    until(lambda: state_of(directory(doomed)).state == "failed", "its death is noted")
    assert sweep.is_alive(), "it waits for what another sweep computes"
    lock.release()
    sweep.join(timeout=60)
    assert not sweep.is_alive()
    assert [failure.job.config["steps"] for failure in failures] == [10000000]
    assert "SIGKILL" in failures[0].error
    assert all(existing(job) is not None for job in [*others, elsewhere])
    assert done[-1] is elsewhere
    state = state_of(directory(doomed))
    assert (state.state, "SIGKILL" in state.reason) == ("failed", True)
    assert (directory(doomed) / "config.yaml").is_file()
    before = launch([doomed], lambda *_: pytest.fail("it is not tried again"))
    assert "failed before, not tried again" in before[0].error


@pytest.mark.slow
def test_a_process_that_ends_well_in_the_middle_fails_its_job_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """os._exit(0) inside of a loss, say: Pebble takes it for the end of a process without a task."""
    monkeypatch.setattr(pool, "work", pool_work.leaving)
    monkeypatch.setattr(pool, "GONE", 0.5)
    jobs = several(tmp_path, 3)
    (failure,) = run_pool(jobs, 2, show=False)
    assert (failure.job.name, failure.error) == (jobs[1].name, "the worker process ended by itself with exit code 0")
    assert state_of(jobs[1].path).state == "failed"
    assert state_of(jobs[1].path).reason == failure.error
    assert existing(jobs[0]) is not None
    assert existing(jobs[2]) is not None


def test_a_lost_gpu_drains_no_queue_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After such an error everything fails in the same process: nothing more is tried."""
    asked: list[int] = []

    def computed(job: Job, *_: object) -> Outcome:
        asked.append(job.config["seed"])
        if job.config["seed"] == 1:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return Outcome(None, computed=True)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "finish_job", computed)
    done: list[int] = []
    jobs = several(tmp_path, 5)
    failures = run_pool(jobs, 1, False, lambda job, _: done.append(job.config["seed"]))
    assert "illegal memory access" in failures[0].error
    assert asked == [0, 1]
    assert done == [0]
    assert [failure.job.config["seed"] for failure in failures] == [1, 2, 3, 4]
    assert all("not run: the device was lost" in failure.error for failure in failures[1:])


@pytest.mark.slow
def test_processes_that_die_are_replaced_on_their_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process sees one GPU, before CUDA is asked for anything; that of a dead one goes to its successor.

    The first processes die at once, which breaks all of Pebble's pool, since nobody has a job then. A later one loses
    its device.
    """
    monkeypatch.setattr(pool, "begin", pool_work.begin_late)
    monkeypatch.setenv("UNIBIO_TEST_MARKS", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setattr(pool, "pick_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(pool, "work", pool_work.losing_a_gpu)
    done: list[int] = []
    jobs = several(tmp_path, 4)
    (failure,) = run_pool(jobs, 2, False, lambda job, _: done.append(job.config["seed"]))
    assert failure.job.config["seed"] == 1
    assert "illegal memory access" in failure.error
    assert (tmp_path / "died").is_file()
    assert sorted(done) == [0, 2, 3]
    noted = [json.loads((tmp_path / f"seed-{seed}").read_text()) for seed in range(4)]
    (first, first_gpu), (dead, gpu), *others = [(seen["process"], seen["gpu"]) for seen in noted]
    assert {first_gpu, gpu} == {"4", "6"}
    assert {other for _, other in others} == {gpu}
    assert len({process for process, _ in others}) == 1
    assert others[0][0] not in (first, dead)
    assert not any(seen["initialized"] for seen in noted)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6"


def test_more_processes_than_gpus_share_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken() -> str:
        monkeypatch.setattr(worker, "_held", [])
        worker.take_gpu(tmp_path, ["4", "6"])
        held.extend(worker._held)
        return os.environ["CUDA_VISIBLE_DEVICES"]

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    held: list[FileLock] = []
    assert [taken() for _ in range(3)] == ["4", "6", "4"]
    held[1].release()
    assert taken() == "6"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, -1, 3")
    assert visible_gpus() == ["2"], "CUDA itself stops at a negative number"


class Unpicklable(Exception):
    def __init__(self, one: object, another: object):
        super().__init__(f"{one} and {another}")


def test_whatever_a_job_raises_comes_back_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise errors.pop()

    monkeypatch.setattr(worker, "finish_job", failing)
    config = make(tmp_path).portable()
    errors = [Unpicklable(1, 2), SystemExit("1 and 2"), MemoryError("1 and 2")]
    while errors:
        how, why = worker.work(config, tmp_path)
        assert how == "failed"
        assert "Traceback" in why
        assert "1 and 2" in why
    (tmp_path / worker.STOP).touch()
    assert worker.work(config, tmp_path) == ("interrupted", None)


@pytest.mark.slow
def test_processes_that_never_start_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "begin", pool_work.never_begin)
    with pytest.raises(InputError, match=r"processes of the pool end before they take a job.*launcher=local"):
        run_pool(several(tmp_path, 2), 2, False)


def test_the_bar_follows_signs_of_life(tmp_path: Path) -> None:
    jobs = several(tmp_path, 2)
    done: list[Job] = []
    with tqdm(total=24, file=io.StringIO()) as bar:
        sweep = pool._Pool(jobs, 2, bar, lambda job, _: done.append(job))
        sweep.folder = tmp_path
        tasks = [Future(), Future()]
        sweep.running = dict(zip(tasks, jobs, strict=True))
        directory(jobs[0]).mkdir()
        with heartbeat.Heartbeat(directory(jobs[0]), steps=12, every=0.01) as beat:
            beat.iteration = 5
            until(lambda: (heartbeat.read(directory(jobs[0])) or {}).get("iteration") == 5, "the iteration is told")
            sweep.take_back()
            assert bar.n == 5
        tasks[0].set_result(("finished", True))
        sweep.take_back()
        assert bar.n == 12
        assert done == [jobs[0]]


@pytest.mark.slow
def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """The one without a job, and the one with a job after it has written a checkpoint."""
    words = ["-m", "steps=10000000,12", "log_points=5", "checkpoint_seconds=100000", f"records={tmp_path}"]
    words += ["tracker=none", "launcher=processes", "launcher.workers=2"]
    command = [sys.executable, "-m", "unibio", *words]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    endless, short = directory(make(tmp_path, ENDLESS, "log_points=5")), directory(make(tmp_path, "log_points=5"))

    def both() -> bool:
        return state_of(short).state == "done" and bool((heartbeat.read(endless) or {}).get("iteration"))

    def gone() -> bool:
        try:
            os.killpg(parent.pid, 0)
        except ProcessLookupError:
            return True
        return False

    try:
        until(both, "one job runs, the other is done")
        parent.kill()
        parent.wait()
        until(gone, "all processes have ended", 60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
    assert state_of(endless).state == "interrupted"
    assert len(list(endless.glob("checkpoint-*.pt"))) == 1


def test_a_death_is_noted_where_the_device_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that submits to a cluster needs no GPU."""
    job = make(tmp_path, "device=cuda")
    directory(job).mkdir(parents=True)
    (tmp_path / ".locks").mkdir()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert note_killed(job, "its node went down")
    state = state_of(directory(job))
    assert (state.state, state.reason) == ("failed", "its node went down")


def test_a_killed_process_is_seen_and_its_lock_is_free(tmp_path: Path) -> None:
    """The other process only holds what a computing one holds, and so need not import torch."""
    job = make(tmp_path)
    path = directory(job)
    path.mkdir(parents=True)
    (tmp_path / ".locks").mkdir()
    code = (
        "import time; from pathlib import Path; from filelock import FileLock\n"
        "from unibio.store.heartbeat import Heartbeat\n"
        f"with FileLock({str(tmp_path / '.locks' / path.name)!r} + '.lock'), Heartbeat(Path({str(path)!r}), 12):\n"
        "    time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until(lambda: state_of(path).state == "running", "the other process runs")
    with pytest.raises(Busy):
        run_job(job, wait=False)
    process.send_signal(signal.SIGKILL)
    until(lambda: state_of(path).state == "interrupted", "its end is seen, before anyone has waited for it")
    assert "is gone" in state_of(path).reason
    process.wait()
    assert run_job(job, wait=False).computed
    assert state_of(path).state == "done"


@pytest.mark.slow
def test_two_sweeps_at_once_compute_every_job_once(tmp_path: Path) -> None:
    words = ["-m", "seed=0,1,2,3", "steps=60", "problem.noise=1", "tracker=none", f"records={tmp_path}"]
    command = [sys.executable, "-m", "unibio", *words]
    sweeps = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [sweep.communicate(timeout=120) for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], said
    lines = [line for out, _ in said for line in out.splitlines()[1:]]
    assert len({line.split(":")[0] for line in lines if "computed in" in line}) == 4
    assert len([line for line in lines if "computed in" in line]) == 4, "each by one of them"
    assert all("computed in" in line or "recorded by another sweep" in line for line in lines)
    assert all(existing(make(tmp_path, f"seed={seed}", "steps=60", "problem.noise=1")) for seed in range(4))


def test_a_sign_of_life_of_another_machine_grows_old(tmp_path: Path) -> None:
    with heartbeat.Heartbeat(tmp_path, steps=10, every=0.01) as beat:
        beat.iteration = 4
        until(lambda: (heartbeat.read(tmp_path) or {}).get("iteration") == 4, "the iteration is told")
        content = heartbeat.read(tmp_path)
        assert content is not None
        assert heartbeat.alive(content)
    assert heartbeat.read(tmp_path) is None
    other = content | {"host": "elsewhere"}
    assert heartbeat.alive(other, now=content["updated"] + 10)
    assert not heartbeat.alive(other, now=content["updated"] + heartbeat.SILENCE + 1)
    assert not heartbeat.alive(content | {"birth": 1}), "another process has the number now"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_sign_of_life_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / heartbeat.FILE).write_text(content)
    assert heartbeat.read(tmp_path) is None


def test_a_sign_of_life_stops_nothing_on_a_full_disk(tmp_path: Path) -> None:
    with heartbeat.Heartbeat(tmp_path / "missing", steps=None, every=0.001) as beat:
        beat.iteration = 1
        time.sleep(0.01)


def test_a_disk_without_room_is_said_and_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    job = make(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pandas.DataFrame.to_parquet", full)
        with pytest.raises(InputError, match=r"records = .* cannot be written: No space left on device.*make room"):
            run_job(job)
    assert state_of(directory(job)).state == "interrupted"
    assert run_job(job).computed


def test_failures_end_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = make(tmp_path)
    report_failures([Failure(job, "Traceback\n  …\nValueError: too large")], total=7)
    said = capsys.readouterr().err
    assert "1 of 7 jobs failed" in said
    assert f"{records.record_name(job.config)}  ValueError: too large" in said
    assert "retry_failed=true" in said
    report_failures([])
    assert capsys.readouterr().err == ""
