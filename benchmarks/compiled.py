"""What ``torch.compile`` would gain: Algorithm 1 with its step compiled into one kernel. Reported, without a target.

Compilation can be slow or impossible, so it happens in a process of its own with a time limit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from measure import Row
from scalar import Settings
from unibio.core.streams import Draw, Streams

NAME = "compiled/epoch_sgd"


def rows(runs: int, limit: float) -> dict[str, Row]:
    """Rate of the compiled solver and seconds to compile it, or the reason why there are none: a limit of 0 is one."""
    if not limit:
        return {NAME: Row(None, "lower steps/s", note="skipped: not asked for")}
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return {NAME: Row(None, "lower steps/s", note=f"skipped: no C++ compiler ({compiler} is not there)")}
    try:
        with tempfile.TemporaryDirectory() as cache:  # an empty cache: compilation is to be timed
            done = subprocess.run(
                [sys.executable, __file__, str(runs)],
                env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
                cwd=Path(__file__).parents[1],
                capture_output=True,
                text=True,
                timeout=limit,
                check=True,
            )
        got = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {NAME: Row(None, "lower steps/s", note=f"skipped: not compiled within {limit:g} s")}
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        return {NAME: Row(None, "lower steps/s", note=f"skipped: torch.compile failed: {reason[:200]}")}
    return {
        NAME: Row(got["rate"], "lower steps/s", note=f"p = 4, {runs} seeds, noise; one kernel a step"),
        "compiled/compile_time": Row(got["compile"], "s", note="the first solve, with nothing cached"),
    }


def measure(runs: int) -> dict[str, float]:
    """Compile, then time Algorithm 1 for p = 4 with noise of variance 1 from the same streams as ours."""
    s, streams = Settings(exponent=4), Streams(range(runs))

    def step(w: Tensor, total: Tensor, sine: Tensor, noise: Tensor, low: Tensor, high: Tensor, gamma: Tensor):
        return torch.clamp(w - gamma * (w * w * w - sine + noise), low, high), total + w

    kernel = torch.compile(step, dynamic=False)
    index = 0

    def solve() -> None:
        nonlocal index
        y = torch.ones(runs, 1, dtype=torch.float64)
        sine = torch.sin(y)
        for length, gamma, radius in s.epochs():
            low, high, w, total = y - radius, y + radius, y, torch.zeros_like(y)
            factor = torch.tensor(gamma, dtype=torch.float64)  # a tensor: a number would be compiled in
            for _ in range(length):
                w, total = kernel(w, total, sine, Draw(streams, "lower", index).normal(1), low, high, factor)
                index += 1
            y = total / length

    began = time.perf_counter()
    solve()
    compile_seconds = time.perf_counter() - began
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(4):
            solve()
        seconds.append((time.perf_counter() - began) / 4)
    return {"rate": runs * s.solve_steps / sorted(seconds)[2], "compile": compile_seconds}


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        print(json.dumps(measure(int(sys.argv[1]))))
