"""What a study leaves out is filled in from the study, and what it says is."""

from __future__ import annotations

from pathlib import Path

import pytest

import synthetic
from unibio import report
from unibio.errors import InputError
from unibio.studies import PARTS, STUDIES, study_of
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Heading, Paragraph, markdown
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import MissingRecordsError
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Part, Study
from unibio.studies.common.verdicts import REPRODUCED, Outcome


def nothing_drawn(evidence):
    return Drawn(None, {})


def as_claimed(evidence):
    return Outcome(REPRODUCED, "so it is")


def test_figures_and_claims_rest_on_the_study_s_experiments_unless_they_name_others():
    study = Study(
        experiments=("one", "other"),
        drawings=(
            Drawing("first", "The first.", nothing_drawn),
            Drawing("second", "Another.", nothing_drawn, ("one",)),
        ),
        claims=(
            Claim("plain", "It is so.", Kind.QUESTION, "why", as_claimed),
            Claim("own", "It is so.", Kind.QUESTION, "why", as_claimed, ("other",), "second"),
        ),
    )
    assert [one.experiments for one in study.drawings] == [("one", "other"), ("one",)]
    assert [(one.experiments, one.figure) for one in study.claims] == [
        (("one", "other"), "first"),
        (("other",), "second"),
    ]
    alone = Study(("one",), claims=(Claim("plain", "It is so.", Kind.QUESTION, "why", as_claimed),))
    assert alone.claims[0].figure == ""


def test_what_a_study_draws_and_claims_is_its_own():
    """Of its experiments alone, shown by its own figures; no two studies read an experiment."""
    for study in STUDIES:
        names = {drawing.name for drawing in study.drawings}
        for one in (*study.drawings, *study.claims):
            assert set(one.experiments) <= set(study.experiments)
        assert {claim.figure for claim in study.claims} <= names
        assert all(study_of(experiment) is study for experiment in study.experiments)
    assert study_of("nobody_s") is None
    assert [study for part in PARTS for study in part.studies] == list(STUDIES)


@pytest.mark.parametrize("error", [InputError("no grid"), MissingRecordsError("other", "python -m unibio", None)])
def test_a_section_that_cannot_be_written_says_why_and_the_report_goes_on(error):
    def blocks(evidence):
        yield Heading(3, "A table")
        raise error

    def more(evidence):
        yield Paragraph("More.")

    part = Part("Some part", (Study(("fig1",), blocks=blocks), Study(("fig1",), blocks=more, caveats=("Beware.",))))
    text = markdown(report._part(part, synthetic.study(fig1=[synthetic.record(2)]), Path("nowhere")))
    assert f"### A table\n\n{error}.\n\nMore.\n\n" in text
    assert text.endswith("- Beware.\n")
