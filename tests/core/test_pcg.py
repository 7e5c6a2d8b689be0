"""Conjugate gradient preconditioned by the Hessian's own diagonal: what it costs, sees, remembers and says."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from support import oracle_of, tensor
from unibio import InputError, Problem, hypergradient, solve
from unibio.algorithms.unibio import UniBiO
from unibio.core import hypergradients, pcg
from unibio.core.oracle import Oracle
from unibio.core.streams import Streams
from unibio.core.trouble import Trouble
from unibio.problems.example3 import Coordinatewise, Example3
from unibio.problems.hoelder import Hoelder
from unibio.problems.lp_regression import LpRegression

SPECS = [Example3(exponent=6), Coordinatewise(exponent=8), Hoelder(exponent=3.5, dimension=3), LpRegression(exponent=4)]


def quadratic(H: np.ndarray, f_y: np.ndarray, **more: object) -> Problem:
    """g = ½yᵀHy − xᵀy, f = f_yᵀy, so that ĥ = H⁻¹f_y."""
    tH, tf = tensor(H), tensor(f_y)
    return Problem(
        lambda x, y: y @ tf, lambda x, y: 0.5 * ((y @ tH) * y).sum(-1) - (x * y).sum(-1), batched=True, **more
    )


def badly_scaled(d: int = 12, units: float = 1e2) -> tuple[np.ndarray, np.ndarray]:
    """A well conditioned matrix in coordinates whose units differ by ``units``, and a right-hand side in these."""
    rng = np.random.default_rng(3)
    mixed = rng.normal(size=(d, d)) * 0.15 / d**0.5
    sizes = np.geomspace(units**-0.5, units**0.5, d)
    return sizes[:, None] * (np.eye(d) + mixed + mixed.T) * sizes, sizes * rng.normal(size=d)


def test_units_of_the_coordinates_do_not_matter():
    """Twelve iterations suffice where conjugate gradient without a preconditioner has done next to nothing.

    A probe sees a row rather than its diagonal where other entries are larger, and so bears with less.
    """
    x = torch.zeros(1, 12, dtype=torch.float64)
    for units, probed in ((1e8, False), (1e2, True)):
        H, f_y = badly_scaled(units=units)
        declared = {"hessian_diagonal": lambda x, y, s, H=H: tensor(H.diagonal().tolist()).expand_as(y)}
        problem = quadratic(H, f_y, derivatives={} if probed else declared)
        found = pcg.solve(oracle_of(problem, x, x), x, x, max_iterations=12)
        truth = np.linalg.solve(H, f_y)
        np.testing.assert_allclose(found.estimate[0], truth, rtol=1e-3)
        plain = hypergradients.conjugate_gradient(oracle_of(problem, x, x), x, x, max_iterations=12, unsolved="keep")
        assert np.linalg.norm(plain[0].numpy() - truth) > 0.1 * np.linalg.norm(truth)


@pytest.mark.parametrize("spec", SPECS)
def test_declared_diagonals_are_those_of_the_hessian(spec):
    problem = spec.build()
    d = problem.start[1].shape[0]
    rng = np.random.default_rng(0)
    x, y = tensor(rng.normal(size=(2, problem.start[0].shape[0]))), tensor(rng.normal(size=(2, d)))
    problem.prepare(x, y)
    oracle = Oracle(problem, Streams([0, 1]), batch_size=32)
    sample = oracle.sample_lower()
    dense = hypergradients.dense_hessian(oracle, x, y, sample)
    before = int(oracle.counts()["hvp"][0])
    found = oracle.hessian_diagonal(x, y, sample)
    assert found is not None
    torch.testing.assert_close(found, dense.diagonal(dim1=-2, dim2=-1))
    assert int(oracle.counts()["hvp"][0]) == before + 1


def test_a_diagonal_that_is_not_the_hessians_is_refused():
    spec = Coordinatewise(exponent=4)
    own = dict(spec.build().derivatives)
    wrong = replace(
        spec.build(), derivatives=own | {"hessian_diagonal": lambda x, y, s: 2 * own["hvp"](x, y, 0 * y + 1, s)}
    )
    with pytest.raises(InputError, match="derivatives\\['hessian_diagonal'\\] is not diag ∇²_yy g"):
        solve(wrong, "unibio", steps=1)
    rows = replace(spec.build(), derivatives=own | {"hessian_diagonal": lambda x, y, s: y.sum(-1)})
    with pytest.raises(InputError, match="hessian_diagonal"):
        solve(rows, "unibio", steps=1)


@pytest.mark.parametrize("p", [3, 4, 7])
def test_no_exponent_is_used(p):
    """Declared with another exponent above 2 a problem has the same estimate, to the bit."""
    spec = Hoelder(exponent=5, dimension=3, shape="asymmetric")
    x, y = tensor([[0.3, 0.0, -0.7]]), tensor([[0.6, 0.0, -0.9]])
    truth = spec.build()
    told = replace(spec.build(), exponent=p)
    for problem in (truth, told):
        problem.prepare(x, y)
    one, other = (
        pcg.preconditioned_conjugate_gradient(Oracle(problem, Streams([0])), x, y) for problem in (truth, told)
    )
    assert torch.equal(one, other)
    assert torch.isfinite(one).all()


def test_where_hessian_and_gradient_vanish_together_the_limit_is_found():
    """∇φ(0) = 1 on Example 3 for every p, where both are 0."""
    for p in (2, 4, 6, 8):
        value = hypergradient(Example3(exponent=p), 0.0, 0.0, estimator="pcg")
        assert abs(value.item() - 1) < 1e-3


def test_every_row_pays_for_its_own_products():
    """Counts, and so budgets, do not depend on the batch; numbers do not either, to the bit."""
    H = np.diag([1.0, 2.0, 3.0, 4.0]) + 0.2
    tH = tensor(H)

    def upper(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x * y).sum(-1)

    problem = Problem(upper, lambda x, y: 0.5 * ((y @ tH) * y).sum(-1) - (x * y).sum(-1), batched=True)
    easy = np.linalg.eigh(H / np.sqrt(np.outer(np.diag(H), np.diag(H))))[1][:, 0] * np.sqrt(np.diag(H))
    x = tensor([easy.tolist(), [1.0] * 4, [0.0] * 4])
    y = torch.zeros_like(x)
    declared = {"hessian_diagonal": lambda x, y, s: tensor(np.diag(H)).expand_as(y)}
    problem = replace(problem, derivatives=declared)
    together = oracle_of(problem, x, y)
    found = pcg.solve(together, x, y)
    assert found.iterated.iterations.tolist() == [1, 4, 0]
    assert together.counts()["hvp"].tolist() == [2, 5, 1]  # one for the diagonal
    for row in range(3):
        alone = oracle_of(problem, x[row : row + 1], y[:1])
        assert torch.equal(pcg.solve(alone, x[row : row + 1], y[:1]).estimate[0], found.estimate[row])
        assert alone.counts()["hvp"].item() == together.counts()["hvp"][row]
        assert alone.counts()["samples"].item() == together.counts()["samples"][row]


def test_what_a_semidefinite_hessian_leaves_undetermined_is_no_solution():
    """A direction without curvature that f_y sees is said; one that it does not see is not."""
    x = torch.zeros(1, 2, dtype=torch.float64)
    for f_y, trouble in ((np.ones(2), Trouble.SINGULAR), (np.array([1.0, 0.0]), Trouble.NONE)):
        problem = quadratic(np.diag([2.0, 0.0]), f_y)
        assert pcg.solve(oracle_of(problem, x, x), x, x).iterated.trouble.tolist() == [int(trouble)]
    problem = quadratic(np.diag([2.0, 0.0]), np.ones(2))
    with pytest.warns(UserWarning, match="rows not solved are NaN: .*singular"):
        assert pcg.preconditioned_conjugate_gradient(oracle_of(problem, x, x), x, x).isnan().all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diagonal_that_is_not_finite_hides_nothing(bad):
    declared = {"hessian_diagonal": lambda x, y, s: torch.full_like(y, bad)}
    x = torch.zeros(1, 3, dtype=torch.float64)
    problem = quadratic(np.eye(3), np.ones(3), derivatives=declared)
    assert pcg.solve(oracle_of(problem, x, x), x, x).iterated.trouble.tolist() == [int(Trouble.NOT_FINITE)]


def test_probes_are_remembered_where_the_hessian_is_regular_and_not_where_it_vanishes():
    H, f_y = badly_scaled(6)
    x = torch.zeros(1, 6, dtype=torch.float64)
    oracle = oracle_of(quadratic(H, f_y), x, x)
    first = pcg.solve(oracle, x, x)
    assert first.diagonal is not None
    before = int(oracle.counts()["hvp"])
    second = pcg.solve(oracle, x, x, remembered=first.diagonal)
    assert second.diagonal is not None
    assert int(oracle.counts()["hvp"]) - before == int(second.iterated.iterations) + 1
    rows = np.linalg.norm(H, axis=1)
    for found in (first, second):  # a probe is between nothing and the sum of a row; its mean is near the row's norm
        assert (found.diagonal[0].numpy() < 3 * rows).all()
        assert (found.diagonal[0].numpy() > rows / 5).all()
    vanishing = quadratic(H, f_y, exponent=4, vanishing_hessian=True)
    assert pcg.solve(oracle_of(vanishing, x, x), x, x).diagonal is None


def test_the_bias_of_a_minibatch_is_the_relative_variance_of_its_curvature():
    """g = ½(1 + ζ)(y − x)²: one solve gives f_y/(1 + ζ) with the same factor in the JVP; it is stated in the module.

    The factor of the JVP here is without noise, so that ĥ = 1/(1 + ζ). At ζ = ±s, E ĥ = 1/(1 − s²). 4,000 rows: five
    standard errors of the mean are 0.024, a false alarm once in a million.
    """
    s = 0.3

    def lower(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return ((1 + s * z.sign()) * y * y / 2 - x * y).sum(-1)

    problem = Problem(lambda x, y: y.sum(-1), lower, sample_lower=lambda draw: draw.normal(1), batched=True, exponent=2)
    x = torch.zeros(4000, 1, dtype=torch.float64)
    problem.prepare(x, x)
    found = pcg.solve(Oracle(problem, Streams(range(4000))), x, x).estimate
    assert set(np.round(found[:, 0].numpy(), 9)) == {np.round(1 / (1 + s), 9), np.round(1 / (1 - s), 9)}
    assert abs(float(found.mean()) - 1 / (1 - s**2)) < 5 * float(found.std()) / 4000**0.5


# In UniBiO ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2, 6])
def test_unibio_goes_the_way_of_the_generalised_sum(p):
    """On Example 3 both solve the system exactly: the same trajectory up to rounding."""
    one, other = (
        solve(Coordinatewise(exponent=p, dimension=3), "unibio", steps=60, upper_step=0.05, estimator=name)
        for name in ("generalised", "pcg")
    )
    assert torch.allclose(one.x, other.x, rtol=0, atol=1e-9)
    assert other.runs["pcg_residual"].max() < 1e-12
    assert other.runs["hvp"].item() == 60 * 2  # a diagonal and a product


def test_unibio_needs_no_step_where_d_is_a_bad_preconditioner():
    """ℓ_p-regression, p = 4: with its defaults the generalised sum's step is beyond 2/λ_max, and is warned about."""
    problem = LpRegression(exponent=4, size_lower=60, size_upper=60, size_test=60, dimension=5)
    result = solve(problem, "unibio", steps=30, upper_step=0.1, estimator="pcg", inner_budget=300, lower_step=0.1)
    assert result.status == "completed"
    assert result.history["value"].iloc[-1] < result.history["value"].iloc[0]
    assert not any("neumann" in said for said in result.warnings)


def test_unibio_says_at_the_start_what_its_solves_leave():
    H, f_y = badly_scaled()
    problem = quadratic(H, f_y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solve(problem, UniBiO(estimator="pcg", max_products=1), np.zeros(12), np.zeros(12), steps=1, lower_step=1e-9)
    said = [str(one.message) for one in caught]
    assert any("estimator=pcg does not solve" in one and "max_products = 1" in one for one in said), said


def test_a_remembered_diagonal_is_part_of_the_state():
    H, f_y = badly_scaled(4)
    problem = quadratic(H, f_y)
    x = torch.zeros(1, 4, dtype=torch.float64)
    oracle = oracle_of(problem, x, x)
    algorithm = UniBiO(estimator="pcg", lower_step=1e-9)
    state = algorithm.step(oracle, algorithm.init(oracle, x, x))
    assert state["diagonal"].shape == (1, 4)
    again = algorithm.step(oracle, state)
    assert not torch.equal(again["diagonal"], state["diagonal"])
