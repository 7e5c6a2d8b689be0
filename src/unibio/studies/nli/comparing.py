"""Which methods a claim about hyper-cleaning of sentence pairs compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unibio.studies.common import methods
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_RUN, Outcome
from unibio.studies.nli.groups import OWN, Group, groups, learned
from unibio.studies.nli.setting import foreign


class Rivals(NamedTuple):
    """What a comparison of methods is between.

    Attributes:
        mine: the UniBiO in question; of several forms the better one in validation, so that the test split chooses
            nothing.
        others: the methods that are none of these forms.
        found: all of them, the other forms too.
        called: how explanations name ``mine``, with why it was chosen.
    """

    mine: Group
    others: list[Group]
    found: list[Group]
    called: str

    @property
    def elsewhere(self) -> str | None:
        """Why this is not about SNLI, as a clause; None where it is."""
        return foreign(record for group in self.found for record in group.records)


def rivals(
    evidence: Evidence, experiment: str, rate: float, p: int, among: Sequence[str], own: Sequence[str] = OWN
) -> Rivals | Outcome:
    """The methods ``among``, with learned weights at one noise rate and p; or that records of some are missing.

    Args:
        evidence, experiment, rate, p: where to look.
        among: keys of the table of methods, those of ``own`` among them.
        own: the forms of which the better one is compared with the others.
    """
    every = [group for group in learned(groups(evidence, experiment)) if (group.rate, group.exponent) == (rate, p)]
    found = [group for group in every if group.method in among]
    if absent := set(among) - {group.method for group in found}:
        names = ", ".join(methods.label(name) for name in among if name in absent)
        return Outcome(NOT_RUN, f"{experiment} has no records of {names} at noise rate {rate:g}, p = {p}")
    mine = max((g for g in found if g.method in own), key=lambda group: group.middle("valid_accuracy"))
    called = f"{mine.label}, UniBiO's better form in validation" if len(own) > 1 else mine.label
    return Rivals(mine, [g for g in found if g.method not in own], found, called)
