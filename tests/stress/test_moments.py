"""A job, and figures with their report, killed before every single one of their operations on the file system."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stress.moments import WORLDS


@pytest.mark.parametrize("work", ["job", "report"])
def test_at_every_moment(work: str, tmp_path: Path) -> None:
    """Nothing half is taken for whole, the end is the same each time, and what is somebody else's stays as it is.

    A job begins with nothing, with an older record, and with one whose files are links; always among foreign files. The
    figure and the report are written over older ones.
    """
    command = [sys.executable, "-m", "stress.moments", work, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert set(counts) == set(WORLDS if work == "job" else ["report"])
    for what, count in counts.items():
        print(f"\n{work}, {what}: {count['kills']} kills, {count['whole']} with all of it there already")
        assert count["kills"] >= 30
        assert count["whole"] >= 1
