"""Searches of runs in which nothing is random but the start: some starts choose the steps, others judge them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from unibio.studies.common.curves import Array
from unibio.studies.common.search import Search, search


def over_starts(
    name: str,
    runs: pd.DataFrame,
    values: Array,
    axes: Sequence[str],
    start: str,
    *,
    choosing: Callable[[int], int],
    middle: Callable[[Array], Array],
) -> Search:
    """The search that a table of runs from several starts is, starts in the place of seeds.

    Args:
        name: of the record, for messages.
        runs: one row a run: ``axes`` and ``start``.
        values: (runs,) the criterion, inf for a diverged run.
        axes: columns of steps that were searched; none where one setting was run.
        start: the column of starts. They choose and judge in the order in which the runs have them.
        choosing: from the number of starts to how many of them choose, the first.
        middle: what stands for several starts.

    Raises:
        InputError: as :func:`unibio.studies.common.search.search`.
    """
    order = {value: place for place, value in enumerate(dict.fromkeys(runs[start]))}
    table = runs.assign(seed=runs[start].map(order), setting=0.0)
    return search(name, table, values, [*axes] or ["setting"], choosing=choosing, middle=middle)


def worst_start(values: Array) -> Array:
    """The largest along the last axis: a claim about every start is lost by one."""
    return np.max(values, axis=-1)


def mean_over_starts(values: Array) -> Array:
    """The mean along the last axis; inf where one of them is."""
    return np.mean(values, axis=-1)
