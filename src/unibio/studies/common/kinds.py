"""Whose a claim is: what the paper says, what other sources say, and what is ours."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Whose a claim is, in the order in which a report counts them: the paper's first.

    What a source says is reproduced or not; what is ours holds or does not. An extension or a question that does not
    hold takes nothing from the paper, which never made it.
    """

    PAPER = "paper"
    SUMMARY = "summary"
    SLIDES = "slides"
    PILOT = "pilot"
    EXTENSION = "extension"
    QUESTION = "question"

    @property
    def label(self) -> str:
        """As tables and counts name it."""
        return _LABELS[self]

    @property
    def ours(self) -> bool:
        """Whether no source says it."""
        return self in (Kind.EXTENSION, Kind.QUESTION)

    @property
    def meaning(self) -> str:
        """What claims of this kind are, beside their counts."""
        return _MEANINGS[self]


_LABELS = {
    Kind.PAPER: "the paper",
    Kind.SUMMARY: "a summary",
    Kind.SLIDES: "the slides",
    Kind.PILOT: "the pilot study",
    Kind.EXTENSION: "ours, extending",
    Kind.QUESTION: "ours, asking",
}
_MEANINGS = {
    Kind.PAPER: "what it says or shows",
    Kind.SUMMARY: "what a popular summary of the paper says and the paper does not",
    Kind.SLIDES: "what “Fully First-Order Methods for Bilevel Optimization” says",
    Kind.PILOT: "what “Unlocking Global Optimality in Bilevel Optimization: A Pilot Study” says",
    Kind.EXTENSION: "what a source says, taken to ground that it did not cover",
    Kind.QUESTION: "questions and checks that no source raises",
}
