"""Disks that are full or read-only, as small file systems in memory: said in one line, nothing lost, nothing torn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unibio.store import records
from unibio.store.status import state_of

WORDS = ("problem.noise=1", "+grid.seed={count: 40}", "steps=600", "checkpoint_seconds=0.2")


@contextmanager
def small(path: Path, size: str) -> Iterator[None]:
    """A file system in memory, mounted while entered; skips the test where that is not allowed."""
    path.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)):
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def mount(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


def run(root: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unibio", *WORDS, f"records={root}", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def only(root: Path) -> Path:
    (path,) = (path for path in root.iterdir() if path.name.startswith("example3"))
    return path


def test_a_disk_that_fills_up_during_a_run_loses_nothing(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with small(root, "300k"):
        done = run(root, "tracker=none")
        assert done.returncode == 1
        assert "cannot be written: No space left on device" in done.stderr
        assert "make room and give the same command" in done.stderr
        path = only(root)
        assert state_of(path).state == "interrupted"
        assert records.find(path) is None
        assert not [file for file in path.iterdir() if file.name.startswith(".")], "no temporary files remain"
        assert mount("-o", "remount,size=20m", str(root))
        again = run(root, "tracker=none")
        assert again.returncode == 0, again.stderr
        record = records.find(path)
        assert record is not None
        resumed = record.summary["resumed_from"]
        history = record.history
    whole = run(tmp_path / "whole", "tracker=none")
    assert whole.returncode == 0
    reference = records.find(only(tmp_path / "whole"))
    assert reference is not None
    assert history.drop(columns="seconds").equals(reference.history.drop(columns="seconds"))
    print(f"\nfull disk: said, and after making room gone on from iteration {resumed}")


def test_a_disk_that_is_full_from_the_start_is_said(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with small(root, "16k"):
        (root / "filler").write_bytes(b"x" * 16 * 1024)
        done = run(root, "-m", "seed=0,1", "tracker=none")
        assert done.returncode != 0
        assert "cannot be written: No space left on device" in done.stderr
    print("\nfull from the start: said")


def test_a_read_only_disk_is_said_before_anything_runs(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with small(root, "1m"):
        assert mount("-o", "remount,ro", str(root))
        done = run(root, "tracker=none")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "cannot be written: Read-only file system; choose another directory with records=DIR" in done.stderr
    print("\nread-only: said before anything ran")


def test_a_dashboard_without_room_stops_no_run(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with small(root / "wandb", "8k"):
        (root / "wandb" / "filler").write_bytes(b"x" * 8 * 1024)
        done = run(root, "tracker=offline")
        assert done.returncode == 0, done.stderr
        assert records.find(only(root)) is not None
    print("\nwandb without room: the record is complete")


def test_a_dashboard_without_a_network_or_a_key_stops_no_run(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    environment |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    for more in ({}, {"WANDB_API_KEY": "0" * 40}):
        root = tmp_path / f"runs{len(more)}"
        command = [sys.executable, "-m", "unibio", "steps=20", "tracker=online", f"records={root}"]
        done = subprocess.run(command, env=environment | more, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert records.find(only(root)) is not None
        assert "was not logged" in done.stderr
    print("\nwandb without network or key: the records are complete")
