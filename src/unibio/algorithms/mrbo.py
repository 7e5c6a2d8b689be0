"""MRBO (Yang, Ji & Liang, NeurIPS 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unibio.algorithms.sustain import SUSTAIN


@dataclass(frozen=True)
class MRBO(SUSTAIN):
    """MRBO, Algorithm 1 of the paper: SUSTAIN's recursion with the whole Neumann sum in place of the random product.

        ĥ = f_x − J c Σ_{q<Q} Π_{j≤q}(I − c H_j) f_y

    An iteration costs two lower gradients, two upper gradients, 2(Q − 1) HVPs and two JVPs; the first costs half. Same
    assumptions as SUSTAIN; full batch it stops at ‖J(I − cH)^Q H⁻¹f_y‖.
    """

    name: ClassVar[str] = "mrbo"
    random_length: ClassVar[bool] = False
