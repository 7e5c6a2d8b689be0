"""Whose claims are, where they stand, and in which words they are judged."""

from __future__ import annotations

import re

import pytest

from synthetic import study
from unibio.errors import InputError
from unibio.studies import CLAIMS
from unibio.studies.common import verdicts
from unibio.studies.common.claim import Claim, judge
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import NOT_TESTABLE, Outcome, in_words

#: How a place in each source is named: a part of the paper by its number, a slide by its title, a part of a text.
PLACES = {
    Kind.PAPER: r"(Section|Theorem|Algorithm) [1-9][\d.]*|Appendix [A-G][\d.]*|Figure \d(\([a-d](–[a-d])?\))?",
    Kind.SUMMARY: r"“(The Breakthrough: A New Map and a New Strategy|The Results: Speed and Accuracy)”",
    Kind.SLIDES: r"“(A Key Result|Complexity of F[²³]SA|\[Chen et al\., 2025\]|Can we get better complexity|"
    r"Stochastic Smoothness|Lower Bounds|Analysis|Formulation and Approach|Experiment|Locally Approximated Landscape|"
    r"Matching the Penalty Function to the True Objective|Two-Loop Algorithm|Single-Loop Algorithm with Momentum)”",
    Kind.PILOT: r"\babstract\b|\btheorem\b",
}


@pytest.mark.parametrize("claim", [one for one in CLAIMS if not one.kind.ours], ids=lambda claim: claim.id)
def test_what_a_source_says_names_its_place(claim: Claim) -> None:
    assert re.search(PLACES[claim.kind], claim.source), claim.source
    assert not re.search(r"\bours?\b|by us\b", claim.statement), "a source's claim says nothing of us"


@pytest.mark.parametrize("claim", [one for one in CLAIMS if one.kind.ours], ids=lambda claim: claim.id)
def test_what_is_ours_does_not_pass_for_a_source_s(claim: Claim) -> None:
    """An extension names what it extends; a question says why it is asked, and credits nobody."""
    named = any(re.match(place, claim.source) for place in PLACES.values()) or claim.source.startswith("Example")
    assert named == (claim.kind is Kind.EXTENSION), claim.source


def test_no_kind_of_claim_is_without_words() -> None:
    for kind in Kind:
        assert kind.label
        assert kind.meaning
        words = {in_words(verdict, kind) for verdict in verdicts.RETURNED}
        assert len(words) == len(verdicts.RETURNED), "two outcomes would read alike"
        assert words <= set(verdicts.VERDICTS)
        assert bool(words & {verdicts.REPRODUCED, verdicts.NOT_REPRODUCED, verdicts.CONFOUNDED}) != kind.ours
    assert {in_words(verdict, kind) for verdict in verdicts.RETURNED for kind in Kind} == set(verdicts.VERDICTS)


@pytest.mark.parametrize("word", ["", "true", verdicts.HOLDS, verdicts.DOES_NOT_HOLD])
def test_a_rule_returns_no_other_word(word: str) -> None:
    with pytest.raises(ValueError, match="a rule returned"):
        in_words(word, Kind.PAPER)


def test_a_kind_that_there_is_not_is_refused() -> None:
    def rule(evidence: object) -> Outcome:
        return Outcome(verdicts.REPRODUCED, "")

    with pytest.raises(InputError, match="kind of claim 'ours'"):
        Claim("id", "It is so.", "ours", "why", rule)  # type: ignore[arg-type]


def test_an_explanation_has_signs_as_text_has_them() -> None:
    said = "slopes -0.81 to -.5, K^-2 at 1e-05, p-2, seed=-1 and a-b"
    claim = Claim("id", "It is so.", Kind.QUESTION, "why", lambda evidence: Outcome(NOT_TESTABLE, said))
    outcome, _ = judge(claim, study())
    assert outcome.explanation == "slopes −0.81 to −.5, K^−2 at 1e-05, p-2, seed=-1 and a-b"
