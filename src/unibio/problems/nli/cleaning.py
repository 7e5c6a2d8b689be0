"""Hyper-cleaning of natural language inference: weights of noisy training pairs, learned on clean validation pairs.

    g(λ, w) = 1/n Σ_i σ(λ_i) CE(net_w(pair_i), ỹ_i) + c ‖w‖_p^p,        f(w) = 1/m Σ_j CE(net_w(pair_j), y_j)

with the three-layer recurrent network of :mod:`~unibio.problems.nli.pair_rnn` (paper, Section 6, Appendices E.2 and F).
λ is the upper variable, one entry a training pair, from λ = 1; each *training* label is replaced once by one of the
other two with probability p̃. On SNLI (``data=snli`` or ``data=directory``) this is the paper's experiment; the default
pairs come from a grammar of ours and are not SNLI.

The network makes the lower level non-convex, so that the regulariser's uniform convexity (c‖w‖_p^p has modulus at least
p c κ_p d_y^{1−p/2}) says little about g as a whole. Its Hessian is regular at w = 0 (``vanishing_hessian=False``): D(w)
is a mere preconditioner, which changes truncated Neumann sums and not the solution, and must be floored. Nearly all
weights are small (|w| ≤ 1/√width at the start) and biases start at 0, so that with p > 2 a small floor makes
λ_max(D⁻¹∇²_ww g) many times λ_max(∇²_ww g), and the largest stable Neumann step as many times smaller. The floor of
``conf/experiment/nli/unibio.yaml`` lies above the weights and gives D = 1: UniBiO's sum is there the classical Neumann
sum. The experiment ``nli_floor`` measures what smaller floors do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from unibio.core.metrics import separation
from unibio.core.parameters import hyper
from unibio.core.problem import Problem, ProblemSpec
from unibio.core.streams import Draw, Streams
from unibio.data import DataSettings, PairData, load_pairs, redrawn_labels, stored_flips
from unibio.data.account import described, recorded, unlike_the_paper
from unibio.problems.nli import memory as nli_memory
from unibio.problems.nli.losses import Batch, Losses
from unibio.problems.nli.network import AT_ONCE, Network, Sentences
from unibio.problems.nli.pair_rnn import Architecture

#: Pairs on which an algorithm's settings are checked at the start, by up to a hundred Hessian–vector products.
DIAGNOSED = 128
#: Successive minibatches that are prepared at once: preparing is some fifty small operations, however many there are.
AHEAD = 16
#: From so many units on a network on a CPU is worth a warning, which compares it to one of so many.
WIDE, NARROW = 1024, 64
#: λ at the start.
START = 1.0


@lru_cache(maxsize=2)
def _loaded(settings: DataSettings) -> PairData:
    return load_pairs(settings)


@dataclass(frozen=True)
class NLICleaning(ProblemSpec):
    """Hyper-cleaning of sentence pairs with noisy labels by a recurrent network; SNLI in the paper.

    d_x = training pairs; d_y = the network's weights. Start: λ = 1, and random weights of ``init_seed``.

    Metrics, on all pairs of a split: ``train_accuracy`` against the true labels and ``noisy_accuracy`` against those
    trained on, ``valid_accuracy`` and ``valid_loss``, and with ``test`` also ``test_accuracy``; ``weight_spread``, the
    standard deviation of σ(λ). With noise drawn once: ``cleaning_auc``, the probability that a clean pair has a larger
    weight than a flipped one (½ for no separation, as at the start), and ``cleaning_precision``, the share of flipped
    pairs among as many pairs of least weight as there are flipped ones (their rate for no separation).

    ``weights=frozen`` keeps λ at its start: the same lower-level steps on the same samples without any weighting. All
    derivatives of the upper level are then 0, and cost nothing.
    """

    name: ClassVar[str] = "nli_cleaning"
    reads_pairs: ClassVar[bool] = True

    exponent: int = hyper(3, "exponent of the regulariser and of uniform convexity", symbol="p", at_least=2)
    regulariser: float = hyper(1e-4, "weight of ‖w‖_p^p", symbol="c", at_least=0)
    noise_rate: float = hyper(0.1, "probability that a training label is flipped", symbol="p̃", at_least=0, below=1)
    noise: str = hyper(
        "once",
        "labels flipped once; kept clean, as a control; or redrawn at every access, validation too, as released",
        choices=("once", "none", "released"),
    )
    weights: str = hyper("learned", "λ learned, or kept at its start as a control", choices=("learned", "frozen"))
    width: int = hyper(64, "units of every recurrent layer (4096 in the paper)", symbol="h", at_least=1)
    layers: int = hyper(2, "recurrent layers", at_least=1)
    test: bool = hyper(False, "evaluate the test split, too; tuning must not")
    noise_seed: int = hyper(0, "seed of the flips", at_least=0, below=2.0**63)
    init_seed: int = hyper(0, "seed of the initial weights", at_least=0, below=2.0**63)
    pairs: DataSettings = field(default_factory=DataSettings)

    def data(self) -> PairData:
        """The prepared pairs; not to be changed."""
        return _loaded(self.pairs)

    def reading(self, data: DataSettings) -> Self:
        return dataclasses.replace(self, pairs=data)

    def fingerprint(self) -> str:
        return self.data().content

    def net(self, data: PairData) -> Architecture:
        """The sizes of the network."""
        return Architecture(data.vectors.shape[1], self.width, self.layers)

    def check_memory(self, algorithm: Any, runs: int, dtype: torch.dtype, device: torch.device) -> None:
        needed, tables = self.memory(algorithm, runs, dtype), self.tables(algorithm, runs, dtype)
        nli_memory.check(self.net(self.data()), needed, device, tables)

    def memory(self, algorithm: Any, runs: int, dtype: torch.dtype) -> int:
        """Bytes that are asked for before a run starts, those of SABA's tables among them."""
        data = self.data()
        net = self.net(data)
        tokens = sum(float(side.double().mean()) for side in (data.train.premise_length, data.train.hypothesis_length))
        batch = nli_memory.largest_batch(algorithm, max(len(data.train), len(data.valid)))
        return nli_memory.estimate(net, tokens, dtype.itemsize, batch, runs) + self.tables(algorithm, runs, dtype)

    def check_tables(self, algorithm: Any, runs: int, dtype: torch.dtype) -> None:
        self.tables(algorithm, runs, dtype)

    def slowness(self) -> tuple[float, str] | None:
        if self.width < WIDE:
            return None
        net = self.net(self.data())
        times = net.size / Architecture(net.dimension, NARROW, net.layers).size
        return times, (
            f"train networks of up to {net.width:,} units on a CPU: every word they read costs about {times:,.0f} "
            f"times the arithmetic of {NARROW} units. scale=paper is made for a CUDA device; scale=workstation and "
            "scale=laptop have smaller networks"
        )

    def described(self) -> list[str]:
        return described(self.data())

    def unlike_the_paper(self) -> str | None:
        return unlike_the_paper(self.pairs, self.data())

    def provenance(self) -> dict[str, Any]:
        return recorded(self.data())

    def tables(self, algorithm: Any, runs: int, dtype: torch.dtype) -> int:
        """Bytes that an algorithm keeps for the pairs.

        Raises:
            InputError: they are more than it may take.
        """
        data = self.data()
        points, sizes = (len(data.valid), len(data.train)), (len(data.train), self.net(data).size)
        return algorithm.remembered(points, sizes, runs, weighted=True, element_size=dtype.itemsize)

    def build(self) -> Problem:
        data = self.data()
        net = self.net(data)
        nli_memory.check(net, 2 * 8 * net.size, torch.device("cpu"))  # the start, which is on the CPU wherever a run is
        labels = Labels(self, data)
        lower = Network(net, Sentences(data.train, data.vectors))
        upper = Network(net, Sentences(data.valid, data.vectors))
        loss = Losses(lower, upper, self.regulariser, self.exponent)
        derivatives: dict[str, Callable[..., Any]] = {"grad_lower": loss.grad_lower, "grad_lower_x": loss.grad_lower_x}
        if self.weights == "learned":
            derivatives |= {"grad_upper": loss.grad_upper, "hvp": loss.hvp, "jvp": loss.jvp}
        else:
            derivatives |= {
                "grad_upper": lambda x, y, batch: (torch.zeros_like(x), torch.zeros_like(y)),
                "hvp": lambda x, y, v, batch: torch.zeros_like(y),
                "jvp": lambda x, y, v, batch: torch.zeros_like(x),
            }
        return Problem(
            upper=loss.upper,
            lower=loss.lower,
            exponent=self.exponent,
            sample_upper=labels.sampler("valid", upper.expect),
            sample_lower=labels.sampler("train", lower.expect),
            size_upper=len(data.valid),
            size_lower=len(data.train),
            weighted=lambda batch: batch[0],
            diagnosed=DIAGNOSED,
            metrics=Metrics(self, data, lower, upper, labels),
            derivatives=derivatives,
            approximate=() if self.weights == "learned" else ("grad_upper", "hvp", "jvp"),  # kept at 0
            vanishing_hessian=False,
            start=(torch.full((len(data.train),), START).double(), net.start(self.init_seed)),
            batched=True,
            name=self.name,
        )


class Labels:
    """The labels that are trained on, and the samplers that hand them out with the pairs."""

    def __init__(self, spec: NLICleaning, data: PairData):
        self.spec = spec
        self.true = {"train": data.train.label, "valid": data.valid.label}
        self.noisy, self.flipped = stored_flips(spec.pairs.cache, data.train.label, spec.noise_rate, spec.noise_seed)
        self._given = self.true | ({"train": self.noisy} if spec.noise == "once" else {})

    def sampler(self, split: str, expect: Callable[[str, Sequence[Tensor]], None]) -> Callable[[Draw], Batch]:
        """Draw -> (places (runs, B), labels (runs, B)) of a minibatch.

        Minibatches are functions of their draws, so that ``AHEAD`` successive ones are made at once.

        Args:
            split: of which pairs.
            expect: told the rows of minibatches that will be asked for.
        """
        made: dict[tuple[str, int | None], tuple[Streams, int, list[Batch]]] = {}

        def sample(draw: Draw) -> Batch:
            if draw.places is not None or draw.size is None or draw.size > AT_ONCE:
                return self._minibatches(split, [draw])[0]
            number, k = divmod(draw.index, AHEAD)
            streams, at, found = made.get((draw.purpose, draw.size), (None, 0, []))
            if streams is not draw.streams or at != number:
                draws = [dataclasses.replace(draw, index=number * AHEAD + i) for i in range(AHEAD)]
                found = self._minibatches(split, draws)
                made[draw.purpose, draw.size] = draw.streams, number, found
                expect(f"{draw.purpose} {draw.size}", [row for places, _ in found for row in places])
            return found[k]

        return sample

    def _minibatches(self, split: str, draws: Sequence[Draw]) -> list[Batch]:
        found: list[Batch] = []
        for draw in draws:
            place = draw.minibatch(len(self.true[split]))
            label = self._given[split] = self._given[split].to(place.device)
            labels = label.take(place)
            if self.spec.noise == "released":
                rate, seed = self.spec.noise_rate, self.spec.noise_seed
                rows = [redrawn_labels(row.cpu(), rate, seed, draw.index, split) for row in labels]
                labels = torch.stack(rows).to(place.device)
            found.append((place, labels))
        return found


class Metrics:
    """The metrics of :class:`NLICleaning`."""

    def __init__(self, spec: NLICleaning, data: PairData, train: Network, valid: Network, labels: Labels):
        self.spec, self.labels = spec, labels
        self.train, self.valid = train, valid
        self.test = Network(train.net, Sentences(data.test, data.vectors)) if spec.test else None
        self.test_label = data.test.label

    def __call__(self, x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        rows = [self._row(x[i], y[i]) for i in range(len(x))]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        labels, logits = self.labels, self.train.logits(y).cpu()
        found = {"train_accuracy": _accuracy(logits, labels.true["train"])}
        if self.spec.noise == "once":
            found["noisy_accuracy"] = _accuracy(logits, labels.noisy)
        logits = self.valid.logits(y).cpu()
        found["valid_accuracy"] = _accuracy(logits, labels.true["valid"])
        found["valid_loss"] = torch.nn.functional.cross_entropy(logits.double(), labels.true["valid"])
        if self.test is not None:
            found["test_accuracy"] = _accuracy(self.test.logits(y).cpu(), self.test_label)
        x = x.detach().double().cpu()
        found["weight_spread"] = torch.sigmoid(x).std(correction=0)
        count = int(labels.flipped.sum())
        if self.spec.noise == "once" and 0 < count < len(x):
            found["cleaning_auc"] = separation(x[None], labels.flipped)[0]
            found["cleaning_precision"] = precision(x, labels.flipped)
        return found


def _accuracy(logits: Tensor, label: Tensor) -> Tensor:
    return (logits.argmax(1) == label).double().mean()


def precision(x: Tensor, flipped: Tensor) -> Tensor:
    """The share of flipped entries among the k least of x, k the number of flipped ones; ties are broken evenly.

    Args:
        x: (n,).
        flipped: bool (n,), not none.
    """
    count = int(flipped.sum())
    last = x.sort().values[count - 1]
    below, tied = x < last, x == last
    open_places = count - below.sum()
    found = (below & flipped).sum() + open_places * (tied & flipped).sum() / tied.sum()
    return (found / count).double()
