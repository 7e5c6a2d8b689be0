"""What each local deviation of the released code does on the quadratic: bias of ĥ, effect on descent."""

import dataclasses

import numpy as np
import pytest
import torch

from references import methods
from second_order import iterates, oracle_for, pair
from unibio import solve
from unibio.algorithms import variants
from unibio.algorithms.saba import SABA
from unibio.algorithms.stocbio import StocBiO
from unibio.algorithms.sustain import SUSTAIN
from unibio.algorithms.ttsa import TTSA
from unibio.algorithms.unibio import UniBiO
from unibio.algorithms.vrbo import VRBO
from unibio.core.neumann import HypergradientSample, draw_sample, neumann_at
from unibio.registry import ALGORITHMS

Q, C = 3, 0.7
LAG = {"upper_step": 0.1, "neumann_terms": 1, "neumann_step": C, "momentum": 0.6}
LAG |= {"upper_decay": 0.0, "lower_decay": 0.0, "momentum_decay": 0.0}


@pytest.fixture(scope="module")
def at_solution():
    """(problem, reference, x, y) with y = y*(x), where a bias is the estimator's own."""
    problem, reference, x0, _ = pair()
    return problem, reference, x0, reference.lower_solution(x0)


def row(vector, rows=1):
    return torch.from_numpy(vector).expand(rows, -1)


def bias(at_solution, estimate):
    _, reference, x, _ = at_solution
    return estimate.numpy().mean(axis=0) - reference.hypergradient(x)


def solve_h(reference, x, y):
    return np.linalg.solve(reference.H, reference.f.dy(x, y))


def test_headless_sum(at_solution):
    """Its limit is off by c J f_y; and with the released c = 0.01, Q = 3 both sums see about 3 % of H⁻¹f_y."""
    problem, reference, x, y = at_solution
    oracle = oracle_for(problem)
    sample = draw_sample(oracle, terms=300)
    limit = variants.headless_neumann_at(oracle, row(x), row(y), sample, terms=300, step=C)
    expected = C * reference.J @ reference.f.dy(x, y)
    np.testing.assert_allclose(bias(at_solution, limit), expected, atol=1e-10)
    assert np.linalg.norm(expected) > 0.1 * np.linalg.norm(reference.hypergradient(x))
    few = draw_sample(oracle, terms=Q)
    headless = variants.headless_neumann_at(oracle, row(x), row(y), few, terms=Q, step=C)
    series = methods.neumann_matrix(reference.H, C, Q) @ (np.eye(7) - C * reference.H)
    np.testing.assert_allclose(headless[0], methods.hyper(reference, x, y, series), atol=1e-12)
    v = methods.neumann_matrix(np.eye(7), 0.01, 3)
    assert v[0, 0] == pytest.approx(0.03, abs=0.001)


def test_headless_sum_costs_one_product_more(at_solution):
    problem, _, x, y = at_solution
    for terms in (1, 3):
        oracle = oracle_for(problem)
        sample = draw_sample(oracle, terms=terms)
        variants.headless_neumann_at(oracle, row(x), row(y), sample, terms=terms, step=C)
        assert oracle.counts()["hvp"].item() == terms


def test_bare_product(at_solution):
    """Over all lengths: a Q-th of the sum without its first term."""
    problem, reference, x, y = at_solution
    oracle = oracle_for(problem, range(Q))
    full = oracle.sample_lower()
    sample = HypergradientSample(oracle.sample_upper(), (full,) * (Q - 1), full, torch.arange(Q)[:, None])
    found = variants.bare_product_at(oracle, row(x, Q), row(y, Q), sample, terms=Q, step=C).mean(0)
    series = methods.neumann_matrix(reference.H, C, Q) @ (np.eye(7) - C * reference.H) / Q
    np.testing.assert_allclose(found, methods.hyper(reference, x, y, series), atol=1e-12)
    assert oracle.counts()["hvp"].tolist() == [1, 2, 3]
    published = neumann_at(oracle, row(x, Q), row(y, Q), sample, terms=Q, step=C)
    sizes = [np.linalg.norm(bias(at_solution, estimate)) for estimate in (published, found[None])]
    assert sizes[1] > 1.3 * sizes[0]


@pytest.mark.parametrize(("variant", "published"), [(variants.HeadlessStocBiO, StocBiO), (variants.BareTTSA, TTSA)])
def test_biased_estimators_move_the_floor(variant, published):
    """Full batch, they stop elsewhere (TTSA in the mean over its random lengths): well above the floor."""
    problem, reference, x0, y0 = pair()
    settings = {"upper_step": 0.05, "lower_step": 0.6, "neumann_step": C, "neumann_terms": 6}
    settings |= {"upper_decay": 0.0, "lower_decay": 0.0}
    ends = {}
    for method in (variant, published):
        result = solve(problem, method(**settings), x0, y0, steps=500, seed=range(300), log_points=2)
        ends[method] = np.linalg.norm(reference.hypergradient(result.x.mean(0).numpy()))
    assert ends[variant] > 1.3 * ends[published]


@pytest.mark.slow
def test_opposite_sign():
    """At the exact z the direction is off by 2 J H⁻¹ f_y, and here it does not even descend: SABA converges, this not.

    Along f_x + J H⁻¹f_y the iteration is affine in x, and its matrix has a negative eigenvalue: a saddle.
    """
    problem, reference, x0, y0 = pair()
    settings = {"upper_step": 0.05, "lower_step": 0.6, "auxiliary_step": 0.6}
    y, moves = reference.lower_solution(x0), {}
    for method in (variants.OppositeSABA, SABA):
        ours = method(**settings)
        oracle = oracle_for(problem)
        state = ours.init(oracle, row(x0), row(y)) | {"z": row(solve_h(reference, x0, y))}
        moves[method] = (x0 - ours.step(oracle, state)["x"][0].numpy()) / 0.05
    np.testing.assert_allclose(moves[SABA], reference.hypergradient(x0), atol=1e-11)
    offset = moves[variants.OppositeSABA] - moves[SABA]
    np.testing.assert_allclose(offset, 2 * reference.J @ solve_h(reference, x0, y), atol=1e-11)
    ends = {}
    for method in (variants.OppositeSABA, SABA):
        result = solve(problem, method(**settings), x0, y0, steps=1500, log_points=2)
        ends[method] = np.linalg.norm(reference.hypergradient(result.x.numpy()))
    assert ends[SABA] < 1e-8
    assert ends[variants.OppositeSABA] > 10 * np.linalg.norm(reference.hypergradient(x0))


@pytest.mark.slow
def test_history_instead_of_tables():
    """Minibatches, constant steps: SABA converges, the history stalls at the noise; full batch it is only late."""
    problem, _, x0, y0 = pair(n=8)
    settings = {"upper_step": 0.05, "lower_step": 0.4, "auxiliary_step": 0.4}
    ends = {}
    for method in (variants.HistorySABA, SABA):
        for batch in (2, None):
            ours = method(**settings, batch_size=batch)
            result = solve(problem, ours, x0, y0, steps=2500, log_points=2)
            ends[method, batch] = result.history["hypergradient_norm"].iloc[-1]
    assert ends[SABA, 2] < 1e-6
    assert ends[variants.HistorySABA, 2] > 1e-3
    assert ends[SABA, None] < 1e-9
    assert ends[variants.HistorySABA, None] < 1e-3 * ends[variants.HistorySABA, 2]


def test_lag_of_two():
    """Full batch SUSTAIN's directions are the gradients themselves; with the lag they are not. Both end alike."""
    problem, reference, x0, y0 = pair()
    V = methods.neumann_matrix(reference.H, C, 1)
    error, ends = {}, {}
    for method in (variants.LaggingSUSTAIN, SUSTAIN):
        ours = method(**LAG, lower_step=0.3)
        _, state, _ = iterates(problem, ours, x0, y0, 6)
        x_old, y_old = state["x_old"][0].numpy(), state["y_old"][0].numpy()
        gradient = methods.hyper(reference, x_old, y_old, V)
        error[method] = np.linalg.norm(state["v"][0].numpy() - gradient) / np.linalg.norm(gradient)
        path, _, _ = iterates(problem, ours, x0, y0, 1500)
        ends[method] = path[-1][0]
    assert error[SUSTAIN] < 1e-12
    assert error[variants.LaggingSUSTAIN] > 0.02
    np.testing.assert_allclose(ends[variants.LaggingSUSTAIN], ends[SUSTAIN], atol=1e-6)


def test_lag_shrinks_the_stable_steps():
    """An alternating gradient comes back (1 + β)/(1 − β) times as large; ρλ < 2(1 − β)/(1 + β) is stable, not 2."""
    problem, _, x0, y0 = pair()
    edge = 2 * (1 - 0.6) / (1 + 0.6)  # λ_max = 1
    ends = {}
    for method in (variants.LaggingSUSTAIN, SUSTAIN):
        for factor in (0.8, 1.25):
            path, _, _ = iterates(problem, method(**LAG, lower_step=factor * edge), x0, y0, 600)
            ends[method, factor] = np.linalg.norm(path[-1][1])
    assert max(ends[SUSTAIN, 0.8], ends[SUSTAIN, 1.25], ends[variants.LaggingSUSTAIN, 0.8]) < 100
    assert ends[variants.LaggingSUSTAIN, 1.25] > 1e6


def test_lag_follows_its_own_recursion():
    """u_k = g_k + (1 − a)(u_{k−2} − g_{k−1}), written out by hand on the full batch."""
    problem, reference, x0, y0 = pair()
    path, _, _ = iterates(problem, variants.LaggingSUSTAIN(**LAG, lower_step=0.3), x0, y0, 30)
    V = methods.neumann_matrix(reference.H, C, 1)
    x, y = x0, y0
    history = []
    for k in range(30):
        now = np.concatenate([methods.hyper(reference, x, y, V), reference.g.dy(x, y)])
        d = now if k == 0 else now + 0.6 * (history[max(k - 2, 0)][0] - history[k - 1][1])
        history.append((d, now))
        x, y = x - 0.1 * d[:4], y - 0.3 * d[4:]
        np.testing.assert_allclose(path[k + 1][0], x, atol=1e-12)


@pytest.mark.slow
def test_two_lengths_lose_the_variance_reduction():
    """Near a fixed point the common length leaves a small variance across seeds, two lengths a large one."""
    problem, _, x0, y0 = pair()
    settings = {"upper_step": 0.02, "lower_step": 0.5, "neumann_terms": 4, "neumann_step": C, "momentum": 0.9}
    settings |= {"upper_decay": 0.0, "lower_decay": 0.0, "momentum_decay": 0.0}
    spread = {}
    for method in (variants.TwoLengthsSUSTAIN, SUSTAIN):
        result = solve(problem, method(**settings), x0, y0, steps=500, seed=range(300), log_points=2)
        spread[method] = result.x.std(0).norm().item()
    assert spread[variants.TwoLengthsSUSTAIN] > 2 * spread[SUSTAIN]


@pytest.mark.slow
def test_stale_first_correction():
    """At an upper step where VRBO with q = 5 reaches its floor, the stale variant diverges."""
    problem, reference, x0, y0 = pair()
    settings = {"upper_step": 0.4, "lower_step": 0.6, "neumann_terms": 30, "neumann_step": C, "period": 5}
    settings |= {"lower_iterations": 10}
    results = {m: solve(problem, m(**settings), x0, y0, steps=120, log_points=2) for m in (variants.StaleVRBO, VRBO)}
    assert results[VRBO].status == "completed"
    x, V = results[VRBO].x.numpy(), methods.neumann_matrix(reference.H, C, 30)
    assert np.linalg.norm(methods.hyper(reference, x, reference.lower_solution(x), V)) < 1e-6  # its own floor
    assert results[variants.StaleVRBO].status == "diverged"


def test_accumulated_lower_gradients():
    """e ← e − ρλ Σ e: three steps at ρ = 1/λ return −e, where plain steps are exact after one."""
    problem, reference, x0, _ = pair()
    values, vectors = np.linalg.eigh(reference.H)
    start = reference.lower_solution(x0) + vectors[:, -1]
    for method, factor in ((variants.AccumulatingStocBiO, -1.0), (StocBiO, 0.0)):
        ours = method(lower_step=1 / values[-1], lower_iterations=3, neumann_terms=1, upper_step=0.1)
        _, state, _ = iterates(problem, ours, x0, start, 1)
        error = state["y"][0].numpy() - reference.lower_solution(x0)
        np.testing.assert_allclose(error, factor * vectors[:, -1], atol=1e-12)


def test_transposed_preconditioner():
    """Declared p = 4, so that D is not constant: the limit is D H⁻¹ D⁻¹ f_y instead of H⁻¹f_y; none for p = 2."""
    problem, reference, x, _ = pair(kappa=2.0)
    y = np.array([0.5, -1.2, 0.8, 1.4, -0.6, -1.0, 0.4])
    four = dataclasses.replace(problem, exponent=4)
    D, f_y = np.diag(3 * y**2), reference.f.dy(x, y)
    options = {"terms": 1500, "step": 0.4, "floor": 1e-3, "samples": "shared"}
    estimate = variants.transposed_neumann(oracle_for(four), row(x), row(y), **options)[0].numpy()
    wrong = reference.f.dx(x, y) - reference.J @ D @ np.linalg.solve(reference.H, np.linalg.inv(D) @ f_y)
    right = methods.hyper(reference, x, y, np.linalg.inv(reference.H))
    np.testing.assert_allclose(estimate, wrong, atol=1e-8)
    assert np.linalg.norm(wrong - right) > 0.1 * np.linalg.norm(right)
    two = variants.transposed_neumann(oracle_for(problem), row(x), row(y), **options)[0].numpy()
    np.testing.assert_allclose(two, right, atol=1e-8)


@pytest.mark.slow
def test_transposed_unibio_circles_another_point():
    """With enough terms UniBiO ends within its step of ∇φ = 0 on the problem declared p = 4, the variant does not."""
    problem, reference, _, y0 = pair(kappa=2.0)
    four = dataclasses.replace(problem, exponent=4)
    x0 = problem.closed_form.minimiser.numpy() + 0.1
    settings = {"upper_step": 0.005, "lower_step": 1.0, "inner_budget": 40, "neumann_terms": 400, "floor": 0.3}
    settings |= {"neumann_step": 0.45, "neumann_samples": "shared", "momentum": 0.8, "warm_budget": 200}
    tails = {}
    for method in (variants.TransposedUniBiO, UniBiO):
        path, _, _ = iterates(four, method(**settings), x0, y0, 120)
        tails[method] = np.median([np.linalg.norm(reference.hypergradient(x)) for x, _ in path[-50:]])
    assert tails[UniBiO] < 0.1
    assert tails[variants.TransposedUniBiO] > 5 * tails[UniBiO]


def test_names_are_no_registered_ones():
    """A deviation cannot be run by accident; and the table of pairs is complete and consistent."""
    for variant, published in variants.VARIANTS.items():
        assert variant.name not in ALGORITHMS
        assert published.name in ALGORITHMS
    defined = {c for c in vars(variants).values() if isinstance(c, type) and c.__module__ == variants.__name__}
    assert set(variants.VARIANTS) == {c for c in defined if getattr(c, "name", None)}
