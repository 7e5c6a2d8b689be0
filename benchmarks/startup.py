"""What is waited for beside computing: help, a job that is recorded, planning a sweep, a job of very many runs.

Commands are processes of their own, imports included; what counts is their processor time, or their peak of memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Row
from unibio import Coordinatewise
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.sweep import plan

#: A short job, and one of many runs.
ONE = ("problem=example3", "algorithm=unibio", "steps=20", "tracker=none", "progress=false")
MANY = ("problem=example3", "problem.exponent=2", "problem.noise=1", "algorithm=soba", "tracker=none", "progress=false")

#: Runs its arguments, and says how much memory that took at the most.
_PEAK = """
import sys
from pathlib import Path
from unibio.cli.main import main
main(["run", *sys.argv[1:]])
print("PEAK", 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
"""


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        planned: jobs of a sweep.
        runs, logged: of the job of many runs; its parts, and so its peak, do not grow any more.
        dimension: of the coordinate-wise problem.
    """

    planned: int = 5000
    runs: int = 100_000
    logged: int = 200
    dimension: int = 10_000


def rows(scale: Scale) -> dict[str, Row]:
    """Processor seconds of commands and of planning, the peak of a large job, and of building a large problem."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = {
            "startup/help": _at_most(_seconds(root, "--help"), 0.6, "s", "python -m unibio --help"),
            "startup/list": Row(_seconds(root, "list"), "s", note="unibio list"),
            "startup/computed": Row(_seconds(root, *ONE), "s", note="a job of 20 iterations"),
            "startup/recorded": _at_most(_seconds(root, *ONE), 1.0, "s", "the same job again, which is recorded"),
            "startup/planning": _at_most(_planning(root, scale.planned), 4.0, "s", f"{scale.planned} jobs, all to run"),
        }
        table["startup/many_runs"] = _many_runs(root / "many", scale)
    began = time.process_time()
    Coordinatewise(dimension=scale.dimension, mixing="hadamard").build()
    note = f"coordinate-wise problem, d = {scale.dimension}, mixing=hadamard"
    return {**table, "startup/build": _at_most(time.process_time() - began, 2.0, "s", note)}


def _at_most(value: float, target: float, unit: str, note: str) -> Row:
    return Row(value, unit, target, "a limit we set ourselves", value <= target, note)


def _seconds(folder: Path, *arguments: str) -> float:
    """Processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(folder, "-m", "unibio", *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, cwd=folder, timeout=3600
    ).stdout


def _planning(folder: Path, count: int) -> float:
    """Processor seconds from overrides to a plan in this process, which has loaded what it needs."""
    words: Sequence[str] = [*ONE, f"records={folder / 'none'}"]
    with composer() as compose_one:
        expand(words, compose_one)
        began = time.process_time()
        planned = plan(expand([*words, f"seed=range({count})"], compose_one), probes=1)
    assert len(planned.pending) == count
    return time.process_time() - began


def _many_runs(folder: Path, scale: Scale) -> Row:
    """The peak of memory of a job that is computed in parts."""
    if not Path("/proc/self/status").exists():
        return Row(None, "GiB", note="skipped: a peak of memory is read from /proc")
    folder.mkdir()
    words = [*MANY, f"steps={scale.logged - 1}", f"log_points={scale.logged}", f"+grid.seed={{count: {scale.runs}}}"]
    said = _run(folder, "-c", _PEAK, *words)
    note = (
        f"peak of a job of {scale.runs:,} runs, {scale.logged} logged rows each; more runs are more parts of one size"
    )
    return _at_most(int(said.split("PEAK")[1]) / 2**30, 4.0, "GiB", note)
