"""Memory that can still be had, on a machine, in its control groups and on a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

#: Where the limits of control groups are, version 2 and version 1.
_GROUPS = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")


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
