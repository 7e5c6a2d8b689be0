"""The dense solution is right or says that there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support import oracle_of, regular_problem, tensor, vanishing_problem
from unibio import Problem
from unibio.core.metrics import default_metrics
from unibio.core.reference import Factors, reference
from unibio.core.trouble import Trouble


def linear(matrices, f_y, mixed=None) -> tuple[Problem, torch.Tensor, torch.Tensor]:
    """Row k: g = ½yᵀH_k y − xᵀMy, f = f_yᵀy at (0, 0), so that ĥ = M H⁻¹f_y."""
    H, b = tensor(matrices), tensor(f_y)
    M = torch.eye(H.shape[-1], dtype=torch.float64) if mixed is None else tensor(mixed)
    problem = Problem(
        lambda x, y: (y * b).sum(-1),
        lambda x, y: 0.5 * torch.einsum("ri,rij,rj->r", y, H, y) - ((x @ M) * y).sum(-1),
        batched=True,
    )
    return (
        problem,
        torch.zeros(len(H), len(M), dtype=torch.float64),
        torch.zeros(len(H), len(b[0]), dtype=torch.float64),
    )


def solved(matrices, f_y, mixed=None):
    problem, x, y = linear(matrices, f_y, mixed)
    return reference(oracle_of(problem, x, y), x, y)


def test_every_row_has_its_own_outcome():
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    good = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.1], [0.0, 0.1, 3.0]])
    rows = {
        Trouble.NONE: good,
        Trouble.NOT_FINITE: np.full((3, 3), np.nan),
        Trouble.NOT_CONVEX: Q @ np.diag([-1e-3, 1.0, 2.0]) @ Q.T,
        Trouble.SINGULAR: Q @ np.diag([0.0, 1.0, 2.0]) @ Q.T,
        Trouble.ILL_CONDITIONED: Q @ np.diag([1e-14, 1.0, 1.0]) @ Q.T,
    }
    found = solved(list(rows.values()), [[1.0, 2.0, 3.0]] * len(rows))
    assert found.trouble.tolist() == [int(kind) for kind in rows]
    assert found.value[1:].isnan().all()
    np.testing.assert_allclose(found.value[0], np.linalg.solve(good, [1.0, 2.0, 3.0]), rtol=1e-13)
    assert torch.equal(found.value[0], solved([good], [[1.0, 2.0, 3.0]]).value[0])


@pytest.mark.parametrize("condition", [1e10, 1e12])
def test_a_large_condition_number_within_the_dtype_is_solved(condition):
    Q, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    H = (Q * np.geomspace(1 / condition, 1, 6)) @ Q.T
    H = (H + H.T) / 2
    v = np.ones(6)
    found = solved([H], [H @ v])
    assert found.trouble.tolist() == [0]
    np.testing.assert_allclose(found.value[0], v, rtol=1e-15 * condition)


def test_a_coordinate_that_does_not_occur_is_no_trouble():
    """y_2 is in neither loss: the Hessian is singular, and the hypergradient is what it is without y_2."""
    H = [[2.0, 0.0], [0.0, 0.0]]
    found = solved([H], [[3.0, 0.0]], mixed=[[1.0, 0.0]])
    assert found.trouble.tolist() == [0]
    assert found.value.tolist() == [[1.5]]
    assert solved([H], [[3.0, 1.0]], mixed=[[1.0, 0.0]]).trouble.tolist() == [int(Trouble.SINGULAR)], "f needs y_2"
    assert solved([H], [[3.0, 0.0]], mixed=[[1.0, 0.5]]).trouble.tolist() == [int(Trouble.SINGULAR)], "x moves y_2"


def test_the_null_space_is_found_in_any_basis():
    Q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))
    H = (Q * np.array([0.0, 0.0, 1.0, 3.0])) @ Q.T
    seen = Q[:, 2:].T  # x moves the others only
    found = solved([H], [Q @ np.array([0.0, 0.0, 2.0, 3.0])], mixed=seen)
    assert found.trouble.tolist() == [0]
    np.testing.assert_allclose(found.value[0], [2.0, 1.0], rtol=1e-12)


@pytest.mark.parametrize("p", [2, 3, 4, 6])
@pytest.mark.parametrize("make", [regular_problem, vanishing_problem])
def test_against_finite_differences(make, p):
    known = make(p, 0)
    x, y = tensor(known.x[None]), tensor(known.y[None])
    found = reference(oracle_of(known.problem, x, y), x, y)
    np.testing.assert_allclose(found.value[0], known.gradient(), rtol=0, atol=1e-9)
    assert found.residual.item() < 1e-13


def test_factors_solve_what_they_were_given():
    rng = np.random.default_rng(3)
    Q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    spectra = [np.ones(5), np.geomspace(1e-11, 1, 5), np.array([0.0, 1, 2, 3, 4]), np.array([-1.0, 1, 2, 3, 4])]
    matrices = tensor([(Q * s) @ Q.T for s in spectra])
    factors = Factors.of(matrices, 2.0**-52)
    assert factors.trouble.tolist() == [0, 0, int(Trouble.SINGULAR), int(Trouble.NOT_CONVEX)]
    b = tensor(rng.normal(size=(4, 5)))
    x = factors.solve(b)
    left = b - (matrices @ x[..., None])[..., 0]
    for row in (0, 1, 3):  # as small as rounding of A and x allows
        assert left[row].norm() < 1e-14 * (b[row].norm() + 4 * x[row].norm())
    null = factors.null_part(b)
    np.testing.assert_allclose(left[2], null[2], atol=1e-10)
    np.testing.assert_allclose(null[2], (Q[:, 0] @ b[2].numpy()) * Q[:, 0], atol=1e-10)
    assert not null[[0, 1, 3]].any()


@pytest.mark.parametrize(
    ("lower", "x"),
    [
        (lambda x, y: -(y**2).sum() / 2 - (x * y).sum(), [0.2, 0.1]),  # concave
        (lambda x, y: (y[0] - x[0]) ** 2 / 2, [0.2, 0.1]),  # y_2 is in f only
        (lambda x, y: (y**2).sqrt().sum() + (y**2).sum() / 2 - (x * y).sum(), [0.2, 0.0]),  # NaN at 0
    ],
)
def test_the_default_metric_is_nan_where_y_does_not_determine_it(lower, x):
    problem = Problem(lambda x, y: (x**2).sum() + ((y - 1) ** 2).sum(), lower)
    xs, ys = tensor([x]), torch.zeros(1, 2, dtype=torch.float64)
    problem.prepare(xs, ys)
    metrics = default_metrics(problem)(xs, ys)
    assert metrics["hypergradient_norm"].isnan().all()
    assert torch.isfinite(metrics["upper_value"]).all()
