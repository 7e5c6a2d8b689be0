"""Grids of cases of which ``make test`` runs some and ``make test-slow`` the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def some(cases: Iterable[Any], kept: Callable[..., bool]) -> list[Any]:
    """All cases, for ``pytest.mark.parametrize``; those that are not kept are among the long tests.

    Args:
        cases: values of one argument, or tuples of several.
        kept: whether ``make test`` runs a case; called with its values.
    """
    given = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, marks=() if kept(*case) else pytest.mark.slow) for case in given]
