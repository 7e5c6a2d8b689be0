"""Peak memory against the number of trajectories: one process per size, and a straight line through the peaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from measure import Row

_PROGRAM = """
import resource, sys
from pathlib import Path
import torch
from unibio import Example3, solve
torch.set_num_threads(1)
runs, steps = int(sys.argv[1]), int(sys.argv[2])
result = solve(Example3(exponent=4, noise=1.0), "unibio", steps=steps, seed=range(runs))
assert len(result.history) >= 2 * runs
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss would include what the parent had in memory when it started this process
    print(1024 * int(status.read_text().split("VmHWM:")[1].split()[0]))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak if sys.platform == "darwin" else 1024 * peak)
"""


def peak_memory(runs: int, steps: int) -> int:
    """Peak resident memory in bytes of a process that solves Example 3 with noise for ``runs`` seeds."""
    command = [sys.executable, "-c", _PROGRAM, str(runs), str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return int(done.stdout)


def rows(sizes: list[int], steps: int) -> dict[str, Row]:
    """Peaks, bytes per trajectory by least squares, and how straight the line is."""
    peaks = [peak_memory(runs, steps) for runs in sizes]
    slope, intercept = np.polyfit(sizes, peaks, 1)
    off = float(np.max(np.abs(np.polyval([slope, intercept], sizes) / peaks - 1)))
    logged = min(steps + 1, 200)
    table = {f"memory/{runs}_runs": Row(peak / 2**20, "MiB") for runs, peak in zip(sizes, peaks, strict=True)}
    table["memory/per_trajectory"] = Row(slope / 2**10, "KiB", note=f"slope; history of {logged} iterations included")
    table["memory/program"] = Row(intercept / 2**20, "MiB", note="intercept: Python, torch, pandas")
    table["memory/off_the_line"] = Row(100 * off, "%", note="largest deviation of a peak from the line")
    return table
