"""Hyper-cleaning of multiclass logistic regression with corrupted labels.

    g(λ, W) = 1/n Σ_i σ(λ_i) CE(x_iᵀW, ȳ_i) + c‖W‖²,        f(W) = 1/m Σ_j CE(x_jᵀW, y_j)

over n training images whose labels ȳ are partly wrong, each of them another class drawn at random once, and m clean
validation images. One weight λ_i an image is the upper variable. The lower level is 2c-strongly convex.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.metrics import separation
from unibio.core.parameters import hyper
from unibio.core.problem import Problem, ProblemSpec
from unibio.errors import InputError
from unibio.problems import images
from unibio.problems.randomness import minibatches
from unibio.problems.softmax import Softmax

CLASSES = 10


@dataclass(frozen=True)
class Data:
    """Features and labels of the three parts; ``corrupted`` (n,) says which training labels are wrong."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    corrupted: np.ndarray


@dataclass(frozen=True)
class CorruptedLabels(ProblemSpec):
    """Hyper-cleaning on images; d_x = size_lower, d_y = (pixels + 1)·10. Start: λ = 0 (all weights ½), W = 0.

    Pixels are scaled to [0, 1] and divided by the root mean square norm of an image, so that L_g is about ½; a constant
    feature is the intercept. Metrics, of the algorithm's own W: ``upper_loss`` f(W), ``test_accuracy`` on clean test
    images, ``lower_gradient_norm`` ‖g_W‖ on all data; of λ: ``cleaning_auc``, the probability that a clean image has a
    larger weight than a corrupted one, and ``weight_spread``, the standard deviation of σ(λ).
    """

    name: ClassVar[str] = "corrupted_labels"

    source: str = hyper("digits", "scikit-learn's digits, Fashion-MNIST, or MNIST", choices=images.SOURCES)
    directory: str = hyper("", "directory with the four idx files; empty: Debian's Fashion-MNIST, MNIST of the hub")
    size_lower: int = hyper(1000, "training images, one weight each", symbol="n", at_least=2)
    size_upper: int = hyper(300, "clean validation images", symbol="m", at_least=1)
    size_test: int = hyper(400, "clean test images", at_least=1)
    corruption_rate: float = hyper(0.3, "fraction of training labels that are wrong", at_least=0, below=1)
    regulariser: float = hyper(1e-3, "weight of ‖W‖²", symbol="c", above=0)
    data_seed: int = hyper(0, "seed of split and corruption", at_least=0, below=2.0**63)

    def data(self) -> Data:
        """The data; the same arrays for every call, so not to be changed."""
        sizes = (self.size_lower, self.size_upper, self.size_test)
        return _make(self.source, self.directory, sizes, self.corruption_rate, self.data_seed)

    def fingerprint(self) -> str:
        return images.fingerprint(self.source, self.directory)

    def build(self) -> Problem:
        data, c = self.data(), self.regulariser
        train, validation, test = (Softmax(*part, CLASSES) for part in (data.train, data.validation, data.test))
        corrupted = torch.as_tensor(data.corrupted)

        def weights(x: Tensor, batch: Tensor | None) -> Tensor:
            return torch.sigmoid(x if batch is None else x.gather(1, batch))

        def spread(per_sample: Tensor, x: Tensor, batch: Tensor | None) -> Tensor:
            """The mean's derivative in λ from dg/dσ_i per image: (runs, b) → (runs, n)."""
            s = weights(x, batch)
            steep = s * (1 - s) * per_sample / per_sample.shape[-1]
            return steep if batch is None else torch.zeros_like(x).scatter_add_(1, batch, steep)

        def upper(x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
            return validation.losses(w, validation.points(w, batch)).mean(-1)

        def lower(x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
            losses = weights(x, batch) * train.losses(w, train.points(w, batch))
            return losses.mean(-1) + c * (w * w).sum(-1)

        def grad_upper(x: Tensor, w: Tensor, batch: Tensor | None) -> tuple[Tensor, Tensor]:
            points = validation.points(w, batch)
            return torch.zeros_like(x), validation.back(points, validation.slopes(w, points)[1])

        def grad_lower(x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
            points = train.points(w, batch)
            _, slope = train.slopes(w, points)
            return train.back(points, weights(x, batch)[..., None] * slope) + 2 * c * w

        def grad_lower_x(x: Tensor, w: Tensor, batch: Tensor | None) -> Tensor:
            return spread(train.losses(w, train.points(w, batch)), x, batch)

        def hvp(x: Tensor, w: Tensor, v: Tensor, batch: Tensor | None) -> Tensor:
            points = train.points(w, batch)
            probabilities, _ = train.slopes(w, points)
            along = train.along(points, v)
            bent = probabilities * (along - (probabilities * along).sum(-1, keepdim=True))
            return train.back(points, weights(x, batch)[..., None] * bent) + 2 * c * v

        def jvp(x: Tensor, w: Tensor, v: Tensor, batch: Tensor | None) -> Tensor:
            points = train.points(w, batch)
            _, slope = train.slopes(w, points)
            return spread((slope * train.along(points, v)).sum(-1), x, batch)

        def metrics(x: Tensor, w: Tensor) -> Mapping[str, Tensor]:
            values = {
                "upper_loss": upper(x, w, None),
                "test_accuracy": test.accuracy(w),
                "lower_gradient_norm": grad_lower(x, w, None).norm(dim=-1),
                "weight_spread": torch.sigmoid(x).std(-1, correction=0),
            }
            if 0 < int(corrupted.sum()) < len(corrupted):
                values["cleaning_auc"] = separation(x, corrupted.to(x.device))
            return values

        start = torch.zeros(self.size_lower).double(), torch.zeros(train.dimension * CLASSES).double()
        return Problem(
            upper=upper,
            lower=lower,
            sample_upper=minibatches(self.size_upper),
            sample_lower=minibatches(self.size_lower),
            size_upper=self.size_upper,
            size_lower=self.size_lower,
            weighted=lambda batch: batch,
            metrics=metrics,
            derivatives={
                "grad_upper": grad_upper,
                "grad_lower": grad_lower,
                "grad_lower_x": grad_lower_x,
                "hvp": hvp,
                "jvp": jvp,
            },
            start=start,
            batched=True,
            name=self.name,
        )


@cache
def _make(source: str, directory: str, sizes: tuple[int, int, int], rate: float, seed: int) -> Data:
    """Split and corrupt. Corrupting more images keeps those corrupted at a lower rate, with the same wrong labels."""
    found = images.load(source, directory)
    total, own_test = len(found.labels), found.test
    train_pool = total - own_test
    if sizes[0] + sizes[1] + (0 if own_test else sizes[2]) > train_pool or sizes[2] > (own_test or total):
        raise InputError(
            f"problem.size_lower, size_upper, size_test = {', '.join(map(str, sizes))}, but {source} has {train_pool} "
            f"images" + (f" and {own_test} for testing" if own_test else " for all three together")
        )
    order = _stream(seed, "split").permutation(train_pool)
    train, validation, rest = np.split(order, np.cumsum(sizes[:2]))
    test = train_pool + _stream(seed, "test").permutation(own_test) if own_test else rest
    chosen = (train, validation, test[: sizes[2]])

    pixels = [found.pixels[rows].astype(np.float64) / found.largest for rows in chosen]
    scale = 1 / np.sqrt((pixels[0] ** 2).sum(1).mean())
    features = [np.hstack([scale * part, np.ones((len(part), 1))]) for part in pixels]
    labels = [found.labels[rows] for rows in chosen]
    n = sizes[0]
    corrupted = np.zeros(n, dtype=bool)
    corrupted[_stream(seed, "corrupted").permutation(n)[: round(rate * n)]] = True
    shift = _stream(seed, "classes").integers(1, CLASSES, size=n)
    given = np.where(corrupted, (labels[0] + shift) % CLASSES, labels[0])
    return Data((features[0], given), (features[1], labels[1]), (features[2], labels[2]), corrupted)


def _stream(seed: int, purpose: str) -> np.random.Generator:
    key = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    return np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64)))
