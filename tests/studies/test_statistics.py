"""Comparisons of two samples."""

from __future__ import annotations

import numpy as np
import pytest

from unibio.studies.common.statistics import no_higher


@pytest.mark.parametrize(
    ("first", "second", "margin", "expected"),
    [
        ([1, 2, 3], [4, 5, 6], 0.0, 1),
        ([4, 5, 6], [1, 2, 3], 0.0, -1),
        ([1, 4], [2, 3], 0.0, 0),
        ([1.00, 1.01, 1.02], [1.01, 1.02, 1.03], 0.1, 1),  # overlapping, and alike to within the margin
        ([1.2, 1.3, 1.4], [1.0, 1.1, 1.15], 0.25, 0),  # every value is higher, by less than matters, or so it seems
        ([1.0], [2.0, 3.0], 0.0, 0),  # one value tells nothing
        ([1.0, 1.0], [2.0, 3.0], 0.0, 0),  # and twice the same is one
        ([1.0, np.inf], [2.0, 3.0], 0.0, 0),
        ([1.0, 2.0], [np.inf, np.inf], 0.0, 0),  # to diverge is not to be higher
        ([np.nan, 2.0], [3.0, 4.0], 0.0, 0),
    ],
)
def test_no_higher(first, second, margin, expected):
    assert no_higher(np.array(first, dtype=float), np.array(second, dtype=float), margin) == expected


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_noise_makes_no_higher_no_likelier(seeds):
    """Of a sample that is higher by twice the margin, the share that passes stays small whatever the noise."""
    rng, passed = np.random.default_rng(seeds), {}
    for noise in (0.01, 0.1, 1.0, 10.0):
        draws = noise * rng.normal(size=(2, 500, seeds))
        passed[noise] = np.mean([no_higher(1.1 + a, 1.0 + b, 0.05) > 0 for a, b in zip(*draws, strict=True)])
    assert max(passed.values()) <= 0.1
