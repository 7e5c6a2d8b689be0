"""Stochastic estimators against their deterministic limits: expectation, variance, bias.

Expectations are judged by Hotelling's statistic over N independent rows, N (m − t)ᵀ S⁻¹ (m − t) with mean m, covariance
S and limit t: χ² with d degrees of freedom if m estimates t without bias. Seeds are fixed, so a verdict never changes.

* False alarm rate of each test of an expectation: ALPHA = 1e−6; those of a variance state their own.
* Smallest bias detected with probability 0.999: √(λ/N) standard deviations of one estimate in Mahalanobis norm, with λ
  the noncentrality at which χ²_d exceeds the threshold that often. With N = 20,000: 0.061 standard deviations for
  d = 4 (hypergradients), 0.064 for d = 7 (SOBA's directions of y and z); with N = 10,000: 0.085 for d = 3 (UniBiO's
  estimator at p = 4).
"""

import re
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import chi2, chisquare, ncx2
from scipy.stats import kurtosis as scipy_kurtosis

from references import methods
from second_order import oracle_for, pair
from thinned import some
from unibio import solve
from unibio.algorithms.saba import SABA, Kept
from unibio.algorithms.soba import directions
from unibio.algorithms.variants import bare_product_at, headless_neumann_at
from unibio.core.hypergradients import classical, generalised_neumann, neumann, neumann_and_residual
from unibio.core.neumann import HypergradientSample, draw_sample, neumann_at
from unibio.core.problem import Problem
from unibio.core.spectrum import remainder

ROWS = 20_000
ALPHA = 1e-6
Q, C = 5, 0.7


def statistic(estimates, limit):
    """Hotelling's statistic of rows against a limit, and its threshold."""
    estimates = estimates.numpy()
    offset = estimates.mean(axis=0) - limit
    value = len(estimates) * offset @ np.linalg.solve(np.cov(estimates.T), offset)
    return value, chi2.ppf(1 - ALPHA, len(limit))


def smallest_bias(d, rows=ROWS, power=0.999):
    """In standard deviations of a single estimate (Mahalanobis norm)."""
    threshold = chi2.ppf(1 - ALPHA, d)
    return np.sqrt(brentq(lambda nc: ncx2.sf(threshold, d, nc) - power, 1, 1e4) / rows)


def with_replacement(problem, n=12):
    """The same problem whose samples are single data points drawn independently, as the theory assumes."""

    def sample(draw):
        return (draw.uniform(1) * n).to(torch.int64).clamp(max=n - 1)

    problem.sample_lower = problem.sample_upper = sample
    return problem


@pytest.fixture(scope="module")
def setting():
    problem, reference, x0, y0 = pair(noise=0.1)
    oracle = oracle_for(with_replacement(problem), range(ROWS), batch_size=1)
    x, y = (torch.from_numpy(start).expand(ROWS, -1) for start in (x0, y0))
    return oracle, reference, x, y, x0, y0


def hypergradient(reference, x, y, V):
    return methods.hyper(reference, x, y, V)


def estimate(oracle, x, y, at=neumann_at, **options):
    return at(oracle, x, y, draw_sample(oracle, terms=Q, **options), terms=Q, step=C)


@pytest.mark.parametrize(("d", "rows", "stated"), [(4, ROWS, 0.061), (7, ROWS, 0.064), (3, 10_000, 0.085)])
def test_stated_resolution(d, rows, stated):
    assert smallest_bias(d, rows) == pytest.approx(stated, abs=0.0005)


@pytest.mark.parametrize("random_length", [False, True])
def test_expectation_with_fresh_samples(setting, random_length):
    """Both Neumann estimators have the limit f_x − J c Σ_{q<Q}(I − cH)^q f_y of the mean problem."""
    oracle, reference, x, y, x0, y0 = setting
    limit = hypergradient(reference, x0, y0, methods.neumann_matrix(reference.H, C, Q))
    value, threshold = statistic(estimate(oracle, x, y, random_length=random_length), limit)
    assert value < threshold


def test_expectation_with_a_shared_sample(setting):
    """One sample for all factors has another limit, the mean of the samples' own sums; the test tells them apart."""
    oracle, reference, x, y, x0, y0 = setting
    own = np.mean([methods.neumann_matrix(H, C, Q) for H in reference.g.P], axis=0)
    estimates = estimate(oracle, x, y, samples="shared")
    value, threshold = statistic(estimates, hypergradient(reference, x0, y0, own))
    assert value < threshold
    other, threshold = statistic(estimates, hypergradient(reference, x0, y0, methods.neumann_matrix(reference.H, C, Q)))
    assert other > threshold


@pytest.mark.parametrize(
    ("deviation", "options"),
    [(headless_neumann_at, {}), (bare_product_at, {"random_length": True})],
    ids=["sum without its first term", "product without its factor Q"],
)
def test_released_deviations_fail(setting, deviation, options):
    """The same test on the released code's estimators: far beyond the threshold."""
    oracle, reference, x, y, x0, y0 = setting
    limit = hypergradient(reference, x0, y0, methods.neumann_matrix(reference.H, C, Q))
    value, threshold = statistic(estimate(oracle, x, y, deviation, **options), limit)
    assert value > 10 * threshold


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_random_length_is_unbiased_exactly(dtype):
    """The mean over all lengths P = 0 … Q−1 of one deterministic realisation is the sum, without statistics."""
    problem, _, x0, y0 = pair()
    oracle = oracle_for(problem, range(Q), dtype)
    x, y = (torch.from_numpy(start).to(dtype).expand(Q, -1) for start in (x0, y0))
    upper, lower = oracle.sample_upper(), oracle.sample_lower()
    lengths = torch.arange(Q)[:, None]
    product = neumann_at(oracle, x, y, HypergradientSample(upper, (lower,) * 4, lower, lengths), terms=Q, step=C)
    assert oracle.counts()["hvp"].tolist() == [0, 1, 2, 3, 4]
    whole = neumann_at(oracle, x, y, HypergradientSample(upper, (lower,) * 4, lower), terms=Q, step=C)
    torch.testing.assert_close(product.mean(0), whole[0])


def test_random_length_is_uniform(setting):
    """χ² test of P over 0 … Q−1, false alarm rate 1e−6; a length is the same however many rows are drawn."""
    oracle = oracle_for(pair()[0], range(ROWS))
    lengths = draw_sample(oracle, terms=Q, random_length=True).length[:, 0]
    counts = torch.bincount(lengths, minlength=Q).numpy()
    assert len(counts) == Q
    assert chisquare(counts).pvalue > ALPHA
    few = draw_sample(oracle_for(pair()[0], range(50)), terms=Q, random_length=True).length[:, 0]
    assert torch.equal(few, lengths[:50])


def test_soba_directions(setting):
    """g_y, Hz − f_y and f_x − Jz are unbiased for the mean problem's."""
    oracle, reference, x, y, x0, y0 = setting
    z0 = np.linspace(-1, 1, 7)
    found = directions(oracle, x, y, torch.from_numpy(z0).expand(ROWS, -1))
    limits = (
        reference.g.dy(x0, y0),
        reference.H @ z0 - reference.f.dy(x0, y0),
        reference.f.dx(x0, y0) - reference.J @ z0,
    )
    for estimates, limit in zip(found, limits, strict=True):
        value, threshold = statistic(estimates, limit)
        assert value < threshold


def test_generalised_neumann_above_two(setting):
    """UniBiO's estimator at p = 4 with a random Hessian that is not diagonal."""
    rng = np.random.default_rng(0)
    A = np.diag([1.0, 2.0, 1.5]) + 0.3
    x0, y0, target = rng.normal(size=3), np.array([0.8, -1.1, 0.6]), rng.normal(size=3)
    tensors = {"A": torch.from_numpy(A), "t": torch.from_numpy(target)}

    def lower(x, y, noise):
        quadratic = 0.5 * (y * (y @ tensors["A"])).sum(-1) + 0.5 * (noise[:, :3] * y * y).sum(-1)
        return (y**4).sum(-1) / 4 + quadratic - ((1 + noise[:, 3:]) * x * y).sum(-1)

    def upper(x, y, noise):
        return 0.5 * ((y - tensors["t"] + 0.3 * noise) ** 2).sum(-1) + (x * noise).sum(-1)

    problem = Problem(
        upper, lower, exponent=4, batched=True,
        sample_lower=lambda draw: 0.05 * draw.normal(6), sample_upper=lambda draw: 0.05 * draw.normal(3),
    )  # fmt: skip
    rows = 10_000
    x, y = (torch.from_numpy(start).expand(rows, -1) for start in (x0, y0))
    found = generalised_neumann(oracle_for(problem, range(rows)), x, y, terms=4, step=0.4)
    D, H = np.diag(3 * y0**2), A + np.diag(3 * y0**2)
    scaled = np.linalg.inv(D) @ H
    limit = methods.neumann_matrix(scaled, 0.4, 4) @ np.linalg.inv(D) @ (y0 - target)  # J = −I, f_x = 0
    value, threshold = statistic(found, limit)
    assert value < threshold
    transposed = methods.neumann_matrix(H @ np.linalg.inv(D), 0.4, 4) @ np.linalg.inv(D) @ (y0 - target)
    assert statistic(found, transposed)[0] > threshold  # the other reading of D's place is not what it estimates


# Variance-reduced directions -----------------------------------------------------------------------------------------


def test_same_sample_at_two_points(setting):
    """The difference of two evaluations of one realisation is unbiased, and its variance falls with the distance."""
    oracle, reference, x, y, x0, y0 = setting
    V = methods.neumann_matrix(reference.H, C, Q)
    deviations = {}
    for random_length in (False, True):
        sample = draw_sample(oracle, terms=Q, random_length=random_length)
        for distance in (1.0, 0.1):
            x1, y1 = x0 + distance, y0 - distance
            far = torch.from_numpy(x1).expand(ROWS, -1), torch.from_numpy(y1).expand(ROWS, -1)
            difference = neumann_at(oracle, *far, sample, terms=Q, step=C) - neumann_at(
                oracle, x, y, sample, terms=Q, step=C
            )
            limit = hypergradient(reference, x1, y1, V) - hypergradient(reference, x0, y0, V)
            value, threshold = statistic(difference, limit)
            assert value < threshold
            deviations[distance, random_length] = difference.std(0).norm().item()
    for random_length in (False, True):
        ratio = deviations[0.1, random_length] / deviations[1.0, random_length]
        assert ratio == pytest.approx(0.1, rel=1e-6)  # derivatives of a quadratic are affine: exactly proportional


@pytest.mark.one_in(3)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_saga_is_unbiased_for_any_table(size):
    """Over all blocks the estimates average to the full derivative, whatever the tables hold: no statistics needed."""
    problem, reference, x0, y0 = pair()
    ours = SABA(batch_size=size, upper_step=1.0, lower_step=1.0, auxiliary_step=1.0)
    x, y = torch.from_numpy(x0)[None], torch.from_numpy(y0)[None]
    oracle = oracle_for(problem, batch_size=size)
    kept = Kept.of(oracle, 1)
    generator = torch.Generator().manual_seed(0)
    moves = []
    for i in range(kept.lower.count):
        for j in range(kept.upper.count):
            state = ours.init(oracle, x, y)
            state["z"] = torch.linspace(-1, 1, 7, dtype=torch.float64)[None]
            generator.manual_seed(0)
            for name, tables in (("x table", kept.of_x), ("y table", kept.of_y)):
                state[name] = torch.randn(state[name].shape, generator=generator, dtype=torch.float64)
                tables.sum_up(state)
            new = picked(ours, oracle, state, i, j)
            moves.append([(x - new["x"])[0], (y - new["y"])[0], (state["z"] - new["z"])[0]])
    mean = [torch.stack(parts).mean(0).numpy() for parts in zip(*moves, strict=True)]
    z0 = np.linspace(-1, 1, 7)
    np.testing.assert_allclose(mean[0], reference.f.dx(x0, y0) - reference.J @ z0, atol=1e-12)
    np.testing.assert_allclose(mean[1], reference.g.dy(x0, y0), atol=1e-12)
    np.testing.assert_allclose(mean[2], reference.H @ z0 - reference.f.dy(x0, y0), atol=1e-12)


def picked(ours, oracle, state, i, j):
    """One step of SABA with blocks i and j, by handing it streams that pick them."""
    real = oracle.draw

    class Given:
        def __init__(self, value):
            self.value = value

        def integers(self, n):
            assert self.value < n
            return torch.tensor([[self.value]])

    values = {"lower block": i, "upper block": j}
    oracle.draw = lambda purpose, size=None: Given(values[purpose]) if purpose in values else real(purpose, size)
    try:
        return ours.step(oracle, state)
    finally:
        oracle.draw = real


# Variance and bias ---------------------------------------------------------------------------------------------------


def test_variance_against_batch_size():
    """g_y of a minibatch without replacement: σ²/b · (n − b)/(n − 1), to five standard errors of a variance estimate.

    These are √((κ − 1)/N) of the variance, κ the kurtosis; a mean of several points has none above that of one or of
    a normal variable. False alarm rate 2e−5 (28 variances at 6e−7); a variance off by a fifth is missed in fewer than
    1 of 1,000 cases.
    """
    problem, reference, x0, y0 = pair(n=16)
    rows = 8000
    x, y = (torch.from_numpy(start).expand(rows, -1) for start in (x0, y0))
    single = np.array([reference.g.dy(x0, y0, [i]) for i in range(16)])
    kurtosis = np.maximum(scipy_kurtosis(single, fisher=False), 3)
    errors = np.sqrt((kurtosis - 1) / rows)
    assert (5 + 3.1) * errors.max() < 0.21
    for size in (1, 2, 4, 8, 16):
        found = oracle_for(problem, range(rows), batch_size=size).grad_lower(x, y).var(0).numpy()
        expected = single.var(axis=0) / size * (16 - size) / 15
        assert (np.abs(found - expected) <= 5 * errors * expected + 1e-24).all()


def test_neumann_variance_falls_like_one_over_the_batch():
    """And the random length's does not: its own variance remains when the data's is gone.

    The ratio of the two variances has a standard error of 1.7%; it is 9% above that of 1/b, by the products of several
    samples' deviations, which fall faster. The 15% allowed leave 3.9 standard errors: false alarm rate 1e−4. A fall
    like b^(−1/2) or b^(−2) would be off by more than 50%.
    """
    problem, _, x0, y0 = pair(n=64, noise=0.1)
    rows = 4000
    x, y = (torch.from_numpy(start).expand(rows, -1) for start in (x0, y0))
    total = {}
    for random_length in (False, True):
        for size in (4, 16, 64):
            oracle = oracle_for(problem, range(rows), batch_size=size)
            total[random_length, size] = estimate(oracle, x, y, random_length=random_length).var(0).sum().item()
    assert total[False, 4] / total[False, 16] == pytest.approx(4 * (60 / 48), rel=0.15)
    assert total[False, 64] < 1e-20
    assert total[True, 64] > 0.01 * total[True, 4]
    assert all(total[True, size] > total[False, size] for size in (4, 16))


def test_bias_against_terms():
    """Full batch at y*(x): ‖ĥ − ∇φ‖ = ‖J(I − cH)^Q H⁻¹f_y‖, at least as fast as (1 − cμ)^Q."""
    problem, reference, x0, _ = pair()
    y0 = reference.lower_solution(x0)
    x, y = torch.from_numpy(x0)[None], torch.from_numpy(y0)[None]
    oracle = oracle_for(problem)
    v = np.linalg.solve(reference.H, reference.f.dy(x0, y0))
    rate = 1 - C * np.linalg.eigvalsh(reference.H)[0]
    biases = []
    for terms in (1, 2, 4, 8, 16, 32, 64):
        found = neumann_at(oracle, x, y, draw_sample(oracle, terms=terms), terms=terms, step=C)[0].numpy()
        bias = found - reference.hypergradient(x0)
        power = np.linalg.matrix_power(np.eye(7) - C * reference.H, terms)
        np.testing.assert_allclose(bias, reference.J @ power @ v, atol=1e-12)
        assert np.linalg.norm(bias) <= np.linalg.norm(reference.J, 2) * rate**terms * np.linalg.norm(v)
        biases.append(np.linalg.norm(bias))
    assert biases == sorted(biases, reverse=True)


def test_epochs_correlate_the_factors():
    """Without replacement the factors of one estimate are different data points: a limit of its own, O(1/n) away.

    Three lower samples (two factors, one Jacobian) of a fresh epoch of 12: all 1,320 ordered choices enumerated.
    """
    problem, reference, x0, y0 = pair()
    x, y = (torch.from_numpy(start).expand(ROWS, -1) for start in (x0, y0))
    oracle = oracle_for(problem, range(ROWS), batch_size=1)
    found = neumann_at(oracle, x, y, draw_sample(oracle, terms=3), terms=3, step=C)
    f_x, f_y = reference.f.dx(x0, y0), reference.f.dy(x0, y0)
    hessians, jacobians = reference.g.P, reference.g.S
    exact = []
    for i, j, k in permutations(range(12), 3):
        first = f_y - C * hessians[i] @ f_y
        exact.append(f_x - jacobians[k] @ (C * (f_y + first + first - C * hessians[j] @ first)))
    limit = np.mean(exact, axis=0)
    value, threshold = statistic(found, limit)
    assert value < threshold
    independent = hypergradient(reference, x0, y0, methods.neumann_matrix(reference.H, C, 3))
    gap = np.linalg.norm(limit - independent) / np.linalg.norm(independent)
    assert 1e-5 < gap < 0.05


# What a sum leaves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", ["fresh", "shared"])
def test_the_residual_against_matrices(samples):
    """‖(I − cH)^Q f_y‖/‖f_y‖ for one HVP more, and the estimate is the same to the bit."""
    problem, reference, x0, y0 = pair()
    x, y = torch.from_numpy(x0)[None], torch.from_numpy(y0)[None]
    f_y = reference.f.dy(x0, y0)
    for terms in (1, 2, 9):
        options = {"terms": terms, "step": C, "samples": samples}
        oracle = oracle_for(problem)
        found, residual = neumann_and_residual(oracle, x, classical(y), **options)
        assert torch.equal(found, neumann(oracle_for(problem), x, y, **options))
        assert oracle.counts()["hvp"].item() == terms
        left = np.linalg.matrix_power(np.eye(7) - C * reference.H, terms) @ f_y
        expected = np.linalg.norm(left) / np.linalg.norm(f_y)
        assert residual.item() == pytest.approx(expected, rel=1e-12)
        part, factor = remainder(oracle_for(problem), x, classical(y), terms, C)
        assert part.item() == pytest.approx(expected, rel=1e-12)
        shorter = np.linalg.matrix_power(np.eye(7) - C * reference.H, terms - 1) @ f_y
        assert factor.item() == pytest.approx(np.linalg.norm(left) / np.linalg.norm(shorter), rel=1e-12)


def small(curvature, **options):
    return Problem(lambda x, y: ((y - 1) ** 2).sum(-1), lambda x, y: curvature * ((y - x) ** 2).sum(-1) / 2,
                   batched=True, **options)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm",
    some(["unibio", "stocbio", "ttsa", "sustain", "mrbo", "vrbo"], lambda name: name == "unibio"),
)
def test_a_run_says_that_its_terms_are_far_too_few(algorithm):
    options = {"neumann_terms": 20, "neumann_step": 1.0, "steps": 1}
    with pytest.warns(UserWarning, match=r"neumann_terms = 20 leave 98% .* in 1 of 1 runs at the start") as caught:
        result = solve(small(1e-3), algorithm, [0.3], [0.3], **options)
    assert result.warnings == tuple(str(one.message) for one in caught)
    needed = int(re.search(r"about ([\d,]+) would leave 10%", result.warnings[0])[1].replace(",", ""))
    assert (1 - 1e-3) ** needed == pytest.approx(0.1, rel=0.01)
    assert solve(small(1e-3), algorithm, [0.3], [0.3], **options | {"neumann_terms": needed}).warnings == ()
    assert solve(small(1e-1), algorithm, [0.3], [0.3], **options).warnings == ()


def test_a_single_term_is_meant_and_a_minibatch_judges_nothing():
    assert solve(small(1e-3), "stocbio", [0.3], [0.3], steps=1, neumann_terms=1).warnings == ()
    assert solve(small(1e-3, diagnosed=5), "stocbio", [0.3], [0.3], steps=1, neumann_terms=5).warnings == ()
