"""Label noise: its rate, its independence, and that it is a pure function of its seed."""

from __future__ import annotations

import math

import pytest
import torch

from unibio import tensorfile
from unibio.data import flip_labels, flip_with, redrawn_labels, stored_flips
from unibio.errors import InputError

LABELS = torch.arange(30_000) % 3


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.4])
def test_each_label_is_replaced_by_one_of_the_other_two_at_the_rate(rate: float) -> None:
    noisy, flipped = flip_labels(LABELS, rate, seed=7)
    n = len(LABELS)
    assert abs(flipped.double().mean() - rate) < 4 * math.sqrt(rate * (1 - rate) / n)
    assert torch.equal(noisy != LABELS, flipped)
    assert noisy.dtype == torch.int64
    turns = ((noisy - LABELS) % 3)[flipped]
    assert abs((turns == 1).double().mean() - 0.5) < 4 * math.sqrt(0.25 / len(turns))
    # Neither the label nor its place decides.
    for part in (LABELS == 0, LABELS == 1, torch.arange(n) < n // 2):
        count = int(part.sum())
        assert abs(flipped[part].double().mean() - rate) < 4 * math.sqrt(rate * (1 - rate) / count)


def test_extreme_rates() -> None:
    assert not flip_labels(LABELS, 0.0, 0)[1].any()
    assert flip_labels(LABELS, 1.0, 0)[1].all()
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(InputError, match="noise rate"):
            flip_labels(LABELS, wrong, 0)


def test_flips_are_a_function_of_the_seed_and_nest() -> None:
    few, more = (flip_labels(LABELS, rate, 3)[1] for rate in (0.1, 0.4))
    assert bool((few <= more).all())
    torch.manual_seed(1)
    assert torch.equal(flip_labels(LABELS, 0.1, 3)[1], few)
    other = flip_labels(LABELS, 0.1, 4)[1]
    validation = flip_labels(LABELS, 0.1, 3, purpose="valid")[1]
    for independent in (other, validation):
        both = (few & independent).double().mean()
        assert abs(both - 0.01) < 4 * math.sqrt(0.01 * 0.99 / len(LABELS))


def test_redrawn_noise_leaves_no_pair_noisy() -> None:
    accesses = torch.stack([redrawn_labels(LABELS, 0.2, 5, access) != LABELS for access in range(60)])
    assert torch.equal(redrawn_labels(LABELS, 0.2, 5, 8) != LABELS, accesses[8])
    # 60 accesses: were the flipped set fixed, shares would be 0 or 1; here they are Binomial(60, 0.2)/60.
    share = accesses.double().mean(0)
    assert 0 < share.max() < 0.6
    assert abs(share.var() - 0.2 * 0.8 / 60) < 2e-4
    fixed = flip_labels(LABELS, 0.2, 5)[1]
    assert abs((fixed & accesses[0]).double().mean() - 0.04) < 0.01


def test_flip_with_given_numbers() -> None:
    labels = torch.tensor([0, 0, 1, 2, 2])
    uniform = torch.tensor([[0.05, 0.0], [0.05, 0.999999], [0.5, 0.0], [0.0999, 0.4], [0.1, 0.4]])
    noisy, flipped = flip_with(labels, 0.1, uniform)
    assert noisy.tolist() == [1, 2, 1, 0, 2]
    assert flipped.tolist() == [True, True, False, True, False]
    almost = torch.tensor([[0.0, 1 - 2**-24]], dtype=torch.float32)
    assert flip_with(torch.tensor([0]), 0.1, almost)[0].item() == 2


def test_the_flipped_set_is_stored_and_checked(tmp_path) -> None:
    noisy, flipped = stored_flips(tmp_path / "cache", LABELS, 0.1, 3)
    (path,) = (tmp_path / "cache").glob("noise-0.1-seed3-*.pt")
    assert torch.equal(noisy, flip_labels(LABELS, 0.1, 3)[0])
    stored = tensorfile.load(path)
    assert stored is not None
    assert torch.equal(stored["flipped"], flipped)
    before = path.stat().st_mtime_ns
    stored_flips(tmp_path / "cache", LABELS, 0.1, 3)
    assert path.stat().st_mtime_ns == before
    stored_flips(tmp_path / "cache", LABELS[:300], 0.1, 3)  # other labels, another file
    assert len(list((tmp_path / "cache").glob("noise-*"))) == 2
    path.write_bytes(path.read_bytes()[:-5])
    stored_flips(tmp_path / "cache", LABELS, 0.1, 3)
    assert tensorfile.load(path) is not None
    tensorfile.save(path, stored | {"noisy": LABELS})
    with pytest.raises(InputError, match="other flips"):
        stored_flips(tmp_path / "cache", LABELS, 0.1, 3)
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="used but not stored"):
        assert torch.equal(stored_flips(tmp_path / "file" / "cache", LABELS, 0.1, 3)[1], flipped)
