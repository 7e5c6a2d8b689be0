"""What a batch needs in memory, estimated before anything of it is computed.

Nearly all of it is history: a run of one dimension with 200 logged rows takes as much as five thousand iterates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unibio.errors import InputError
from unibio.memory import available
from unibio.simulation.settings import Settings

GIB = 2**30
#: Columns of a history beside axes and metrics: run, iteration, seconds, calls and data points by kind, their sum.
COLUMNS = 12
#: Numbers held at once for every one that a history holds, at the peak: the table, and a copy to be written or cut.
COPIES = 2
#: Vectors of the iterates' size that a batch holds: iterates, results, derivatives, parts of a Neumann sum.
VECTORS = 24


def logged(settings: Settings) -> int:
    """Rows of history that a run gets, at most."""
    lengths = [length for length in (settings.steps, settings.budget) if length is not None]
    return min([settings.log_points, *(length + 1 for length in lengths)])


def per_run(settings: Settings, axes: int, metrics: int, sizes: tuple[int, int], element_size: int) -> int:
    """Bytes that a run of a batch needs at the batch's peak.

    Args:
        settings: how many rows are logged.
        axes: columns that tell runs apart.
        metrics: logged, averages over all iterations included.
        sizes: d_x, d_y.
        element_size: bytes of a number of the iterates.
    """
    row = 8 * (COPIES * (COLUMNS + axes + metrics) + metrics)
    return logged(settings) * row + VECTORS * sum(sizes) * element_size


def check_fits(runs: int, needed: int, settings: Settings, names: Sequence[str]) -> None:
    """Refuse a batch whose history and iterates do not fit into this machine's memory.

    Args:
        runs: rows.
        needed: bytes of each.
        settings: of the batch.
        names: of its axes, which can be made shorter.

    Raises:
        InputError: they do not.
    """
    free = available(torch.device("cpu"))
    if runs * needed <= free:
        return
    shorter = f", give fewer values of {' or '.join(names)}" if names else ""
    raise InputError(
        f"{runs:,} runs of {logged(settings)} logged rows need about {runs * needed / GIB:.3g} GiB, and "
        f"{max(free, 0) / GIB:.3g} GiB are left; lower log_points = {settings.log_points}{shorter}, or run it as a "
        "configuration (python -m unibio), which writes its history part by part"
    )
