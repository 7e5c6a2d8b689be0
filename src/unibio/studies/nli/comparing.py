"""Which methods a claim about hyper-cleaning of sentence pairs compares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from unibio.studies.common import methods
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_RUN, Outcome
from unibio.studies.nli.around import gains_at_ends
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
        gains: :func:`~unibio.studies.nli.around.gains_at_ends` of all of them.
    """

    mine: Group
    others: list[Group]
    found: list[Group]
    called: str
    gains: Mapping[str, float]

    @property
    def elsewhere(self) -> str | None:
        """Why this is not about SNLI, as a clause; None where it is."""
        return foreign(record for group in self.found for record in group.records)

    def unsettled(self, leads: Mapping[str, float], above: Collection[str]) -> str | None:
        """Why wider ranges of steps may turn the comparison round, as a clause; None where they are unlikely to.

        Args:
            leads: {label of another: by how much ``mine`` is above it in accuracy}.
            above: those that are above ``mine``; () where it is above all.
        """
        if above:
            gain = self.gains.get(self.mine.label, 0.0)
            turning = [self.mine.label] if gain > 0 and all(gain >= -leads[label] for label in above) else []
        else:
            turning = [label for label, lead in leads.items() if 0 < self.gains.get(label, 0.0) >= lead]
        if not turning:
            return None
        return (
            f"the search chose steps of {', '.join(turning)} at an end of what it tried, and one more step outwards "
            "may turn the order round: wider ranges must be searched first"
        )


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
    others = [g for g in found if g.method not in own]
    return Rivals(mine, others, found, called, gains_at_ends(evidence, [mine, *others]))
