"""Claims about UniBiO as the paper means it: judged where its D acts."""

from __future__ import annotations

from dataclasses import replace

from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_TESTABLE, Outcome
from unibio.studies.nli.groups import MAIN, groups
from unibio.studies.nli.rules import Rule
from unibio.studies.nli.setting import TWO_EPOCHS, d_is_constant


def without_constant_d(rule: Rule) -> Rule:
    """The rule, on records of two epochs whose floor lets D act; other floors say nothing."""

    def judged(evidence: Evidence) -> Outcome:
        outcome = rule(evidence)
        found = [group for group in groups(evidence, MAIN) if group.method == TWO_EPOCHS]
        if any(d_is_constant(record) for group in found for record in group.records):
            return replace(outcome, verdict=NOT_TESTABLE, explanation=f"{outcome.explanation}; D is constant here")
        return outcome

    return judged
