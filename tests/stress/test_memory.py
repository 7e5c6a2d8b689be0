"""The bound on the network's memory against the peaks of whole runs, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import unibio

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from unibio.data import DataSettings
from unibio.problems.nli import memory as nli_memory
from unibio.problems.nli.cleaning import NLICleaning
from unibio.registry import algorithm_class
from unibio.simulation.simulate import simulate
from unibio.simulation.settings import Settings

def memory(kind):
    return int(Path("/proc/self/status").read_text().split(kind + ":")[1].split()[0]) * 1024

width, batch = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
spec = NLICleaning(pairs=DataSettings(train=1600, valid=300, test=30, dimension=300, cache=sys.argv[3]), width=width)
algorithm = algorithm_class(sys.argv[4])(batch_size=batch, lower_step=0.1, upper_step=0.1)
spec.data()
asked = []
nli_memory.check = lambda net, needed, *_: asked.append(needed)
spec.check_memory(algorithm, 1, torch.float32, torch.device("cpu"))
before = memory("VmRSS")
problem = spec.build()
x, y = (start.float()[None].clone() for start in problem.start)
simulate(problem, algorithm, x, y, seeds=[0], settings=Settings(2, log_points=2))
print(json.dumps([asked[0], memory("VmHWM") - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which is not here")
@pytest.mark.parametrize(
    ("method", "width", "batch"),
    [("ma_soba", 512, 128), ("ma_soba", 512, 400), ("ma_soba", 1024, 128), ("saba", 512, 128), ("saba", 1024, 128)],
)
def test_the_bound_is_above_the_peak_and_not_far(method: str, width: int, batch: int, tmp_path: Path) -> None:
    """With 400 pairs states are most of it, at 1,024 units both alike, of SABA a fifth or a third tables."""
    environment = os.environ | {"PYTHONPATH": str(Path(unibio.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(width), str(batch), str(tmp_path), method]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    bound, peak = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{method}, {width} units, {batch} pairs: bound {bound / 2**20:.0f} MiB, peak {peak / 2**20:.0f} MiB")
    assert 1 < bound / peak < 1.6
