"""Multiclass logistic regression on minibatches per run: losses and derivatives in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.problems.matrices import Constants


@dataclass(frozen=True)
class Points:
    """Data points of one evaluation: X (n, d) or (runs, b, d), labels (n,) or (runs, b)."""

    X: Tensor
    labels: Tensor


class Softmax:
    """Cross-entropies of a linear classifier W: (d, classes), given flat as (runs, d·classes).

    Args:
        features, labels: (n, d), (n,) in 0 … classes − 1.
        classes: number of classes.
    """

    def __init__(self, features: object, labels: object, classes: int):
        X = torch.as_tensor(features, dtype=torch.float64)
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.size, self.dimension, self.classes = len(X), X.shape[1], classes
        self._at = Constants({"X": X})

    def points(self, like: Tensor, batch: Tensor | None) -> Points:
        """The data points of a batch, (runs, b) indices or None for all, on the device and in the dtype of ``like``."""
        X, labels = self._at("X", like), self.labels.to(like.device)
        if batch is None:
            return Points(X, labels)
        return Points(X.index_select(0, batch.reshape(-1)).view(*batch.shape, -1), labels[batch])

    def along(self, points: Points, v: Tensor) -> Tensor:
        """XV: (runs, b, classes)."""
        return points.X @ v.view(-1, self.dimension, self.classes)

    def losses(self, w: Tensor, points: Points) -> Tensor:
        """The cross-entropies: (runs, b)."""
        logits = self.along(points, w)
        chosen = logits.gather(-1, points.labels.expand(logits.shape[:-1])[..., None])[..., 0]
        return torch.logsumexp(logits, -1) - chosen

    def slopes(self, w: Tensor, points: Points) -> tuple[Tensor, Tensor]:
        """Probabilities P and derivatives P − onehot in the logits, both (runs, b, classes)."""
        probabilities = torch.softmax(self.along(points, w), -1)
        chosen = points.labels.expand(probabilities.shape[:-1])[..., None]
        return probabilities, probabilities.scatter_add(-1, chosen, -torch.ones_like(probabilities[..., :1]))

    def back(self, points: Points, through: Tensor) -> Tensor:
        """Xᵀ·through / b, flat: (runs, b, classes) → (runs, d·classes)."""
        return (points.X.transpose(-2, -1) @ through / through.shape[-2]).flatten(1)

    def accuracy(self, w: Tensor) -> Tensor:
        """The share of all points whose largest logit is the label's: (runs,)."""
        points = self.points(w, None)
        return (self.along(points, w).argmax(-1) == points.labels).double().mean(-1)
