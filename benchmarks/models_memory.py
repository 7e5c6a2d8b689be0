"""Peak memory of the problems of networks, at four million weights, of either library in a process of its own.

Minibatches are all items, so that all sides compute the same, and they must end at the same point.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import torch

from measure import Row
from model_sides import double, flat, train
from model_tasks import TASKS, Settings

#: Units of either hidden layer; iterations.
UNITS, STEPS = 2000, 2
#: What may lie between the lengths of the ends, relative to the larger: a sum over shuffled items, in float64.
TOLERANCE = 1e-10


def rows(units: int, here: list[str]) -> dict[str, Row]:
    """The peaks of ours and of opponents, and their ratios.

    Args:
        units: of either hidden layer.
        here: opponents that are installed.

    Raises:
        ArithmeticError: two sides do not end at the same point.
    """
    if not here:
        return {}
    if not Path("/proc/self/status").exists():
        return {"over/models/memory": Row(None, "×", note="skipped: a peak of memory is read from /proc")}
    table: dict[str, Row] = {}
    for task in TASKS:
        found = {who: _process(who, task, units) for who in ("ours", *here)}
        ours, name = found["ours"], f"models/{task}/memory"
        note = f"{ours['weights'] / 1e6:.1f} million weights, float64, full batch; peak of a process"
        table[f"{name}/ours"] = Row(ours["peak"], "MB", note=note)
        for who in here:
            theirs = found[who]
            apart = max(abs(a - b) / max(abs(a), abs(b)) for a, b in zip(ours["end"], theirs["end"], strict=True))
            if not apart <= TOLERANCE:
                raise ArithmeticError(f"{task}: {who} ends {apart:g} from ours; its peak means nothing")
            own = [one["peak"] - one["before"] for one in (ours, theirs)]
            said = f"one run each; {note}; without imports {own[0] / own[1]:.3g}×"
            table[f"agreement/{name}/{who}"] = Row(
                apart, "largest difference", TOLERANCE, f"{name}/{who}", met=True, note="|x|, |y|"
            )
            table[f"{name}/{who}"] = Row(theirs["peak"], "MB", note=note)
            table[f"over/{name}/{who}"] = Row(ours["peak"] / theirs["peak"], "×", None, f"{name}/{who}", note=said)
    return table


def _process(who: str, task: str, units: int) -> dict:
    command = [sys.executable, "-W", "ignore", __file__, who, task, str(units)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    return json.loads(done.stdout.splitlines()[-1])


def _megabytes() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def _main(who: str, name: str, units: int) -> None:
    """Solve a task at full batch, and print the peaks before and after, and where it ended."""
    torch.set_num_threads(1)
    import_module(f"rivals.models_{who}")
    task = double(TASKS[name](units, layers=2))
    weights = sum(p.numel() for module in task.modules(0) for p in module.parameters())
    before = _megabytes()
    end = train(who, task, Settings(STEPS, batch=max(len(task.train), len(task.valid))))
    ends = [float(flat(module).norm()) for module in end]
    print(json.dumps({"before": before, "peak": _megabytes(), "end": ends, "weights": weights}))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
