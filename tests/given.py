"""Overrides of tests' helpers and of the tests that call them."""

from __future__ import annotations


def given(*words: str) -> list[str]:
    """Overrides of which a later one for a key takes the place of an earlier one; the command line refuses two."""
    return list({word.lstrip("+").partition("=")[0]: word for word in words}.values())
