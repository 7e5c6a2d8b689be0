"""The README's first screen says what is published, in numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from unibio.report.counts import headline

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published"


@pytest.fixture(scope="module")
def first_screen() -> str:
    """What comes before the commands, on one line."""
    text, *_ = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Commands")
    return " ".join(text.split())


@pytest.fixture(scope="module")
def numbers() -> dict[str, dict]:
    found = json.loads((PUBLISHED / "claims.json").read_text(encoding="utf-8"))["claims"]
    return {claim["id"]: claim["numbers"] for claim in found}


def test_how_the_papers_own_claims_came_out(first_screen: str) -> None:
    whose, _, counts = headline(PUBLISHED)[0].partition(": ")
    assert "paper" in whose.lower()
    assert f"**The paper's own claims**: {counts} " in first_screen


def test_what_the_steps_decide(first_screen: str, numbers: dict[str, dict]) -> None:
    found = numbers["slower-iterations"]
    assert found["target"] == "hypergradient_norm<0.1"
    *first, last = (f"{calls:.0f}" for calls in found["paper_steps"]["noise 0"].values())
    (equal,) = set(found["equal_steps"]["noise 0, step 0.03"].values())
    said = f"takes {', '.join(first)} and {last} iterations for p = 2, 4, 6 and 8 at the paper's η, and {equal:.0f} for"
    assert said in first_screen


def test_how_calls_grow(first_screen: str, numbers: dict[str, dict]) -> None:
    for claim in ("tuned-calls-grow", "tuned-calls-example3"):
        (found,) = numbers[claim].values()
        assert found.keys() == {"2", "4", "6"}
        first, second, third = (f"ε^(−{exponent:.1f})" for exponent, _, _ in found.values())
        assert f"like {first}, {second} and {third}" in first_screen


def test_who_is_first(first_screen: str, numbers: dict[str, dict]) -> None:
    found = numbers["e1-first"]
    assert "is the last of the four that the paper compares, StocBiO the first" in first_screen
    assert set(found["rank"].values()) == {found["methods"]} == {4}
    assert all(first == ["stocbio"] for first in found["first"].values())
    assert all(numbers["e1-converges"]["converged"].values())


def test_the_picture_is_published(first_screen: str) -> None:
    (picture,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", first_screen)
    assert (ROOT / picture).is_file()
