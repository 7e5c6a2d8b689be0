"""Hypergradient estimators against finite differences of φ, explicit matrices, and each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from support import Known, oracle_of, regular_problem, tensor, vanishing_problem
from unibio import Draw, Example3, InputError, Problem, hypergradient
from unibio.core import hypergradients as estimators
from unibio.core.powers import abs_power, scale, signed_power
from unibio.core.spectrum import largest_eigenvalue, unstable_step
from unibio.core.streams import Streams

#: What is said of estimates has tests of its own; here truncated sums and points off y*(x) are meant.
pytestmark = pytest.mark.filterwarnings("ignore:neumann_terms", "ignore:y is far")

EXPONENTS = [2, 3, 4, 6]
#: Options under which the estimators converge on the problems of support.py (eigenvalues of D⁻¹∇²_yy g below 8).
CONVERGED = {
    "exact": {},
    "cg": {},
    "pcg": {},
    "generalised_neumann": {"neumann_terms": 250, "neumann_step": 0.25},
}


def dense(known: Known, y: np.ndarray) -> dict[str, np.ndarray]:
    """f_x, f_y, ∇²_yy g, ∇²_xy g (d_x × d_y) and D at (x, y), by autograd on one row, without the oracle."""
    problem, x, y = known.problem, tensor(known.x), tensor(y)

    def f(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return problem.upper(x[None], y[None], None)[0]

    def g(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return problem.lower(x[None], y[None], None)[0]

    f_x, f_y = torch.autograd.functional.jacobian(f, (x, y))
    (_, g_xy), (_, g_yy) = torch.autograd.functional.hessian(g, (x, y))
    p = problem.exponent
    d = (p - 1) * np.abs(y.numpy()) ** (p - 2)
    return {"f_x": f_x.numpy(), "f_y": f_y.numpy(), "H": g_yy.numpy(), "J": g_xy.numpy(), "D": d}


# The truth: finite differences of x ↦ f(x, y*(x)) -----------------------------------------------------------------


@cache
def shared(
    make: Callable[..., Known], p: float, seed: int, zeros: tuple[int, ...] = (), h: float = 1e-3
) -> tuple[Known, np.ndarray]:
    """A problem and ∇φ(x) by finite differences, the same for all estimators; not to be written into."""
    known = make(p, seed, zeros=zeros)
    return known, known.gradient(h)


@pytest.mark.one_in(33)
@pytest.mark.parametrize("estimator", CONVERGED)
@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("make", [regular_problem, vanishing_problem])
def test_finite_differences(make, p, estimator):
    for seed in (0, 1):
        known, gradient = shared(make, p, seed)
        parts = dense(known, known.y)
        off_diagonal = parts["H"] - np.diag(np.diag(parts["H"]))
        assert np.abs(off_diagonal).max() > 0.02 * np.abs(parts["H"]).max()  # the test is about coupled coordinates
        estimate = hypergradient(known.problem, known.x, known.y, estimator=estimator, **CONVERGED[estimator])
        np.testing.assert_allclose(estimate, gradient, rtol=0, atol=1e-9)


@pytest.mark.one_in(32)
@pytest.mark.parametrize("estimator", CONVERGED)
@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("zeros", [(1,), (0, 2)])
@pytest.mark.parametrize(
    # a regular Hessian's solution does not depend on the floor, so the sum gets one that lets it converge
    ("make", "floor"),
    [(regular_problem, 0.7), (vanishing_problem, 1e-8)],
)
def test_finite_differences_with_exact_zeros(make, floor, zeros, p, estimator):
    known, gradient = shared(make, p, 1, zeros, 1e-6)
    assert (known.y[list(zeros)] == 0).all()
    floors = [floor] if estimator == "generalised_neumann" or make is vanishing_problem else [floor, 1e-3, 1e-6]
    for floor in floors:
        estimate = hypergradient(
            known.problem, known.x, known.y, estimator=estimator, floor=floor, **CONVERGED[estimator]
        )
        # p = 3: |y_i| in the Hessian makes φ' only Lipschitz at a zero, and the difference first-order accurate
        tolerance = 3e-5 if make is regular_problem and p == 3 else 1e-6
        np.testing.assert_allclose(estimate, gradient, rtol=0, atol=tolerance)


def test_finite_differences_of_classical_neumann():
    for make in (regular_problem, vanishing_problem):
        known = make(2, 0)
        estimate = hypergradient(
            known.problem, known.x, known.y, estimator="neumann", neumann_terms=250, neumann_step=0.25
        )
        np.testing.assert_allclose(estimate, known.gradient(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("p", [4, 6])
def test_the_transposed_reading_is_wrong(p):
    """Regression test for the reading of Theorem 4.1.

    d∇_y g/d[y]^{p−1} = ∇²_yy g · D⁻¹, and it is tempting to invert just that: ∇²_yy g · D⁻¹ · u = D⁻¹ f_y. The chain
    rule gives (∇²_yy g · D⁻¹)ᵀ = D⁻¹ ∇²_yy g instead. Both agree where the matrices commute, hence on every diagonal
    problem such as Example 3; on a coupled one finite differences tell them apart.
    """
    errors = []
    for seed in range(6):
        known = regular_problem(p, seed)
        m = dense(known, known.y)
        right = m["f_x"] - m["J"] @ np.linalg.solve(np.diag(1 / m["D"]) @ m["H"], m["f_y"] / m["D"])
        transposed = m["f_x"] - m["J"] @ np.linalg.solve(m["H"] @ np.diag(1 / m["D"]), m["f_y"] / m["D"])
        truth = known.gradient()
        np.testing.assert_allclose(right, truth, rtol=0, atol=1e-9)
        errors.append(np.abs(transposed - truth).max())
    assert min(errors) > 1e-3  # a million times what the right reading is allowed
    assert max(errors) > 0.05
    H = np.diag(np.diag(m["H"]))
    np.testing.assert_allclose(
        np.linalg.solve(H @ np.diag(1 / m["D"]), m["f_y"] / m["D"]),
        np.linalg.solve(np.diag(1 / m["D"]) @ H, m["f_y"] / m["D"]),
    )


@pytest.mark.slow
def test_exponent_two_is_the_classical_formula():
    """At any (x, y), not only at y*, and whatever is declared about the Hessian or the floor."""
    known = regular_problem(2, 3)
    for y in (np.zeros(4), np.array([0.3, 0.0, -1.0, 2.0])):
        m = dense(known, y)
        classical = m["f_x"] - m["J"] @ np.linalg.solve(m["H"], m["f_y"])
        for vanishing in (False, True):
            problem = replace(known.problem, vanishing_hessian=vanishing)
            for estimator, options in CONVERGED.items():
                estimate = hypergradient(problem, known.x, y, estimator=estimator, floor=0.5, **options)
                np.testing.assert_allclose(estimate, classical, rtol=0, atol=1e-10)
        for terms in (1, 2, 5):
            pair = [
                hypergradient(known.problem, known.x, y, estimator=name, neumann_terms=terms, neumann_step=0.2)
                for name in ("neumann", "generalised_neumann")
            ]
            assert torch.equal(*pair)


# Near y = 0 ---------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(7)
@pytest.mark.parametrize("p", [2, 4, 6, 8])
@pytest.mark.parametrize("y", [0.0, -0.0, 1e-300, -1e-5, 1e-5])
def test_example3_at_its_singular_point(p, y):
    """x = 0: y* = 0 and ∇φ = cos 0 · cos(sin 0) = 1. One term suffices because D⁻¹∇²_yy g = 1."""
    for estimator, options in {**CONVERGED, "generalised_neumann": {"neumann_terms": 3, "neumann_step": 1.0}}.items():
        estimate = hypergradient(Example3(exponent=p), 0.0, y, estimator=estimator, **options)
        assert abs(float(estimate) - 1) < 1e-5


@pytest.mark.parametrize("p", [4, 6, 8])
def test_flooring_the_preconditioner_alone_gives_a_false_stationary_point(p):
    """Why there are two treatments: declared regular, only D is floored; at y = 0, f_y = 0 gives ĥ = 0 for ∇φ = 1."""
    problem = replace(Example3(exponent=p).build(), vanishing_hessian=False)
    with pytest.warns(UserWarning, match="vanishing_hessian=True?"):
        assert float(hypergradient(problem, 0.0, 0.0, neumann_terms=3)) == 0.0
    with pytest.raises(torch.linalg.LinAlgError, match="vanishing_hessian=True"):
        hypergradient(problem, 0.0, 0.0, estimator="exact")


def slope(deltas: list[float], errors: list[float]) -> float:
    return float(np.polyfit(np.log(deltas), np.log(errors), 1)[0])


@pytest.mark.one_in(3)
@pytest.mark.parametrize("p", [3, 4, 6])
def test_bias_of_the_floor_is_linear(p):
    """g = |y|^p/p − y sin x and df/d[y]^{p−1} = 1 + y: at x = 0 the moved point δ gives 1 + δ for the true 1."""

    def lower(x, y):
        return (abs_power(y, p) / p - y * torch.sin(x)).sum(-1)

    def upper(x, y):
        return (signed_power(y, p - 1) + (p - 1) / p * abs_power(y, p)).sum(-1)

    problem = Problem(upper=upper, lower=lower, exponent=p, vanishing_hessian=True, batched=True)
    deltas = [0.1, 0.03, 0.01, 1e-3, 1e-4]
    for estimator, options in {**CONVERGED, "generalised_neumann": {"neumann_terms": 3, "neumann_step": 1.0}}.items():
        errors = [
            abs(float(hypergradient(problem, 0.0, 0.0, estimator=estimator, floor=d, **options)) - 1) for d in deltas
        ]
        np.testing.assert_allclose(errors, deltas, rtol=1e-6)


@pytest.mark.parametrize("p", [3, 4, 6])
def test_bias_of_the_floor_on_a_coupled_problem(p):
    known = vanishing_problem(p, 0, zeros=(1,))
    truth = hypergradient(known.problem, known.x, known.y, estimator="exact", floor=1e-9).numpy()
    deltas = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4]
    errors = [
        np.linalg.norm(hypergradient(known.problem, known.x, known.y, estimator="exact", floor=d).numpy() - truth)
        for d in deltas
    ]
    assert 0.9 < slope(deltas, errors) < 1.1


@pytest.mark.parametrize("make", [regular_problem, vanishing_problem])
def test_bias_of_an_inexact_lower_solution_is_linear(make):
    """Lemma B.4."""
    known = make(4, 2)
    direction = np.random.default_rng(0).normal(size=4)
    distances = [1e-2, 1e-3, 1e-4, 1e-5]
    errors = [
        np.linalg.norm(
            hypergradient(known.problem, known.x, known.y + d * direction, estimator="exact").numpy() - known.gradient()
        )
        for d in distances
    ]
    assert 0.9 < slope(distances, errors) < 1.1


def test_precondition_moves_the_point_or_floors_the_scale():
    y = tensor([[0.0, -0.0, -1e-9, 0.5, -2.0]])
    x = torch.zeros_like(y)
    moved = tensor([[0.1, 0.1, -0.1, 0.5, -2.0]])  # sign(0) = 1
    for vanishing in (True, False):
        problem = Problem(lambda x, y: y.sum(-1), lambda x, y: y.sum(-1), 4, vanishing_hessian=vanishing, batched=True)
        at = estimators.precondition(oracle_of(problem, x, y), y, 0.1)
        assert torch.equal(at.y, moved if vanishing else y)
        assert torch.allclose(at.scale, 3 * moved**2)
        assert torch.equal(scale(moved, 4), at.scale)


# The truncated sum --------------------------------------------------------------------------------------------------


def noisy_problem(p: float, vanishing: bool, d_x: int = 2, d_y: int = 3) -> tuple[Problem, dict[str, np.ndarray]]:
    """A problem whose lower samples change ∇²_yy G and ∇²_xy G, and whose upper samples change f_y."""
    rng = np.random.default_rng(5)
    S = np.eye(d_y) + 0.2 * np.ones((d_y, d_y))
    B, c = rng.normal(size=(d_x, d_y)), rng.normal(size=d_y)
    tS, tB, tc = map(tensor, (S, B, c))

    def lower(x, y, sample):
        W, N = sample["matrix"], sample["cross"]
        quadratic = 0.5 * torch.einsum("ri,rij,rj->r", y, tS + 0.1 * (W + W.transpose(1, 2)), y)
        return abs_power(y, p).sum(-1) / p + quadratic + torch.einsum("ri,rij,rj->r", x, tB + 0.1 * N, y)

    def upper(x, y, sample):
        return torch.cos(y - tc - sample[0]).sum(-1) + (sample[1] * x).sum(-1)

    def sample_lower(draw: Draw):
        numbers = draw.normal(d_y * d_y + d_x * d_y)
        matrix, cross = numbers[:, : d_y * d_y], numbers[:, d_y * d_y :]
        return {"matrix": matrix.reshape(-1, d_y, d_y), "cross": cross.reshape(-1, d_x, d_y)}

    def sample_upper(draw: Draw):
        numbers = draw.normal(d_y + d_x)
        return numbers[:, :d_y], numbers[:, d_y:]

    problem = Problem(upper, lower, p, sample_upper, sample_lower, vanishing_hessian=vanishing, batched=True)
    return problem, {"S": S, "B": B, "c": c}


def explicit_estimate(constants, p, x, y, Q, c, numbers, xi, preconditioned, shared, vanishing, floor):
    """ĥ by forming every factor I − c·D⁻¹H_j and multiplying matrices, j = q leftmost."""
    d_y = len(y)
    moved = np.where(y < 0, -1, 1) * np.maximum(np.abs(y), floor)
    at = moved if vanishing and p > 2 and preconditioned else y
    D = (p - 1) * np.abs(moved) ** (p - 2) if preconditioned else np.ones(d_y)
    f_y = -np.sin(at - constants["c"] - xi[:d_y]) / D
    matrices = []
    for z in numbers:
        W = z[: d_y * d_y].reshape(d_y, d_y)
        matrices.append(
            ((p - 1) * np.diag(np.abs(at) ** (p - 2)) + constants["S"] + 0.1 * (W + W.T)) / D[:, None]
        )  # fmt: skip
    v, product = np.zeros(d_y), np.eye(d_y)
    for q in range(Q):
        if q > 0:
            product = (np.eye(d_y) - c * matrices[0 if shared else q - 1]) @ product
        v += c * product @ f_y
    used = 0 if Q == 1 else 1 if shared else Q - 1
    cross = constants["B"] + 0.1 * numbers[used][d_y * d_y :].reshape(len(x), d_y)
    return xi[d_y:] - cross @ v


@pytest.mark.one_in(4)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("p", "vanishing"), [(2, False), (3, False), (4, False), (4, True)])
@pytest.mark.parametrize("preconditioned", [True, False])
def test_truncated_sum_against_matrices(p, vanishing, preconditioned, shared):
    problem, constants = noisy_problem(p, vanishing)
    x = np.array([[0.7, -0.2], [1.5, 0.4]])
    y = np.array([[0.8, -0.05, 1.2], [0.0, 0.9, -0.7]])
    floor, seeds = 0.3, [4, 11]
    streams = Streams(seeds)
    lower = [Draw(streams, "lower", i).normal(15).numpy() for i in range(8)]
    upper = Draw(streams, "upper", 0).normal(5).numpy()
    for Q in (1, 2, 3, 6):
        for c in (0.05, 0.3, tensor([[0.1], [0.25]])):
            oracle = oracle_of(problem, tensor(x), tensor(y), seeds)
            options = {"terms": Q, "step": c, "samples": "shared" if shared else "fresh"}
            if preconditioned:
                ours = estimators.generalised_neumann(oracle, tensor(x), tensor(y), floor=floor, **options)
            else:
                ours = estimators.neumann(oracle, tensor(x), tensor(y), **options)
            for row in range(2):
                step = float(c[row, 0]) if isinstance(c, torch.Tensor) else c
                numbers = [z[row] for z in lower]
                expected = explicit_estimate(
                    constants, p, x[row], y[row], Q, step, numbers, upper[row], preconditioned, shared, vanishing, floor
                )
                np.testing.assert_allclose(ours[row], expected, rtol=1e-12, atol=1e-12)
            counts = {kind: count.tolist() for kind, count in oracle.counts().items()}
            assert counts == {
                "grad_upper": [1, 1],
                "grad_lower": [0, 0],
                "grad_lower_x": [0, 0],
                "hvp": [Q - 1, Q - 1],
                "jvp": [1, 1],
                "value_calls": [0, 0],
                "lower_samples": [0, 0],
                "samples": [Q + 1, Q + 1],
            }


@pytest.mark.one_in(6)
@pytest.mark.filterwarnings("ignore:neumann_step")
@pytest.mark.parametrize("estimator", ["exact", "cg", "pcg", "generalised_neumann", "neumann"])
def test_rows_do_not_see_each_other(estimator):
    """Rows of very different size, so that one row's stopping criterion cannot stand in for another's."""
    for p, vanishing in ((3, False), (4, True)):
        problem, _ = noisy_problem(p, vanishing)
        rng = np.random.default_rng(2)
        x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 3)) * np.array([[1e-2], [0.1], [1], [2], [4]])
        options = {"neumann_terms": 4, "neumann_step": 1e-3} if "neumann" in estimator else {}
        together = hypergradient(problem, x, y, estimator=estimator, **options)
        alone = torch.stack([hypergradient(problem, x[i], y[i], estimator=estimator, **options) for i in range(5)])
        np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


# Conjugate gradient and the exact solve -------------------------------------------------------------------------------


def quadratic(H: np.ndarray, f_y: np.ndarray) -> Problem:
    """g = ½yᵀHy − xᵀy, f = f_yᵀy, so that ĥ = H⁻¹f_y."""
    tH, tf = tensor(H), tensor(f_y)
    return Problem(lambda x, y: y @ tf, lambda x, y: 0.5 * ((y @ tH) * y).sum(-1) - (x * y).sum(-1), batched=True)


def test_conjugate_gradient_counts_and_finite_termination():
    """d distinct eigenvalues need d HVPs; k distinct ones need k."""
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    for eigenvalues, needed in (([1, 2, 3, 4, 5, 6], 6), ([1, 1, 1, 4, 4, 4], 2), ([2, 2, 2, 2, 2, 2], 1)):
        H = Q @ np.diag(np.array(eigenvalues, dtype=float)) @ Q.T
        f_y = np.random.default_rng(1).normal(size=6)
        problem, x = quadratic(H, f_y), torch.zeros(1, 6, dtype=torch.float64)
        oracle = oracle_of(problem, x, x)
        estimate = estimators.conjugate_gradient(oracle, x, x)
        np.testing.assert_allclose(estimate[0], np.linalg.solve(H, f_y), rtol=1e-9)
        assert int(oracle.counts()["hvp"]) == needed
        limits = {"max_iterations": needed - 1}
        kept = estimators.conjugate_gradient(oracle_of(problem, x, x), x, x, unsolved="keep", **limits)
        assert np.linalg.norm(kept[0].numpy() - np.linalg.solve(H, f_y)) > 1e-4
        with pytest.warns(UserWarning, match="rows not solved are NaN: the limit of iterations came first"):
            assert estimators.conjugate_gradient(oracle_of(problem, x, x), x, x, **limits).isnan().all()


def test_conjugate_gradient_zero_right_hand_side():
    problem, x = quadratic(np.eye(3), np.zeros(3)), torch.zeros(1, 3, dtype=torch.float64)
    oracle = oracle_of(problem, x, x)
    assert torch.equal(estimators.conjugate_gradient(oracle, x, x), x)
    assert int(oracle.counts()["hvp"]) == 0


def test_conjugate_gradient_stops_for_good_at_negative_curvature():
    """The first direction f_y = (1, 1) has curvature −1: v = 0 stays, and no later direction revives the row.

    That is no solution, and is not given out as one unless asked for.
    """
    x = torch.zeros(2, 2, dtype=torch.float64)
    problem = quadratic(np.diag([-3.0, 2.0]), np.ones(2))
    oracle = oracle_of(problem, x, x)
    assert torch.equal(estimators.conjugate_gradient(oracle, x, x, unsolved="keep"), x)
    assert oracle.counts()["hvp"].tolist() == [1, 1]
    with pytest.warns(UserWarning, match="rows not solved are NaN: .*negative eigenvalue"):
        assert estimators.conjugate_gradient(oracle, x, x).isnan().all()


def test_conjugate_gradient_says_nothing_of_rows_that_have_ended():
    """A user's algorithm goes on with a batch whose first row has diverged: its numbers are nobody's."""
    x = torch.zeros(2, 2, dtype=torch.float64)
    y = torch.tensor([[torch.nan, torch.nan], [0.0, 0.0]], dtype=torch.float64)
    problem = Problem(
        lambda x, y: ((y - 1) ** 2).sum(-1), lambda x, y: (y**2).sum(-1) / 2 - (x * y).sum(-1), batched=True
    )
    oracle = oracle_of(problem, x, torch.zeros_like(y))
    with pytest.warns(UserWarning, match="rows not solved are NaN"):
        estimators.conjugate_gradient(oracle, x, y)
    oracle.freeze(torch.tensor([True, False]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = estimators.conjugate_gradient(oracle, x, y)
    assert estimate[0].isnan().all()
    assert torch.equal(estimate[1], torch.full((2,), -2.0, dtype=torch.float64))
    oracle.freeze(torch.tensor([False, True]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimators.conjugate_gradient(oracle, x, y)


def test_dense_hessian_is_the_hessian():
    known = regular_problem(3, 4)
    y = np.random.default_rng(0).normal(size=4)
    oracle = oracle_of(known.problem, tensor(known.x[None]), tensor(y[None]))
    H = estimators.dense_hessian(oracle, tensor(known.x[None]), tensor(y[None]))[0].numpy()
    np.testing.assert_allclose(H, dense(known, y)["H"], rtol=1e-12)
    assert int(oracle.counts()["hvp"]) == 4


# Steps beyond 2/λ_max ---------------------------------------------------------------------------------------------


@pytest.mark.one_in(6)
@pytest.mark.parametrize("estimator", ["generalised_neumann", "neumann"])
@pytest.mark.parametrize("p", [2, 3, 6])
def test_a_step_beyond_the_limit_is_said(p, estimator):
    known = regular_problem(p, 0)
    m = dense(known, known.y)
    D = m["D"] if estimator == "generalised_neumann" else np.ones(4)
    largest = float(np.linalg.eigvals(m["H"] / D[:, None]).real.max())
    truth = known.gradient()

    def error(step: float, terms: int) -> float:
        estimate = hypergradient(
            known.problem, known.x, known.y, estimator=estimator, neumann_terms=terms, neumann_step=step
        )
        return float(np.linalg.norm(estimate.numpy() - truth))

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="neumann_step")
        assert error(1.95 / largest, 400) < error(1.95 / largest, 4)
        error(1.0, 1)  # one term applies no Hessian: nothing to say
    with pytest.warns(UserWarning, match=r"not below 2/λ_max in 1 of 1 runs.*use neumann_step < "):
        assert error(2.05 / largest, 400) > 10 * error(2.05 / largest, 4)


def test_power_iteration_finds_the_eigenvalue_of_largest_modulus():
    rng = np.random.default_rng(3)
    for spectrum in ([0.1, 1.0, 7.0], [0.5, 5.0, 5.0], [0.0, 0.0, 0.0], [-4.0, 1.0, 2.0]):
        Q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        problem = quadratic(Q @ np.diag(spectrum) @ Q.T, np.ones(3))
        x = torch.zeros(2, 3, dtype=torch.float64)
        found = largest_eigenvalue(oracle_of(problem, x, x, [0, 1]), x, x)
        expected = max(spectrum, key=abs)
        np.testing.assert_allclose(found, np.full((2, 1), expected), rtol=2e-3, atol=1e-12)


def test_unstable_step_per_row():
    eigenvalue = tensor([[1.0], [3.0], [10.0]])
    assert unstable_step(0.19, eigenvalue) is None
    assert "in 1 of 3 runs" in (unstable_step(0.2, eigenvalue) or "")
    assert "in 2 of 3 runs" in (unstable_step(tensor([[3.0], [1.0], [0.1]]), eigenvalue) or "")
    assert "neumann_step < 0.2" in (unstable_step(1.0, eigenvalue) or "")
    assert "not convex" in (unstable_step(1e-9, tensor([[1.0], [-2.0]])) or "")
    assert "not convex, or not finite" in (unstable_step(1e-9, tensor([[1.0], [np.nan]])) or "")


# Bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "exakt"}, r"unknown estimator 'exakt'. Did you mean 'exact'\?.*cg.*neumann"),
        ({"neumann_terms": 0}, "neumann_terms must be an integer ≥ 1, got 0"),
        ({"neumann_terms": 2.0}, "neumann_terms must be an integer ≥ 1"),
        ({"neumann_step": 0.0}, "neumann_step must be a number > 0"),
        ({"neumann_step": float("nan")}, "neumann_step must be a number > 0"),
        ({"floor": -1e-3}, "floor must be a number > 0"),
        ({"neumann_samples": "new"}, "neumann_samples must be fresh or shared"),
        ({"unsolved": "guess"}, "unsolved must be nan or keep, got 'guess'"),
        ({"seed": 1.5}, "seed must be an integer"),
        ({"x": [float("nan")]}, "x has entries that are not finite"),
        ({"x": [[0.1], [0.2]]}, "same number of rows, got 2 and 1"),
        ({"y": [1.0, 2.0]}, "y has 2 coordinates, this problem needs 1"),
        ({"problem": 3}, "problem must be a Problem or a ProblemSpec, got int"),
        ({"dtype": torch.int64}, "dtype must be torch.float64 or torch.float32"),
    ],
)
def test_bad_input(arguments, message):
    given = {"problem": Example3(), "x": 1.0, "y": 1.0} | arguments
    with pytest.raises(InputError, match=message):
        hypergradient(**given)


def test_shapes_of_the_answer():
    assert hypergradient(Example3(), 1.0, 1.0).shape == (1,)
    assert hypergradient(Example3(), [1.0], [1.0]).shape == (1,)
    assert hypergradient(Example3(), [[1.0], [2.0]], [[1.0], [2.0]]).shape == (2, 1)
    assert hypergradient(Example3(), 1.0, 1.0, dtype=torch.float32).dtype == torch.float32
