"""What a claim is, and how it is judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from unibio.errors import InputError, unknown
from unibio.store.records import Record
from unibio.studies.common.evidence import CHANGED, Evidence, MissingRecordsError, exponent, scale
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import NOT_RUN, NOT_TESTABLE, PASSED, Outcome


@dataclass(frozen=True)
class Claim:
    """Something that a source says or shows, or that we ask.

    Attributes:
        id: stable short name.
        statement: in one sentence.
        kind: whose it is, which decides the words of its verdict.
        source: where in the source it stands; of what is ours, what it extends or why it is asked.
        rule: from the evidence to the outcome.
        experiments: whose records the rule reads; () stands for the study's.
        figure: name of the figure that shows it; "" stands for the study's first.
        exponents: p of the records it needs; () takes what is there.
        departures: where some records leave the paper's setting, whatever their scale is called; overrides in the
            command that computed them are found without it.
    """

    id: str
    statement: str
    kind: Kind
    source: str
    rule: Callable[[Evidence], Outcome]
    experiments: tuple[str, ...] = ()
    figure: str = ""
    exponents: Sequence[int] = ()
    departures: Callable[[Sequence[Record]], Sequence[str]] = lambda found: ()

    def __post_init__(self) -> None:
        """Check the kind.

        Raises:
            InputError: there is no such kind.
        """
        if not isinstance(self.kind, Kind):
            raise unknown("kind of claim", self.kind, Kind)


#: The sign of a negative number, as formats write it.
_MINUS = re.compile(r"(?<![\w.=-])-(?=\.?\d)")


def judge(claim: Claim, evidence: Evidence) -> tuple[Outcome, str]:
    """The outcome of a claim and the scale of the records it comes from ("paper" is the full one, unchanged).

    A rule that says yes without having asked for the records of every experiment that the claim names is not believed.
    Negative numbers of its explanation get the sign that text has elsewhere.
    """
    found = [record for name in claim.experiments for record in evidence.records(name)]
    at = scale(found)
    if at == "paper" and (claim.departures(found) or any(map(evidence.overridden, claim.experiments))):
        at = CHANGED
    try:
        for name in claim.experiments:
            absent = sorted(set(claim.exponents) - {exponent(record) for record in evidence.require(name)})
            if absent:
                text = f"no records of {name} for p = {', '.join(map(str, absent))}; run: {evidence.command(name)}"
                return Outcome(NOT_RUN, text), at
        with evidence.noting() as read:
            outcome = claim.rule(evidence)
        if outcome.verdict in PASSED and (unread := [name for name in claim.experiments if name not in read]):
            text = f"{outcome.explanation}; the rule has not looked at the records of {', '.join(unread)}"
            return replace(outcome, verdict=NOT_TESTABLE, explanation=text), at
        return replace(outcome, explanation=_MINUS.sub("−", outcome.explanation)), at
    except (MissingRecordsError, InputError) as missing:
        return Outcome(NOT_RUN, str(missing)), at
