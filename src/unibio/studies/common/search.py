"""The best cell of a searched grid, and whether its ranges were wide enough to call it that.

A study hands over a criterion, to be small, for every run of a grid of steps and seeds; that of a diverged run is inf.
Some seeds choose a cell. The same or others judge it: others, so that no method is rewarded for the luck of its best
cell. A range that ends too early can be told in two ways, as the criterion allows:

* :meth:`Search.edges`, for a criterion that changes by factors: where the region of all cells that are tied with the
  best ends, see :class:`unibio.studies.common.widening.Axis`.
* :meth:`Search.ends`, for one that changes little in relative terms: where the chosen cell lies at an end.

What the studies ask of a search differs, for these reasons:

* ``e1``: ‖∇φ‖ averaged over the run. With noise half of the seeds choose; only cells below a cap on the upper step, or
  that solve the lower level, may be allowed. Edges, by seed.
* ``lr_search``: the same criterion, one method, judged against the paper's cell and not against other methods, so that
  all seeds choose and judge. Its median interpolates. Edges by the median; by seed where they ask for a wider search.
* ``lp_regression``: φ at the end of a budget; half of the seeds choose. φ differs in the third digit, hence ends.
* ``first_order`` and ``corrupted_labels``: φ and the outer loss at the end; the last five seeds judge. Ends. A method's
  search may be in several records, one for each of its variants.
* ``nasty`` and ``global_optimality``: nothing is random but the start; some starts choose, others judge.
* ``nli``: the validation error at the end, on two seeds that no comparison uses; the worst seed decides, and the median
  between equals, as accuracies often are. An unfinished search may lack cells. Ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.errors import InputError
from unibio.quantiles import HUGE
from unibio.store.records import Record
from unibio.studies.common.curves import Array
from unibio.studies.common.effort import Effort
from unibio.studies.common.widening import Axis, Touched, judge_axis, touched

#: Cells within this fraction of the best criterion are tied with it.
TIE = 0.05

#: Where a cell lies along every axis.
Cell = tuple[int, ...]


def upper_median(values: Array) -> Array:
    """Median along the last axis, the larger of the two middle ones; inf is larger than everything."""
    return np.quantile(values, 0.5, axis=-1, method="higher")


def interpolated_median(values: Array) -> Array:
    """Median along the last axis, half-way between the two middle ones; inf where one of these is."""
    clipped = np.minimum(values, HUGE * 1e50)
    low, high = (np.quantile(clipped, 0.5, axis=-1, method=method) for method in ("lower", "higher"))
    middle = low + (high - low) * 0.5
    return np.where(middle < HUGE, middle, np.inf)


@dataclass(frozen=True, eq=False)
class Search:
    """A criterion on a grid of steps and seeds; :func:`search` makes one.

    Attributes:
        name: of the record, for messages.
        steps: {axis: its values, ascending}, an entry a dimension of the grid.
        values: (…, seeds) the criterion; inf where a run diverged, or is not there.
        choosing_seeds: how many of the seeds choose, the first; all of them where all choose and judge.
        place: where each run lies in ``values``: (runs,) an index, for every axis and the seeds.
        middle: from (…, seeds) to (…): what stands for several seeds.
    """

    name: str
    steps: Mapping[str, Array]
    values: Array
    choosing_seeds: int
    place: tuple[NDArray[np.intp], ...]
    middle: Callable[[Array], Array] = upper_median

    @property
    def split(self) -> bool:
        """Whether other seeds judge than those that choose."""
        return self.choosing_seeds < self.values.shape[-1]

    def effort(self, random: bool = True) -> Effort:
        """What the method was given; ``random``: whether its seeds make a difference."""
        seeds = self.values.shape[-1]
        return Effort(math.prod(self.values.shape[:-1]), self.choosing_seeds, seeds - self.choosing_seeds, random)

    @property
    def choosing(self) -> Array:
        """(…, choosing seeds) the criterion by seed."""
        return self.values[..., : self.choosing_seeds]

    @cached_property
    def chosen_by(self) -> Array:
        """(…) the criterion that chooses the cell."""
        return self.middle(self.choosing)

    @cached_property
    def criterion(self) -> Array:
        """(…) the criterion that is reported."""
        return self.middle(self.values[..., self.choosing_seeds :]) if self.split else self.chosen_by

    def on_grid(self, values: Array) -> Array:
        """(runs,) something else of every run, on the grid of ``values``; inf where there is no run."""
        grid = np.full(self.values.shape, np.inf)
        grid[self.place] = values
        return grid

    def best(self, allowed: Array | None = None, ties: Array | None = None) -> Cell | None:
        """The cell of the least choosing criterion, the first of several; None where none is finite.

        Args:
            allowed: (…) ``chosen_by`` with inf for the cells that may not be chosen.
            ties: (…) decides between equals, the least.
        """
        allowed = self.chosen_by if allowed is None else allowed
        if not np.isfinite(allowed).any():
            return None
        if ties is not None:
            allowed = np.where(allowed == allowed.min(), ties, np.inf)
        return tuple(int(i) for i in np.unravel_index(int(allowed.argmin()), allowed.shape))

    def at(self, cell: Cell) -> dict[str, float]:
        """The steps of a cell, by axis."""
        return {name: float(values[i]) for (name, values), i in zip(self.steps.items(), cell, strict=True)}

    def runs(self, cell: Cell, judging: bool = False) -> NDArray[np.bool_]:
        """(runs,) which runs belong to a cell, or only those of them that judge it."""
        inside = np.logical_and.reduce([place == i for place, i in zip(self.place[:-1], cell, strict=True)])
        return inside & (self.place[-1] >= self.choosing_seeds) if judging and self.split else inside

    def ends(self, cell: Cell | None) -> dict[str, str]:
        """{axis: "low" or "high"} where a cell lies at an end of a range of several steps; {} for no cell.

        A low end of 0 is none: a decay or a momentum goes no further.
        """
        if cell is None:
            return {}
        places = zip(self.steps.items(), cell, strict=True)
        return {
            name: "low" if i == 0 else "high"
            for (name, values), i in places
            if len(values) > 1 and (i == len(values) - 1 or (i == 0 and values[0] > 0))
        }

    def gain_at_ends(self, cell: Cell | None) -> float:
        """What the last grid step towards :meth:`ends` lowered the criterion by; 0 where there is none.

        A gap larger than this is unlikely to close by one more step of the same size outwards.
        """
        gains = [0.0]
        for name, end in self.ends(cell).items():
            assert cell is not None  # without a cell there are no ends
            axis, inwards = list(self.steps).index(name), 1 if end == "low" else -1
            beside = (*cell[:axis], cell[axis] + inwards, *cell[axis + 1 :])
            gains.append(float(self.chosen_by[beside] - self.chosen_by[cell]))
        return max(gains)

    def regions(self, allowed: Array | None = None, by_seed: bool = False) -> dict[str, Axis]:
        """What the region tied with the best does along every axis.

        Args:
            allowed: as in :meth:`best`.
            by_seed: an end counts as an edge only where every choosing seed is better there than anywhere inside, which
                two cells that are alike give at one end with probability 2^−n for n seeds; others are ``alike``.

        Raises:
            InputError: no allowed cell has a finite criterion.
        """
        allowed = self.chosen_by if allowed is None else allowed
        if not np.isfinite(allowed).any():
            raise InputError(f"{self.name}: no pair of steps has a finite criterion")
        tied, found = allowed <= (1 + TIE) * allowed.min(), {}
        for i, (name, values) in enumerate(self.steps.items()):
            axis = judge_axis(values, tied.any(axis=tuple(j for j in range(tied.ndim) if j != i)))
            if by_seed and axis.kind == "edge":
                ends = axis.touched
                better = [end for end in ends if (self._gains(allowed, i, end, inside=True) > 0).all()]
                axis = replace(axis, kind="edge" if better else "alike", where=" and ".join(better or ends))
            found[name] = axis
        return found

    def edges(self, allowed: Array | None = None) -> dict[str, Axis]:
        """The axes whose range ends too early, by seed; {} where no cell has a finite criterion."""
        if self.best(allowed) is None:
            return {}
        return {name: axis for name, axis in self.regions(allowed, by_seed=True).items() if axis.kind == "edge"}

    def gain_at_edges(self, edges: Mapping[str, Axis], allowed: Array | None = None) -> float:
        """What the last grid step towards some of :meth:`edges` lowers the criterion by, median over the choosing
        seeds; 0 for none. A gap larger than this is unlikely to close by one more step outwards."""
        allowed, gains = self.chosen_by if allowed is None else allowed, [0.0]
        for name, axis in edges.items():
            by_end = [self._gains(allowed, list(self.steps).index(name), end) for end in axis.touched]
            gains += [float(np.median(by_seed)) for by_seed in by_end]
        return max(gains)

    def _gains(self, allowed: Array, axis: int, end: str, inside: bool = False) -> Array:
        """(choosing seeds,) how much lower the criterion is at the best cell at an end of an axis than at the best
        beside it, or with ``inside`` at neither end; inf where nothing there is allowed, −inf where a run at the end
        diverged."""
        size = allowed.shape[axis]
        others = range(1, size - 1) if inside else [1 if end == "low" else size - 2]
        at_end = self._best_of(allowed, axis, [0 if end == "low" else size - 1])
        away = self._best_of(allowed, axis, [place for place in others if 0 <= place < size])
        return np.where(np.isfinite(at_end), away - np.where(np.isfinite(at_end), at_end, 0.0), -np.inf)

    def _best_of(self, allowed: Array, axis: int, places: Sequence[int]) -> Array:
        """(choosing seeds,) criterion at the best allowed cell with one of some places on an axis; inf for none."""
        kept = np.isin(np.indices(allowed.shape)[axis], list(places))
        cell = self.best(np.where(kept, allowed, np.inf))
        return np.full(self.choosing_seeds, np.inf) if cell is None else np.asarray(self.choosing[cell])


def search(
    name: str,
    runs: pd.DataFrame,
    values: Array,
    axes: Sequence[str],
    *,
    choosing: Callable[[int], int] = lambda seeds: seeds,
    middle: Callable[[Array], Array] = upper_median,
    whole: bool = True,
) -> Search:
    """The search that a table of runs is.

    Args:
        name: of the record, for messages.
        runs: one row a run: ``axes`` and ``seed``.
        values: (runs,) the criterion, inf for a diverged run.
        axes: columns of steps that were searched.
        choosing: from the number of seeds to how many of them choose.
        middle: what stands for several seeds.
        whole: whether every combination of steps must be there for every seed; one that is not counts as diverged.

    Raises:
        InputError: an axis is missing, a run is there twice, or one that must be is not.
    """
    if not {*axes, "seed"} <= set(runs):
        raise InputError(
            f"{name}: the search needs the axes {', '.join(axes)} and seed, that is, several seeds at every "
            f"combination of {' and '.join(axes)}"
        )
    found = [np.unique(runs[axis].to_numpy(), return_inverse=True) for axis in (*axes, "seed")]
    shape, place = tuple(len(steps) for steps, _ in found), tuple(at for _, at in found)
    if len(np.unique(np.ravel_multi_index(place, shape))) < len(runs):
        raise InputError(f"{name}: the search has runs that differ neither in {', '.join(axes)} nor in their seed")
    if whole and len(runs) != math.prod(shape):
        raise InputError(f"{name}: the search needs every combination of steps for every seed")
    steps = {axis: found_steps.astype(float) for axis, (found_steps, _) in zip(axes, found, strict=False)}
    grid = np.full(shape, np.inf)
    grid[place] = values
    return Search(name, steps, grid, choosing(shape[-1]), place, middle)


def touched_by_any(record: Record, searches: Iterable[Search]) -> list[Touched]:
    """The ranges of one record's searches whose chosen step, in any of them, is one of their ends."""
    steps: dict[str, Array] = {}
    at_ends: dict[str, list[str]] = {}
    for found in searches:
        steps |= found.steps
        for axis, end in found.ends(found.best()).items():
            at_ends.setdefault(axis, []).append(end)
    return touched(record, steps, at_ends)
