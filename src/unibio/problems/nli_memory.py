"""What a run of the recurrent network needs, checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from unibio.errors import InputError
from unibio.models.pair_rnn import Architecture
from unibio.problems.nli_network import STATES_AT_ONCE
from unibio.tables import GIB

# Measured as the peak of whole runs of eight methods at widths 256 to 2048: the estimate was 1.05 to 1.6 times it, 1.05
# to 1.5 times from 512 units on.
#: Vectors of the size of all weights: the start in double precision, iterates, results, a gradient or product and its
#: parts, the terms of a Neumann sum, temporaries. SABA's tables come on top.
VECTORS = 24
#: Arrays of (tokens, width) per layer: of a Hessian–vector product and of the minibatches that are kept.
STATES = 12
#: Arrays of ``STATES_AT_ONCE`` while metrics are evaluated, and what libraries take.
EVALUATION = 3
#: Pairs of a minibatch that is assumed where the method is not known; also what settings are checked on.
BATCH = 128

#: Where the limits of control groups are, version 2 and version 1.
_GROUPS = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")


def estimate(net: Architecture, tokens: float, element: int, batch: int = BATCH, runs: int = 1) -> int:
    """Bytes that a run needs, without tables for data points as SABA's.

    Args:
        net: sizes.
        tokens: mean number of tokens of a pair.
        element: bytes of a number.
        batch: most pairs in a minibatch.
        runs: rows, which keep their own weights and are computed one after another.
    """
    weights = VECTORS * net.size * runs
    states = batch * tokens * (STATES * net.layers * net.width + net.dimension)
    return int(element * (weights + states + EVALUATION * STATES_AT_ONCE))


def largest_batch(algorithm: Any, points: int) -> int:
    """Most pairs in a minibatch of an algorithm on a level of so many pairs; where a batch size is null it has all."""
    names = [name for name in ("batch_size", "checkpoint_batch_size") if hasattr(algorithm, name)]
    sizes = [getattr(algorithm, name) for name in names]
    return min(points, max([BATCH, *(points if size is None else size for size in sizes)]))


def check(net: Architecture, needed: float, device: torch.device, tables: float = 0) -> None:
    """Refuse a network whose run does not fit.

    Args:
        net: sizes.
        needed: bytes.
        device: whose memory has to hold them.
        tables: how many of them are for tables of the method.

    Raises:
        InputError: it cannot.
    """
    free = available(device)
    if needed > free:
        kept = f" and the method's tables ({tables / GIB:.3g} GiB)" if tables else ""
        raise InputError(
            f"problem.width = {net.width} needs about {needed / GIB:.3g} GiB for its {net.size:,} weights{kept}, and "
            f"{device} has {max(free, 0) / GIB:.3g} GiB left; use a smaller width or batch, dtype=float32, or another "
            "device"
        )


def available(device: torch.device) -> float:
    """Bytes that can still be had on a device; infinite where nobody says."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by PyTorch, for the next
        return torch.cuda.mem_get_info(device)[0] + kept
    return min([_of_machine(Path("/proc/meminfo")), *_of_groups(Path("/proc/self/cgroup"), *_GROUPS)])


def _of_machine(meminfo: Path) -> float:
    try:
        return float(meminfo.read_text().split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return float("inf")


def _of_groups(own: Path, second: Path, first: Path) -> Iterator[float]:
    """What every control group around this process leaves: its limit, less what is in use and cannot be dropped.

    Args:
        own: the list of this process's groups, as in /proc/self/cgroup.
        second, first: where the groups of versions 2 and 1 are mounted.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return
    for number, kinds, path in lines:
        if number == "0":
            root, names = second, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            root, names = first, ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inside = Path(path.lstrip("/"))
        for group in (inside, *inside.parents):  # in a container the path may be the host's: the root is there at least
            left = _of_group(root / group, *names)
            if left is not None:
                yield left


def _of_group(group: Path, limit: str, used: str, droppable: str) -> float | None:
    """What one group leaves; None where it has no limit, or is not there."""
    try:
        most, now = float((group / limit).read_text()), float((group / used).read_text())  # "max" is no number
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return most - now + float(stat.get(droppable, 0))
    except (OSError, ValueError):
        return None
