"""Example 2 of the paper, ℓ_p-regression hyper-cleaning, on digits with corrupted targets.

    g(λ, w) = 1/n Σ_i σ(λ_i) |x_iᵀw − ȳ_i|^p + c ‖w‖_q^q,        f(w) = 1/m Σ_j |x_jᵀw − y_j|^p,        p, q ≥ 2

over n training pairs whose targets ȳ are partly corrupted and m clean validation pairs; λ is the upper variable, one
weight a training pair. (‖Λ(Xw − ȳ)‖_p^p with Λ = diag(σ(λ)^{1/p}) is the first sum.) Odd p takes |·|^p.

As in the paper's Example 2 the exponents of data term and regulariser may differ; q = p unless another is given. The
lower level is uniformly convex with exponent q for every λ, by its regulariser: the modulus is at least
q c κ_q d_y^{1−q/2}, where κ_q = min_t (|1+t|^q − 1 − qt)/|t|^q. That is the exponent it is declared with. Where the
weights are bounded away from 0 and X has full column rank the data term is uniformly convex by itself, with exponent p,
and the sum then with every exponent between p and q, but a modulus that depends on the weights. Without a regulariser
(c = 0) this is all there is: the exponent is p, and the modulus comes from a smallest singular value,
min_i σ(λ_i) κ_p p/n · min_{‖v‖=1} ‖Xv‖_p^p. It is not strongly convex for exponents above 2, as the curvature of |·|^p
vanishes at 0, in residuals and in w.

Assumption 3.2(i) of the paper holds, but for exponents of uniform convexity above 2 not 3.2(v) and 3.3(ii): the
generalised derivatives d∇_y g/d[w]^{∘(p−1)} and df/d[w]^{∘(p−1)} do not exist where some w_j = 0, because the data
term's part of ∇²_yy g and f_y do not vanish there, while D(w)_j does (``unibio check`` shows it). The Hessian is
regular instead (``vanishing_hessian=False``): the hypergradient is the classical one, and D, floored, is nothing but a
preconditioner, which changes truncated Neumann sums and not the solution. It is a bad one: with w_j ≈ 0.1, D =
(p−1)|w|^{p−2} is as small as 5·10⁻⁴ for p = 6 and differs wildly between coordinates, while ∇²_yy g does not follow it.
A floor above all |w_j| makes D constant and D⁻¹∇²_yy g well conditioned; with floor 1, λ_max(D⁻¹∇²_yy g) ≤ p for
residuals up to 1, all weights 1 and features of variance 1, so that a Neumann step 1/p is stable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.metrics import separation
from unibio.core.parameters import hyper
from unibio.core.problem import ClosedForm, Problem, ProblemSpec
from unibio.errors import InputError
from unibio.problems import digits
from unibio.problems.power_sums import Powers, Weighted
from unibio.problems.randomness import minibatches


@dataclass(frozen=True)
class LpRegression(ProblemSpec):
    """Hyper-cleaning by ℓ_p-regression of the parity of a digit, ±1, with part of the training targets corrupted.

    :mod:`unibio.problems.digits` describes the data. d_x = size_lower; d_y = dimension, plus 1 with an intercept.
    Start: λ = 0 (all weights ½), w = 0.

    Metrics, all from the data as a whole and in float64: ``hypergradient_norm`` ‖∇φ(λ)‖ and ``value`` φ(λ), both at
    the lower solution that Newton's method finds for λ, hence exact whatever w the algorithm has; ``lower_error``
    ‖w − w*(λ)‖; of the algorithm's own w, ``upper_loss`` f(w) and ``test_accuracy``, the share of test images whose
    sign is right; ``cleaning_auc``, the probability that a clean training pair has a larger weight than a corrupted one
    (½ for no separation; absent if there are not both); ``weight_spread``, the standard deviation of σ(λ). They cost
    several dense solves, and so are logged, not averaged over iterations. Compare methods by ``value``: the
    hypergradient has the factors σ'(λ_i), and so is small wherever large steps have driven the weights to 0 or 1.
    """

    name: ClassVar[str] = "lp_regression"

    exponent: int = hyper(
        4, "exponent of the losses, and of uniform convexity unless the regulariser's differs", symbol="p", at_least=2
    )
    size_lower: int = hyper(500, "training images, one weight each", symbol="n", at_least=2)
    size_upper: int = hyper(400, "clean validation images", symbol="m", at_least=1)
    size_test: int = hyper(500, "clean test images", at_least=1)
    corruption_rate: float = hyper(0.3, "fraction of training targets that are corrupted", at_least=0, below=1)
    corruption: str = hyper("flip", "a corrupted target is −y, or y plus noise", choices=digits.CORRUPTIONS)
    corruption_noise: float = hyper(2.0, "standard deviation of corruption=noise", above=0)
    regulariser: float = hyper(1e-3, "weight of ‖w‖_q^q; 0 for none", symbol="c", at_least=0)
    features: str = hyper("components", "principal components or random projection", choices=digits.FEATURES)
    dimension: int = hyper(20, "features without the intercept", at_least=1)
    intercept: bool = hyper(True, "add a feature that is always 1")
    data_seed: int = hyper(0, "seed of split, corruption and projection", at_least=0, below=2.0**63)
    regulariser_exponent: int | None = hyper(
        None, "exponent of the regulariser, then that of uniform convexity; null: p", symbol="q", at_least=2, later=True
    )

    def data(self) -> digits.Data:
        """The data, with the set of corrupted images; the same arrays for every call, so not to be changed."""
        return digits.make(
            (self.size_lower, self.size_upper, self.size_test),
            rate=self.corruption_rate,
            corruption=self.corruption,
            noise=self.corruption_noise,
            features=self.features,
            dimension=self.dimension,
            intercept=self.intercept,
            seed=self.data_seed,
        )

    def fingerprint(self) -> str:
        return digits.fingerprint()

    @property
    def convexity(self) -> int:
        """The exponent of uniform convexity. (The data's features have full column rank: others are refused.)

        Raises:
            InputError: the exponent of a regulariser that is not there.
        """
        if self.regulariser_exponent is None:
            return self.exponent
        if self.regulariser == 0:
            raise InputError(
                f"problem.regulariser_exponent = {self.regulariser_exponent} is of no regulariser: problem.regulariser "
                "is 0; leave it null"
            )
        return self.regulariser_exponent

    def build(self) -> Problem:
        data, p, convexity = self.data(), self.exponent, self.convexity
        train, validation = (Powers(part.features, part.targets, p) for part in (data.train, data.validation))
        lower = Weighted(train, self.regulariser, convexity)

        def zero(x: Tensor) -> Tensor:
            return x.new_zeros(len(x), train.dimension)

        def upper_gradients(x: Tensor, w: Tensor, batch: Tensor | None) -> tuple[Tensor, Tensor]:
            return torch.zeros_like(x), validation.gradient(w, batch)

        def solution(x: Tensor) -> Tensor:
            return lower.solve(x.double(), zero(x).double()).to(x.dtype)

        def gradient(x: Tensor) -> Tensor:
            w = lower.solve(x.double(), zero(x).double())
            return _hypergradient(lower, validation, x.double(), w).to(x.dtype)

        return Problem(
            upper=lambda x, w, batch: validation.loss(w, batch),
            lower=lower.loss,
            exponent=convexity,
            sample_upper=minibatches(self.size_upper),
            sample_lower=minibatches(self.size_lower),
            size_upper=self.size_upper,
            size_lower=self.size_lower,
            weighted=lambda batch: batch,
            metrics=_Metrics(lower, validation, data),
            derivatives={
                "grad_upper": upper_gradients,
                "grad_lower": lower.gradient,
                "grad_lower_x": lower.gradient_x,
                "hvp": lower.hvp,
                "jvp": lower.jvp,
                "hessian_diagonal": lower.hessian_diagonal,
            },
            closed_form=ClosedForm(solution, lambda x: validation.loss(solution(x), None), gradient),
            vanishing_hessian=False,
            start=(torch.zeros(self.size_lower).double(), torch.zeros(train.dimension).double()),
            batched=True,
            name=self.name,
        )


def _hypergradient(lower: Weighted, validation: Powers, x: Tensor, w: Tensor) -> Tensor:
    """−∇²_λw g (∇²_ww g)⁻¹ f_w at w = w*(λ): (runs, n)."""
    return -lower.jvp(x, w, lower.inverse(x, w, validation.gradient(w, None)), None)


class _Metrics:
    """The metrics of :class:`LpRegression`."""

    def __init__(self, lower: Weighted, validation: Powers, data: digits.Data):
        self.lower, self.validation = lower, validation
        self.test = Powers(data.test.features, data.test.targets, lower.data.exponent)
        self.signs = torch.as_tensor(data.test.targets)
        self.corrupted = torch.as_tensor(data.corrupted)

    def __call__(self, x: Tensor, w: Tensor) -> Mapping[str, Tensor]:
        x, w = x.double(), w.double()
        solution = self.lower.solve(x, w)
        weights = torch.sigmoid(x)
        right = self.test.points(w, None).along(w).sign() == self.signs.to(w.device)
        metrics = {
            "hypergradient_norm": _hypergradient(self.lower, self.validation, x, solution).norm(dim=-1),
            "value": self.validation.loss(solution, None),
            "lower_error": (w - solution).norm(dim=-1),
            "upper_loss": self.validation.loss(w, None),
            "test_accuracy": right.double().mean(-1),
            "weight_spread": weights.std(-1, correction=0),
        }
        if 0 < int(self.corrupted.sum()) < len(self.corrupted):
            metrics["cleaning_auc"] = separation(x, self.corrupted.to(x.device))
        return metrics
