"""The network's problem on random words: sentences as long as SNLI's, with as many different words."""

from __future__ import annotations

import tempfile

import numpy as np
import torch

from unibio.core.problem import Problem
from unibio.data import DataSettings, PairData, Split
from unibio.problems.nli.cleaning import NLICleaning

#: Words, the first of them padding, and the exponent of the law by which they are drawn.
WORDS, EXPONENT = 5000, 1.13
#: Mean lengths of premises and hypotheses, and the shortest and the longest sentence.
LENGTHS = (14.1, 8.3), (2, 80)


def pairs(count: int, dimension: int, means: tuple[float, float] = LENGTHS[0], limits: tuple[int, int] = LENGTHS[1]):
    """So many random pairs in every split: :class:`~unibio.data.pairs.PairData`."""
    rng = np.random.default_rng(0)
    share = np.arange(1, WORDS) ** -EXPONENT
    share /= share.sum()

    def side(mean: float) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = np.clip(rng.gamma(5.0, mean / 5.0, count).round(), *limits).astype(np.int32)
        ids = rng.choice(WORDS - 1, (count, lengths.max()), p=share).astype(np.int32) + 1
        ids[np.arange(lengths.max()) >= lengths[:, None]] = 0
        return torch.from_numpy(ids), torch.from_numpy(lengths)

    def split() -> Split:
        label = torch.from_numpy(rng.integers(0, 3, count))
        return Split(*side(means[0]), *side(means[1]), label)

    vectors = torch.from_numpy(rng.standard_normal((WORDS, dimension)).astype(np.float32))
    vectors[0] = 0
    return PairData(split(), split(), split(), vectors, ("",) * WORDS, "random words", "", 1.0, ())


def problem(width: int, data: PairData, dtype: torch.dtype = torch.float32) -> Problem:
    """Hyper-cleaning of these pairs by a network of so many units, with a start of this type."""

    class Random(NLICleaning):
        def data(self) -> PairData:
            return data

    with tempfile.TemporaryDirectory() as cache:  # building keeps the flipped labels there
        built = Random(width=width, pairs=DataSettings(cache=cache)).build()
    assert built.start is not None
    built.start = tuple(part.to(dtype) for part in built.start)  # type: ignore[assignment]
    return built
