"""Which methods a claim about hyper-cleaning of sentence pairs compares, and what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unibio.studies.common import methods
from unibio.studies.common.curves import Array
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_RUN, Outcome
from unibio.studies.nli.groups import OWN, Group, groups, learned
from unibio.studies.nli.setting import foreign

#: Fewer seeds tell no two methods apart: of two and two all of one end above the other in every third pair of equals.
LEAST_SEEDS = 3


class Rivals(NamedTuple):
    """What a comparison of methods is between.

    Attributes:
        mine: UniBiO's better form in validation, so that the test split chooses nothing.
        others: the methods that are not UniBiO.
        found: all of them, UniBiO's other form too.
    """

    mine: Group
    others: list[Group]
    found: list[Group]

    @property
    def elsewhere(self) -> str | None:
        """Why this is not about SNLI, as a clause; None where it is."""
        return foreign(record for group in self.found for record in group.records)


def rivals(evidence: Evidence, experiment: str, rate: float, p: int, among: Sequence[str]) -> Rivals | Outcome:
    """The methods ``among``, with learned weights at one noise rate and p; or that records of some are missing."""
    every = [group for group in learned(groups(evidence, experiment)) if (group.rate, group.exponent) == (rate, p)]
    found = [group for group in every if group.method in among]
    if absent := set(among) - {group.method for group in found}:
        names = ", ".join(methods.label(name) for name in among if name in absent)
        return Outcome(NOT_RUN, f"{experiment} has no records of {names} at noise rate {rate:g}, p = {p}")
    mine = max((g for g in found if g.method in OWN), key=lambda group: group.middle("valid_accuracy"))
    return Rivals(mine, [g for g in found if g.method not in OWN], found)


def order(a: Array, b: Array) -> int:
    """1 where every seed of the first (seeds,) ends above every seed of the second, −1 below, 0 otherwise.

    Fewer than ``LEAST_SEEDS`` tell nothing apart, and a diverged run has no accuracy.
    """
    if min(len(a), len(b)) < LEAST_SEEDS or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0
    return 1 if a.min() > b.max() else (-1 if a.max() < b.min() else 0)
