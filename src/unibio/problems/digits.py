"""Corrupted regression data from scikit-learn's digits (1,797 images of 8 × 8 pixels), made once and for all.

The target is the *parity* of the digit, +1 for odd and −1 for even. Against one chosen digit versus the rest it has two
classes of one size, so that 50 % is chance, flips hit both alike, and predicting the more frequent class gains nothing.

Training, validation and test are disjoint parts of one permutation; only training targets are corrupted. The split, the
corrupted set, the corrupted values and a random projection have streams of their own, all from one seed: changing the
corruption leaves the split alone, and the corrupted set of a rate contains those of all lower rates.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from unibio.errors import InputError

CORRUPTIONS = ("flip", "noise")
FEATURES = ("components", "projection")


@dataclass(frozen=True)
class Part:
    """Some of the images: ``rows`` of the data set (k,), features (k, d), targets (k,)."""

    rows: np.ndarray
    features: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Data:
    """The three parts. ``train.targets`` are corrupted where ``corrupted`` (n,) says; ``clean`` (n,) is the truth."""

    train: Part
    validation: Part
    test: Part
    corrupted: np.ndarray
    clean: np.ndarray


@cache
def load() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 64) in [0, 1] and digits (1797,)."""
    from sklearn.datasets import load_digits  # two seconds, and only this problem needs it

    pixels, digits = load_digits(return_X_y=True)
    return np.asarray(pixels, dtype=np.float64) / 16, np.asarray(digits, dtype=np.int64)


@cache
def fingerprint() -> str:
    """sha256 of pixels and digits."""
    pixels, digits = load()
    return hashlib.sha256(pixels.astype("<f8").tobytes() + digits.astype("<i8").tobytes()).hexdigest()


@cache
def make(
    sizes: tuple[int, int, int],
    *,
    rate: float,
    corruption: str,
    noise: float,
    features: str,
    dimension: int,
    intercept: bool,
    seed: int,
) -> Data:
    """Split, corrupt, and turn pixels into features; shared by all callers with these arguments, so not to be changed.

    Args:
        sizes: images for training, validation and test.
        rate: fraction of training targets that are corrupted, rounded to whole images.
        corruption: "flip" (−y) or "noise" (y + ``noise`` · N(0, 1)).
        features: "components", the leading principal components of the training images, each scaled to variance 1, or
            "projection", a random ``dimension``-dimensional orthogonal projection, scaled to mean variance 1. Both
            leave out pixels that never vary, on which the lower-level Hessian would be singular for p > 2.
        dimension: number of features, without the intercept (a feature that is always 1).
        seed: of everything random.

    Raises:
        InputError: more images than there are, or more features than the training images span.
    """
    pixels, digits = load()
    if sum(sizes) > len(pixels):
        raise InputError(
            f"problem.size_lower + size_upper + size_test = {sum(sizes)}, but the digits are {len(pixels)} images"
        )
    order = _stream(seed, "split").permutation(len(pixels))[: sum(sizes)]
    train, validation, test = np.split(order, np.cumsum(sizes)[:-1])
    centre, turn = _features(pixels[train], features, dimension, _stream(seed, "projection"))

    def part(rows: np.ndarray) -> Part:
        values = (pixels[rows] - centre) @ turn
        if intercept:
            values = np.hstack([values, np.ones((len(rows), 1))])
        return Part(rows, values, np.where(digits[rows] % 2 == 1, 1.0, -1.0))

    true = part(train)
    n = len(train)
    corrupted = np.zeros(n, dtype=bool)
    corrupted[_stream(seed, "corrupted").permutation(n)[: round(rate * n)]] = True
    wrong = -true.targets if corruption == "flip" else true.targets + noise * _stream(seed, "noise").standard_normal(n)
    given = Part(train, true.features, np.where(corrupted, wrong, true.targets))
    return Data(given, part(validation), part(test), corrupted, true.targets)


def _features(train: np.ndarray, kind: str, dimension: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(centre: (64,), map: (64, dimension)) with features = (pixels − centre) · map."""
    centre = train.mean(0)
    _, singular, directions = np.linalg.svd(train - centre, full_matrices=False)
    rank = int((singular > 1e-10 * singular[0]).sum())
    if dimension > rank:
        raise InputError(
            f"problem.dimension = {dimension} features, but the {len(train)} training images span only {rank}; lower "
            "it or raise problem.size_lower"
        )
    if kind == "components":
        # An SVD leaves each direction's sign open; the largest entry positive makes it the same everywhere.
        largest = np.take_along_axis(directions, np.abs(directions).argmax(1, keepdims=True), axis=1)
        turn = (directions * np.sign(largest))[:dimension].T
        return centre, turn * (np.sqrt(len(train)) / singular[:dimension])
    basis = directions[:rank].T @ np.linalg.qr(rng.standard_normal((rank, dimension)))[0]
    return centre, basis / np.sqrt(((train - centre) @ basis).var(0).mean())


def _stream(seed: int, purpose: str) -> np.random.Generator:
    key = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    return np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64)))
