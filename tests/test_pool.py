"""Pools of real processes: killed workers, two sweeps at once, killed holders of a lock, signs of life."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from unibio import heartbeat, pool, records
from unibio.config import Job
from unibio.errors import InputError
from unibio.job import Busy, Outcome, existing, note_killed, run_job
from unibio.launch import launch, report_failures
from unibio.pool import Failure, run_pool, visible_gpus
from unibio.status import state_of
from unibio.sweep import composer, expand

ENDLESS = "steps=10000000"


def make(root: Path, *overrides: str) -> Job:
    with composer() as compose_one:
        (job,) = expand([f"records={root}", "tracker=none", "steps=12", *overrides], compose_one)
    return job


def until(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def directory(job: Job) -> Path:
    return job.root / records.record_name(job.config)


def test_a_killed_worker_fails_its_job_and_no_other(tmp_path: Path) -> None:
    doomed = make(tmp_path, ENDLESS, "log_points=5")
    others = [make(tmp_path, f"seed={seed}") for seed in range(3)]
    done: list[Job] = []
    failures: list[Failure] = []
    sweep = threading.Thread(
        target=lambda: failures.extend(run_pool([doomed, *others], 2, False, lambda job, _: done.append(job)))
    )
    sweep.start()
    until(lambda: state_of(directory(doomed)).state == "running" and len(done) == 3, "the others are done")
    beat = heartbeat.read(directory(doomed))
    assert beat is not None
    assert beat["pid"] != os.getpid()
    os.kill(beat["pid"], signal.SIGKILL)
    sweep.join(timeout=60)
    assert not sweep.is_alive()
    assert [failure.job.config["steps"] for failure in failures] == [10000000]
    assert "SIGKILL" in failures[0].error
    assert all(existing(job) is not None for job in others)
    state = state_of(directory(doomed))
    assert (state.state, "SIGKILL" in state.reason) == ("failed", True)
    assert (directory(doomed) / "config.yaml").is_file()
    before = launch([doomed], lambda *_: pytest.fail("it is not tried again"))
    assert "failed before, not tried again" in before[0].error


class Threaded(pool._Worker):
    """A worker in a thread instead of a process, which therefore sees what a test has patched."""

    born = 0
    replaced = threading.Event()  #: once there are more than the two that a pool of two begins with

    def __init__(self, slot: int, gpus: Sequence[str]):
        type(self).born += 1
        if self.born > 2:
            self.replaced.set()
        self.slot, self.job = slot, None
        self.wire, theirs = multiprocessing.Pipe()

        def serve() -> None:
            pool._serve(theirs)
            theirs.close()

        self.process = threading.Thread(target=serve, daemon=True)  # type: ignore[assignment]
        self.process.start()


def lost() -> torch.AcceleratorError:
    return torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lost_gpu_fails_one_job_and_drains_no_queue(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After such an error everything fails in the same process: another takes over, or nothing more is tried."""
    asked: list[int] = []

    def computed(job: Job, *_: object) -> Outcome:
        asked.append(job.config["seed"])
        if job.config["seed"] == 1:
            raise lost()
        if workers == 2:  # or the other worker could be through with all jobs before the loss is heard of
            assert Threaded.replaced.wait(timeout=60), "no worker took the place of the one that lost its device"
        return Outcome(None, computed=True)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "finish_job", computed)
    monkeypatch.setattr(pool, "_Worker", Threaded)
    monkeypatch.setattr(pool.signal, "signal", lambda *_: None)  # of processes; threads have none
    monkeypatch.setattr(Threaded, "born", 0)
    monkeypatch.setattr(Threaded, "replaced", threading.Event())
    done: list[int] = []
    jobs = [make(tmp_path, f"seed={seed}") for seed in range(5)]
    failures = run_pool(jobs, workers, False, lambda job, _: done.append(job.config["seed"]))
    assert "illegal memory access" in failures[0].error
    if workers == 1:
        assert asked == [0, 1]
        assert done == [0]
        assert [failure.job.config["seed"] for failure in failures] == [1, 2, 3, 4]
        assert all("not run: the device was lost" in failure.error for failure in failures[1:])
    else:
        assert sorted(done) == [0, 2, 3, 4]
        assert len(failures) == 1
        assert Threaded.born == 3


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
        "import time; from pathlib import Path; from filelock import FileLock; from unibio.heartbeat import Heartbeat\n"
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


def test_every_worker_gets_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker's environment says when it is born; the devices themselves are not needed for that."""
    from unibio.pool import _Worker

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert visible_gpus() == ["4", "6"]
    seen = []
    monkeypatch.setattr(
        "multiprocessing.context.SpawnProcess.start", lambda self: seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    )
    for slot in range(3):
        _Worker(slot, visible_gpus())
    assert seen == ["4", "6", "4"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, -1, 3")
    assert visible_gpus() == ["2"], "CUDA itself stops at a negative number"
