"""Mathematics on the page is set, words and code are left alone, and every character is still there."""

from __future__ import annotations

import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unibio.report.page.mathematics import set_
from unibio.studies import CLAIMS, DRAWINGS

SET = {
    "ε^(−3.0)": "<var>ε</var><sup>−3.0</sup>",
    "O(σ/μ³)": "O(<var>σ</var>/<var>μ³</var>)",
    "φ(x) = sin(sin x)": "<var>φ</var>(<var>x</var>) = sin(sin <var>x</var>)",
    "‖∇φ‖ and ‖y − y*‖": "‖∇<var>φ</var>‖ and ‖<var>y</var> − <var>y</var>*‖",
    "K^(−1/(2(p−1)))": "<var>K</var><sup>−1/(2(<var>p</var>−1))</sup>",
    "T^a, 10^2, r^{k}": "<var>T</var><sup>a</sup>, 10<sup>2</sup>, <var>r</var><sup><var>k</var></sup>",
    "λ_max, y*_λ, ℓ_p": "<var>λ</var><sub>max</sub>, <var>y</var>*<sub><var>λ</var></sub>, ℓ<sub><var>p</var></sub>",
    "D⁻¹∇²_yy g": "<var>D</var>⁻¹∇²<sub>yy</sub> <var>g</var>",
    "𝓛*_{1/σ}": "𝓛*<sub>1/<var>σ</var></sub>",
    "L_φ1 r": "<var>L</var><sub><var>φ</var>1</sub> <var>r</var>",
    "γ₁ and xₜ": "<var>γ₁</var> and <var>x</var>ₜ",
    "a d-dimensional x'": "a <var>d</var>-dimensional <var>x</var>&#x27;",
}


@pytest.mark.parametrize("text", SET)
def test_mathematics_is_set(text: str) -> None:
    assert set_(escape(text)) == SET[text]


WORDS = ["A larger one", "F²SA and F³SA's", "Figure 1(c) and 1(d)", "panels (a–d)", "Appendix C, E.1", "it isn't 5 s"]
WORDS += [
    "fig5_ranges_lower",
    "`x_t = p`",
    "https://a.example/x_y?p=1",
    "MA-SOBA",
    "2-D, p99, e1_curves",
    "tables/x.csv",
]


@pytest.mark.parametrize("text", WORDS)
def test_words_names_and_code_are_left_alone(text: str) -> None:
    assert set_(escape(text)) == escape(text)


def test_where_a_link_leads_is_left_alone() -> None:
    assert set_("[p](tables/f_y.csv)") == "[<var>p</var>](tables/f_y.csv)"


def characters(text: str) -> str:
    """What is read: without tags, and without the marks for raised and lowered."""
    return re.sub(r"[\^_(){}]", "", re.sub("<[^<>]*>", "", text))


@given(st.text("xpKφλ²₁*^_(){}[]`'a1 ", max_size=24))
def test_no_character_is_lost(text: str) -> None:
    assert characters(set_(escape(text))) == characters(escape(text))


def test_no_text_of_ours_shows_the_marks_of_powers() -> None:
    """Statements and captions: on the page no ^ is left, and no _ but in names."""
    for text in [claim.statement for claim in CLAIMS] + [f"{one.title} {one.caption}" for one in DRAWINGS.values()]:
        left = re.sub(r"`[^`]*`", "", re.sub("<[^<>]*>", "", set_(escape(text))))
        assert "^" not in left, text
        assert not re.search(r"(?<![A-Za-z])[^\W\d_]\*?_", left), text
