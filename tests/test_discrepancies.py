"""The table of deviations, from records with known ends."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic import record, study
from unibio.algorithms.variants import VARIANTS
from unibio.analysis import discrepancies


def test_every_variant_but_unibio_s_has_its_published_method():
    pairs = {variant.name: published.name for variant, published in VARIANTS.items()}
    assert pairs.pop("unibio_transposed") == "unibio"  # no deviation for p = 2
    assert pairs == discrepancies.PUBLISHED


def test_bias_stability_and_first_hits():
    def ends_at(level):
        return lambda cell, seed, t: np.where(t < 10 / cell["upper_step"], 1.0, level)

    def stable(cell, seed):
        return "completed" if cell["upper_step"] < 0.5 else "diverged"

    axes = {"upper_step": [0.1, 0.3, 1.0]}
    own = record(2, axes, ends_at(0.01), name="stocbio")
    biased = record(2, axes, ends_at(0.05), name="stocbio_headless", status=stable)
    table = discrepancies.summary(discrepancies.by_step(study(discrepancies=[biased, own]))).set_index("method")
    assert list(table.index) == ["stocbio", "stocbio_headless"]
    assert table["bias"].tolist() == pytest.approx([0.01, 0.05])
    assert table["bias over published"].tolist() == pytest.approx([1, 5])
    assert table["largest stable step"].tolist() == [1.0, 0.3]
    assert table["fewest iterations to target"].tolist() == [10, 34]
