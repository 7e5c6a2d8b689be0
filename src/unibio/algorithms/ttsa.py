"""TTSA (Hong, Wai, Wang & Yang, SIAM J. Optim. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unibio.algorithms.stocbio import BSA
from unibio.core.parameters import PerRun, hyper


@dataclass(frozen=True)
class TTSA(BSA):
    """TTSA, Algorithm 1 of the paper: one step on each of two time scales, with the random-length Neumann product.

        y ← y − ρ_k g_y(x, y)                                     ρ_k ∝ (k + k₀)^{−2/5}
        x ← x − η_k (f_x − Q c J Π_{j≤P}(I − c H_j) f_y)(x, y)      η_k ∝ (k + k₀)^{−3/5},  P ~ U{0, …, Q−1}

    with the upper step at the new y. An iteration costs one lower gradient, one upper gradient, P HVPs and one JVP.
    Assumes a strongly convex, smooth lower level. Decays of 0 give the constant steps of the SNLI settings.
    """

    name: ClassVar[str] = "ttsa"

    lower_iterations: int = hyper(1, "lower steps per iteration; 1 is TTSA", at_least=1)
    upper_decay: PerRun = hyper(0.6, "the upper step decays like (k + k₀)^(−a)", symbol="a", at_least=0)
    lower_decay: PerRun = hyper(0.4, "the lower step decays like (k + k₀)^(−b)", symbol="b", at_least=0)
