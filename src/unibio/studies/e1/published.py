"""What of Appendix E.1's records is published: how every pair of steps ends, and the way of those that are followed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.store.thinning import BITS, END_BITS, Kept
from unibio.studies.common.evidence import Evidence
from unibio.studies.e1.calls import around, budgets_of
from unibio.studies.e1.crossing import window
from unibio.studies.e1.search import METRIC, NOISY, SMALL_CAP, MethodSearch, searches

_MEAN = f"{METRIC}_mean"

#: By experiment. The criterion decides ranks by its last digits. Crossings are followed through all logged iterates of
#: ``e1``, which has one seed, and a bit decides on which side of the band one is.
KEPT = {
    "e1": Kept(
        points=None,
        metrics=(METRIC, "value", "lower_error"),
        finals=(_MEAN,),
        placed=(_MEAN,),
        end_bits=BITS,
        finer={_MEAN: (20, END_BITS), "value": (16, END_BITS), "lower_error": (16, 16)},
    )
} | dict.fromkeys(
    (*NOISY, "e1_coordinatewise"),
    Kept(
        points=None,  # a row that is kept for one seed of a curve needs those of the others beside it
        metrics=(METRIC,),
        ends=("lower_error",),
        finals=(_MEAN, "value"),
        placed=(_MEAN,),
        end_bits=BITS,
        finer={_MEAN: (20, 20), "value": (BITS, 20)},
    ),
)


def places(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_]:
    """(rows,) those around the number of oracle calls at which methods are compared."""
    problem = _search(evidence, experiment, record).problem
    return around(record, budgets_of(evidence, experiment)[problem])


def shown(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_]:
    """(runs,) those of the best pair; of ``e1`` also those of the best one below the small cap, and of all pairs whose
    crossings are counted."""
    found = _search(evidence, experiment, record)
    caps = (math.inf, SMALL_CAP) if experiment == "e1" else (math.inf,)
    pairs = [at for cap in caps if (at := found.best(cap)) is not None]
    mask = np.zeros(len(record.runs), dtype=bool)
    for at in (*pairs, *(window(found) if experiment == "e1" else ())):
        mask |= found.search.runs(at)
    return mask


def _search(evidence: Evidence, experiment: str, record: Record) -> MethodSearch:
    """The search that a record is, among those that rules and figures share."""
    (one,) = (one for one in searches(evidence, experiment) if one.record.name == record.name)
    return one
