"""The recurrent pair classifier: forward against torch.nn, derivatives against finite differences, no padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support import finite_difference
from unibio.problems.nli.packing import Different, Packing, Words
from unibio.problems.nli.pair_rnn import Architecture, At, Pairs, predict

LENGTHS = [3, 1, 6, 2, 2, 4, 1, 5]  # four premises, four hypotheses, shortest and longest in different places


def sentences(dimension: int = 4, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, dimension, generator=generator, dtype=torch.float64) for length in LENGTHS]


def packed(given: list[torch.Tensor], label: list[int] | None = None) -> Pairs:
    lengths = np.array([len(one) for one in given])
    packing = Packing.of(lengths, lengths.cumsum() - lengths, torch.device("cpu"))
    return Pairs(
        Words.of(Different.of(packing.tokens, len(packing.tokens)), torch.cat(given)),
        packing,
        torch.tensor(label or [0, 2, 1, 1]),
    )


def point(net: Architecture, seed: int = 1) -> torch.Tensor:
    noise = torch.randn(net.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return net.start(seed) + 0.2 * noise


def by_torch(net: Architecture, flat: torch.Tensor, given: list[torch.Tensor]) -> torch.Tensor:
    """Logits by torch.nn.RNN, one sentence at a time, without packing, padding or batches."""
    module = torch.nn.RNN(net.dimension, net.width, net.layers).double()
    *recurrent, V, a = net.split(flat)
    with torch.no_grad():
        for layer in range(net.layers):
            W, U, b = recurrent[3 * layer : 3 * layer + 3]
            getattr(module, f"weight_ih_l{layer}").copy_(W)
            getattr(module, f"weight_hh_l{layer}").copy_(U)
            getattr(module, f"bias_ih_l{layer}").copy_(b)
            getattr(module, f"bias_hh_l{layer}").zero_()
        pooled = [module(one)[0].max(0).values for one in given]
    half = len(given) // 2
    u, v = torch.stack(pooled[:half]), torch.stack(pooled[half:])
    return torch.cat((u, v, (u - v).abs(), u * v), 1) @ V.t() + a


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_forward_is_torch_rnn(layers: int) -> None:
    net = Architecture(4, 5, layers)
    flat, given = point(net), sentences()
    at = At(net, flat, packed(given))
    expected = by_torch(net, flat, given)
    torch.testing.assert_close(at.logits, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(predict(net, flat, packed(given)), expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(at.losses(), F.cross_entropy(expected, torch.tensor([0, 2, 1, 1]), reduction="none"))


def test_padding_never_wins() -> None:
    """States below 0 everywhere: a pool over zero padding would give 0 to every sentence that is not the longest."""
    net = Architecture(3, 4, 2)
    flat = torch.zeros(net.size, dtype=torch.float64)
    for part in net.split(flat)[2::3]:
        part.fill_(-1.0)  # the layers' biases
    given = [torch.zeros(length, 3, dtype=torch.float64) for length in LENGTHS]
    at = At(net, flat, packed(given))
    assert bool((at.u < 0).all())
    assert bool((at.v < 0).all())
    torch.testing.assert_close(at.u, torch.full_like(at.u, float(np.tanh(-1.0))))


def test_a_sentence_does_not_depend_on_its_batch() -> None:
    net = Architecture(4, 5)
    flat, given = point(net), sentences()
    together = At(net, flat, packed(given)).logits
    for i in range(4):
        alone = At(net, flat, packed([given[i], given[4 + i]], [0])).logits
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-13)


@pytest.mark.parametrize("layers", [1, 2])
def test_derivatives_are_those_of_finite_differences(layers: int) -> None:
    net = Architecture(3, 3, layers)
    flat, pairs = point(net), packed(sentences(3))
    weights = torch.tensor([0.3, 1.1, 0.0, 0.7], dtype=torch.float64)

    def loss(w: np.ndarray) -> float:
        return float((weights * At(net, torch.from_numpy(w), pairs).losses()).sum())

    at = At(net, flat, pairs)
    gradient = at.gradient(weights).numpy()
    np.testing.assert_allclose(gradient, finite_difference(loss, flat.numpy()), atol=1e-9)

    direction = torch.randn(net.size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    h = 1e-5
    beyond, behind = (At(net, flat + s * h * direction, pairs) for s in (1, -1))
    slope = (beyond.losses() - behind.losses()) / (2 * h)
    torch.testing.assert_close(at.tangent(direction), slope, rtol=0, atol=1e-8)
    bend = (beyond.gradient(weights) - behind.gradient(weights)) / (2 * h)
    torch.testing.assert_close(at.hvp(weights, direction), bend, rtol=0, atol=1e-8)


def test_products_with_one_kept_pass_are_those_of_fresh_ones() -> None:
    """Shared samples: several directions, then other weights of the pairs, at one point."""
    net = Architecture(4, 6)
    flat, pairs = point(net), packed(sentences())
    at = At(net, flat, pairs)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        weights = torch.rand(4, generator=generator, dtype=torch.float64)
        for _ in range(2):
            direction = torch.randn(net.size, generator=generator, dtype=torch.float64)
            fresh = At(net, flat, pairs).hvp(weights, direction)
            torch.testing.assert_close(at.hvp(weights, direction), fresh, rtol=0, atol=0)


def test_the_hessian_is_symmetric() -> None:
    net = Architecture(4, 5)
    at = At(net, point(net), packed(sentences()))
    weights = torch.ones(4, dtype=torch.float64)
    one, two = torch.randn(2, net.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(one @ at.hvp(weights, two)) == pytest.approx(float(two @ at.hvp(weights, one)), rel=1e-10)


def test_sizes_of_the_paper() -> None:
    net = Architecture(300, 4096)
    recurrent = 300 * 4096 + 4096**2 + 4096 + 2 * 4096**2 + 4096
    assert net.size == recurrent + 3 * 4 * 4096 + 3
    small = Architecture(6, 4)
    start = small.start(3)
    assert start.shape == (small.size,)
    W, _, b, *_, a = small.split(start)
    assert bool((b == 0).all())
    assert bool((a == 0).all())
    assert float(W.abs().max()) <= 0.5 < 2 * float(W.abs().max())
    assert not torch.equal(start, small.start(4))
    assert torch.equal(start, small.start(3))
