"""Small runs of what the theory's studies rest on, intact and broken."""

from __future__ import annotations

from functools import cache

from synthetic import FakeRecord
from twins.broken import exploding, fixed_lower, receding
from twins.running import run
from unibio.algorithms.epochs import EpochSGD

Records = dict[str, list[FakeRecord]]
EXPONENTS = (2, 4, 6, 8)

ALGORITHM1 = {
    "steps of zero": fixed_lower(EpochSGD),
    "wrong sign": receding(EpochSGD),
    "all diverged": exploding(EpochSGD),
}


@cache
def algorithm1(breaking: str) -> Records:
    """Records of algorithm1, short."""
    found = [
        run(
            {"name": "hoelder", "exponent": float(p), "noise": 1.0, "start_y": -1.0},
            {"name": "epoch_sgd", "first_radius": 2.0},
            {
                "seed": list(range(12)),
                "problem": {"start_x": [0.0, 0.5 ** (p - 1), 1.0]},
                "algorithm": {"lower_step": [0.3, 1.0]},
            },
            ALGORITHM1[breaking],
            steps=8 if p == 2 else 6,
            targets={},
        )
        for p in EXPONENTS
    ]
    return {"algorithm1": found}
