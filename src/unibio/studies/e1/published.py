"""What of Appendix E.1's records is published: how every pair of steps ends, and the way of those that are followed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common.evidence import Evidence
from unibio.studies.e1.crossing import window
from unibio.studies.e1.search import METRIC, NOISY, SMALL_CAP, search_of

_MEAN = f"{METRIC}_mean"

#: By experiment. Crossings of x = 0 are followed through all logged iterates of ``e1``, which has one seed.
KEPT = {"e1": Kept(points=None, metrics=(METRIC, "value", "lower_error"), ends=(_MEAN,), bits=16)} | dict.fromkeys(
    (*NOISY, "e1_coordinatewise"), Kept(metrics=(METRIC,), ends=(_MEAN, "value", "lower_error"))
)


def shown(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_]:
    """(runs,) those of the best pair; of ``e1`` also those of the best one below the small cap, and of all pairs whose
    crossings are counted."""
    found = search_of(record)
    caps = (math.inf, SMALL_CAP) if experiment == "e1" else (math.inf,)
    pairs = [at for cap in caps if (at := found.best(cap)) is not None]
    mask = np.zeros(len(record.runs), dtype=bool)
    for at in (*pairs, *(window(found) if experiment == "e1" else ())):
        mask |= found.search.runs(at)
    return mask
