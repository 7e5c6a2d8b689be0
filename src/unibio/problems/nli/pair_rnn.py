"""A classifier of sentence pairs: a tanh RNN over word vectors, max-pooled, with exact first and second derivatives.

    h_t = tanh(W x_t + U h_{t−1} + b)   in every layer,     u, v = maximum over time of the last layer's h_t
    logits = V [u, v, |u − v|, u ⊙ v] + a

for premise and hypothesis in one pass. All weights are one flat vector. Derivatives are written out instead of taken by
autograd: the recurrence then holds nothing but one product with U a step, forwards or backwards, and everything that
is no recurrence is a few products over all tokens at once. They work on every device; cuDNN's recurrent networks have
neither a second derivative nor a forward mode.

A tangent pass (:meth:`At.tangent`) gives the derivative of every logit along a direction of weights, which is all that
∇²_xy g · v needs of the network; a tangent of the backward pass (:meth:`At.hvp`) gives a Hessian–vector product (the
R-operator of Pearlmutter, 1994). Max-pooling and |·| are differentiated where they are smooth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from unibio.problems.nli.packing import Packing, States, Words

#: Classes of natural language inference: entailment, neutral, contradiction.
CLASSES = 3


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network and the layout of its weights.

    Attributes:
        dimension: of the word vectors.
        width: h of every recurrent layer.
        layers: recurrent layers, ≥ 1.
    """

    dimension: int
    width: int
    layers: int = 2

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """(W, U, b) of every layer, then (V, a)."""
        h = self.width
        found: list[tuple[int, ...]] = []
        for layer in range(self.layers):
            found += [(h, h if layer else self.dimension), (h, h), (h,)]
        return [*found, (CLASSES, 4 * h), (CLASSES,)]

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for shape in self.shapes)

    def split(self, flat: Tensor) -> list[Tensor]:
        """A flat vector (size,) as views of the shapes of :attr:`shapes`."""
        parts = flat.split([math.prod(shape) for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def start(self, seed: int) -> Tensor:
        """Initial weights, (size,) float64: uniform in ±1/√(inputs) as PyTorch's own layers, biases 0."""
        generator = torch.Generator().manual_seed(seed)
        flat = torch.zeros(self.size, dtype=torch.float64)
        for part in self.split(flat):
            if part.ndim == 2:
                bound = 1 / math.sqrt(part.shape[1] if part.shape[0] == CLASSES else self.width)
                part.uniform_(-bound, bound, generator=generator)
        return flat


@dataclass
class Pairs:
    """A batch of B sentence pairs, packed: the premises are sequences 0 … B−1, the hypotheses B … 2B−1.

    Attributes:
        words: the word vectors of all N tokens.
        packing: of the 2B sequences.
        label: (B,) int64.
    """

    words: Words
    packing: Packing
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)


@dataclass
class _Layer:
    """One layer at a point: its weights, inputs, states, those before later tokens, and the slope 1 − h²."""

    W: Tensor
    U: Tensor
    inputs: Words | States
    states: Tensor
    before: Tensor
    slope: Tensor
    arriving: Tensor = field(init=False)  # gradient of the loss by the states, with what comes from later times
    delta: Tensor = field(init=False)  # the same by the arguments of tanh


class At:
    """The network at one point and batch: logits now, derivatives on demand, everything shared between them kept.

    Args:
        net: sizes.
        flat: (net.size,) weights.
        pairs: the batch.
    """

    def __init__(self, net: Architecture, flat: Tensor, pairs: Pairs):
        self.net, self.pairs = net, pairs
        weights = net.split(flat)
        self.later = pairs.packing.later  # the state before a first token is 0
        self.V = weights[-2]
        self.layers: list[_Layer] = []
        inputs: Words | States = pairs.words
        packing = pairs.packing
        for W, U, b in _threes(weights):
            states = _recur(inputs.times(W, b), U, packing)
            # The slope is needed by derivatives only, but costs nothing beside the recurrence.
            slope = torch.addcmul(states.new_ones(()), states, states, value=-1)
            self.layers.append(_Layer(W, U, inputs, states, packing.before(states), slope))
            inputs = States(states)
        self.winners = packing.winners(states)
        self.u, self.v = states.gather(0, self.winners).chunk(2)
        self.sign = (self.u - self.v).sign()
        self.features = torch.cat((self.u, self.v, (self.u - self.v).abs(), self.u * self.v), 1)
        self.logits = torch.addmm(weights[-1], self.features, self.V.t())
        self._weights: Tensor | None = None  # of the loss whose backward pass is kept

    def losses(self) -> Tensor:
        """Cross-entropy of every pair: (B,)."""
        return F.cross_entropy(self.logits, self.pairs.label, reduction="none")

    @cached_property
    def slopes(self) -> Tensor:
        """Derivative of every pair's cross-entropy by its logits: (B, 3)."""
        found = self.logits.softmax(1)
        found[torch.arange(len(found), device=found.device), self.pairs.label] -= 1
        return found

    # First order -----------------------------------------------------------------------------------------------

    def gradient(self, weights: Tensor) -> Tensor:
        """∇ Σ_i weights_i CE_i: (size,). The backward pass is kept for :meth:`hvp` with the same weights."""
        self._go_back(weights)
        out = self.logits.new_empty(self.net.size)
        parts = self.net.split(out)
        torch.mm(self.by_logits.t(), self.features, out=parts[-2])
        torch.sum(self.by_logits, 0, out=parts[-1])
        for layer, (dW, dU, db) in zip(self.layers, _threes(parts), strict=True):
            layer.inputs.outer(layer.delta, out=dW)
            torch.mm(layer.delta[self.later].t(), layer.before, out=dU)
            torch.sum(layer.delta, 0, out=db)
        return out

    def _go_back(self, weights: Tensor) -> None:
        """The backward pass of Σ_i weights_i CE_i, down to the arguments of every tanh."""
        self._weights = weights
        self.by_logits = weights[:, None] * self.slopes
        self.by_features = self.by_logits @ self.V
        one, two, three, four = self.by_features.chunk(4, 1)
        three = self.sign * three
        arriving = self._scatter(one + three + self.v * four, two - three + self.u * four)
        for layer in reversed(self.layers):
            layer.delta = _recur_back(arriving, layer.slope, layer.U, self.pairs.packing)
            layer.arriving = arriving
            if layer is not self.layers[0]:
                arriving = layer.delta @ layer.W

    # Along a direction -----------------------------------------------------------------------------------------

    def tangent(self, direction: Tensor) -> Tensor:
        """Derivative of every pair's cross-entropy along a direction (size,) of weights: (B,)."""
        return (self.slopes * self._push(direction)[0]).sum(1)

    def _push(self, direction: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Forward mode: derivatives of logits (B, 3), features (B, 4h), and every layer's states (N, h)."""
        parts = self.net.split(direction)
        inputs: Tensor | None = None
        states = []
        for layer, (dW, dU, db) in zip(self.layers, _threes(parts), strict=True):
            given = layer.inputs.times(dW, db)
            given[self.later].addmm_(layer.before, dU.t())
            if inputs is not None:
                given.addmm_(inputs, layer.W.t())
            inputs = _recur_tangent(given, layer.slope, layer.U, self.pairs.packing)
            states.append(inputs)
        assert inputs is not None
        u, v = inputs.gather(0, self.winners).chunk(2)
        features = torch.cat((u, v, self.sign * (u - v), u * self.v + self.u * v), 1)
        logits = torch.addmm(parts[-1], features, self.V.t()).addmm_(self.features, parts[-2].t())
        return logits, features, states

    def hvp(self, weights: Tensor, direction: Tensor) -> Tensor:
        """∇² Σ_i weights_i CE_i · direction: (size,)."""
        if self._weights is not weights and (self._weights is None or not torch.equal(self._weights, weights)):
            self._go_back(weights)
        logits, features, states = self._push(direction)
        toward = self.net.split(direction)
        out = self.logits.new_empty(self.net.size)
        parts = self.net.split(out)
        share = self.logits.softmax(1)
        turned = share * logits
        turned = weights[:, None] * torch.addcmul(turned, share, turned.sum(1, keepdim=True), value=-1)
        torch.mm(turned.t(), self.features, out=parts[-2]).addmm_(self.by_logits.t(), features)
        torch.sum(turned, 0, out=parts[-1])
        one, two, three, four = (turned @ self.V).addmm_(self.by_logits, toward[-2]).chunk(4, 1)
        old = self.by_features.chunk(4, 1)[3]
        du, dv = features.chunk(4, 1)[:2]
        three = self.sign * three
        arriving = self._scatter(
            one + three + self.v * four + dv * old,
            two - three + self.u * four + du * old,
        )
        packing = self.pairs.packing
        walk = list(zip(self.layers, _threes(toward), _threes(parts), states, strict=True))
        for k in reversed(range(len(walk))):
            layer, (tW, tU, _), (dW, dU, db), state = walk[k]
            # The change of U acts on what has come from later times already, that of U's argument in the recurrence.
            arriving.index_add_(0, packing.previous, layer.delta[self.later] @ tU)
            bend = torch.mul(layer.arriving, layer.states).mul_(state).mul_(-2)
            delta = _recur_back(arriving, layer.slope, layer.U, packing, bend)
            layer.inputs.outer(delta, out=dW)
            torch.mm(delta[self.later].t(), layer.before, out=dU)
            dU.addmm_(layer.delta[self.later].t(), packing.before(state))
            torch.sum(delta, 0, out=db)
            if k:
                dW.addmm_(layer.delta.t(), states[k - 1])
                arriving = (delta @ layer.W).addmm_(layer.delta, tW)
        return out

    def _scatter(self, by_u: Tensor, by_v: Tensor) -> Tensor:
        """Gradients by the pooled (B, h) vectors, handed to the tokens that won: (N, h)."""
        found = torch.zeros_like(self.layers[-1].states)
        return found.scatter_(0, self.winners, torch.cat((by_u, by_v)))


def predict(net: Architecture, flat: Tensor, pairs: Pairs) -> Tensor:
    """Logits alone, (B, 3), keeping nothing else."""
    weights = net.split(flat)
    inputs: Words | States = pairs.words
    for W, U, b in _threes(weights):
        states = _recur(inputs.times(W, b), U, pairs.packing)
        inputs = States(states)
    u, v = pairs.packing.largest(states).chunk(2)
    return torch.addmm(weights[-1], torch.cat((u, v, (u - v).abs(), u * v), 1), weights[-2].t())


def _threes(parts: list[Tensor]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The recurrent layers' (W, U, b)."""
    return [(parts[i], parts[i + 1], parts[i + 2]) for i in range(0, len(parts) - 2, 3)]


def _recur(given: Tensor, U: Tensor, packing: Packing) -> Tensor:
    """h_t = tanh(given_t + U h_{t−1}) for all times, written over ``given`` (N, h)."""
    turned, last = U.t(), given[: packing.counts[0]].tanh_()
    for start, count in zip(packing.starts[1:], packing.counts[1:], strict=True):
        last = given[start : start + count].addmm_(last[:count], turned).tanh_()
    return given


def _recur_tangent(given: Tensor, slope: Tensor, U: Tensor, packing: Packing) -> Tensor:
    """ḣ_t = slope_t ⊙ (given_t + U ḣ_{t−1}) for all times, written over ``given`` (N, h)."""
    turned, first = U.t(), packing.counts[0]
    last = given[:first].mul_(slope[:first])
    for start, count in zip(packing.starts[1:], packing.counts[1:], strict=True):
        here = slice(start, start + count)
        last = given[here].addmm_(last[:count], turned).mul_(slope[here])
    return given


def _recur_back(arriving: Tensor, slope: Tensor, U: Tensor, packing: Packing, bend: Tensor | None = None) -> Tensor:
    """δ_t = slope_t ⊙ (arriving_t + Uᵀδ_{t+1}) + bend_t, from the last time to the first: (N, h).

    ``arriving`` is completed in place to arriving_t + Uᵀδ_{t+1}.
    """
    delta = torch.empty_like(arriving) if bend is None else bend
    later: Tensor | None = None
    for start, count in zip(reversed(packing.starts), reversed(packing.counts), strict=True):
        here = slice(start, start + count)
        if later is not None:
            arriving[start : start + len(later)].addmm_(later, U)
        if bend is None:
            later = torch.mul(arriving[here], slope[here], out=delta[here])
        else:
            later = delta[here].addcmul_(arriving[here], slope[here])
    return delta
