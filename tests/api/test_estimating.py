"""``hypergradient`` is right within 1 %, or says that it is not: every estimator, on problems of every kind."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support import regular_problem, vanishing_problem
from thinned import some
from unibio import Coordinatewise, Example3, Problem, hypergradient
from unibio.api.estimating import ESTIMATORS
from unibio.core.pcg import PROBES
from unibio.problems.quadratic import Quadratic

Array = np.ndarray

#: Those for lower levels without constraints; the other one is tested in tests/core/test_kkt.py.
UNCONSTRAINED = tuple(name for name in ESTIMATORS if name != "kkt")
#: The relative error that an estimate may have without a word; where the gradient's terms cancel, this part of them.
RIGHT, CANCELLED = 1e-2, 1e-4


def told(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What a call returns, None where it raises, and everything it says."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = call()
        except torch.linalg.LinAlgError as error:
            return None, [str(error)]
    return value, [str(one.message) for one in caught]


@dataclass
class Case:
    """A problem at (x, y*(x)) and its hypergradient there; None where it has none."""

    problem: Problem
    x: Array
    y: Array
    gradient: Array | None
    size: float
    condition: float
    dtype: torch.dtype

    @property
    def solvable(self) -> bool:
        return self.gradient is not None and self.condition * torch.finfo(self.dtype).eps <= 1e-3

    def right(self, estimate: torch.Tensor) -> bool:
        if self.gradient is None:
            return False
        error = float(np.linalg.norm(estimate.double().numpy() - self.gradient))
        return error <= RIGHT * float(np.linalg.norm(self.gradient)) + CANCELLED * self.size


def quadratic(seed: int, d: int, p: float, condition: float, kind: str, dtype: torch.dtype) -> Case:
    """g = ½yᵀHy + a Σ|y_i|^p/p − yᵀ(Wx + b), f = ½‖y − t‖² + ½‖x‖², with y*(x) = y chosen and rounded to the dtype."""
    rng = np.random.default_rng(seed)
    single = np.float32 if dtype == torch.float32 else np.float64

    def rounded(values: Array) -> Array:
        return values.astype(single).astype(float)

    values = condition ** -rng.uniform(0, 1, size=d)
    values[0], values[-1] = 1.0, 1 / condition
    if kind == "singular":
        values[-1] = 0.0
    if kind == "indefinite":
        values[rng.integers(d)] *= -1
    Q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    H = rounded((Q * values * 10 ** rng.uniform(-3, 3)) @ Q.T)
    H = (H + H.T) / 2
    W, t, x, y = (rounded(rng.normal(size=shape)) for shape in ((d, 3), d, 3, d))
    if p > 2:
        y[rng.integers(d)] = 0.0
    a = np.abs(H).max() * 0.1 if p > 2 and kind == "regular" else 0.0
    b = rounded(H @ y + a * np.sign(y) * np.abs(y) ** (p - 1) - W @ x)
    tH, tW, tb, tt = (torch.tensor(part, dtype=dtype) for part in (H, W, b, t))

    def lower(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 0.5 * y @ tH @ y + a * (y.abs() ** p).sum() / p - y @ (tW @ x + tb)

    problem = Problem(lambda x, y: 0.5 * ((y - tt) ** 2).sum() + 0.5 * (x * x).sum(), lower, exponent=p)
    hessian = H + np.diag(a * (p - 1) * np.abs(y) ** (p - 2))
    spectrum = np.linalg.eigvalsh(hessian)
    if kind == "singular":
        return Case(problem, x, y, None, 1.0, np.inf, dtype)
    part = W.T @ np.linalg.solve(hessian, y - t)
    bad = np.inf if spectrum[0] <= 0 else spectrum[-1] / spectrum[0]
    return Case(problem, x, y, x + part, float(np.linalg.norm(x) + np.linalg.norm(part)), bad, dtype)


def vanishing(seed: int, d: int, p: float, smallest: float, declared: bool, dtype: torch.dtype) -> Case:
    """g = Σw_i|y_i|^p/p − yᵀWx, f = ½‖[y]^{p−1} − t‖² + ½‖x‖²: linear in z = [y]^{p−1}; one z_i is ``smallest``."""
    rng = np.random.default_rng(seed)
    w, W, t, x = (rng.uniform(0.3, 3, d), rng.normal(size=(d, 3)), rng.normal(size=d), rng.normal(size=3))
    s = W @ x
    W[0] += (smallest - s[0]) / (x @ x) * x  # now W_0 x = smallest, up to rounding
    s = np.where(np.arange(d) == 0, smallest, W @ x)
    y = np.sign(s) * np.abs(s / w) ** (1 / (p - 1))
    tw, tW, tt = (torch.tensor(part, dtype=dtype) for part in (w, W, t))

    def upper(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 0.5 * ((y.sign() * y.abs() ** (p - 1) - tt) ** 2).sum() + 0.5 * (x * x).sum()

    problem = Problem(
        upper, lambda x, y: (tw * y.abs() ** p).sum() / p - y @ (tW @ x), exponent=p, vanishing_hessian=declared
    )
    part = W.T @ ((s / w - t) / w)
    return Case(problem, x, y, x + part, float(np.linalg.norm(x) + np.linalg.norm(part)), 10.0, dtype)


def check(case: Case, estimator: str, fine: bool, **options: Any) -> None:
    """Right or told; and where ``fine``, right and not told."""
    x, y = (torch.tensor(part, dtype=case.dtype) for part in (case.x, case.y))
    estimate, said = told(lambda: hypergradient(case.problem, x, y, estimator=estimator, dtype=case.dtype, **options))
    known = bool(said) or not bool(torch.isfinite(estimate).all())
    assert known or case.right(estimate), f"{estimator}: {estimate} for {case.gradient}, and not a word"
    if fine:
        assert not said
        assert case.right(estimate)


SEEDS, SIZES = st.integers(0, 2**32 - 1), st.integers(1, 10)
DTYPES = st.sampled_from([torch.float64, torch.float32])
STEPS = {"neumann_terms": st.integers(1, 300), "neumann_step": st.floats(-4, 4).map(lambda e: 10.0**e)}


@settings(max_examples=settings.default.max_examples // 2)
@given(
    seed=SEEDS, d=SIZES, p=st.sampled_from([2, 3, 4, 6]), decades=st.floats(0, 10),
    kind=st.sampled_from(["regular", "regular", "singular", "indefinite"]), dtype=DTYPES, **STEPS,
)  # fmt: skip
@example(seed=12, d=1, p=2, decades=4.0, kind="regular", dtype=torch.float32, neumann_terms=1, neumann_step=1.0)
@pytest.mark.slow
def test_quadratics_are_right_or_told(seed, d, p, decades, kind, dtype, neumann_terms, neumann_step):
    case = quadratic(seed, d, p, 10.0**decades, kind, dtype)
    for estimator in ("cg", "pcg", "exact"):
        check(case, estimator, fine=case.solvable)
    for estimator in ("generalised_neumann", "neumann"):
        check(case, estimator, fine=False, neumann_terms=neumann_terms, neumann_step=neumann_step)


@settings(max_examples=settings.default.max_examples // 2)
@given(
    seed=SEEDS, d=SIZES, p=st.sampled_from([3, 4, 6]), decades=st.none() | st.floats(-12, 0),
    declared=st.booleans(), dtype=DTYPES, **STEPS,
)  # fmt: skip
@pytest.mark.slow
def test_vanishing_hessians_are_right_or_told(seed, d, p, decades, declared, dtype, neumann_terms, neumann_step):
    case = vanishing(seed, d, p, 0.0 if decades is None else 10.0**decades, declared, dtype)
    for estimator in ("cg", "pcg", "exact"):
        check(case, estimator, fine=declared and dtype == torch.float64)
    for estimator in ("generalised_neumann", "neumann"):
        check(case, estimator, fine=False, neumann_terms=neumann_terms, neumann_step=neumann_step)


# What is said -------------------------------------------------------------------------------------------------------


def curved(curvature: float) -> Problem:
    """g = ½s(y − x)²: y*(x) = x and φ' = x − 1 whatever s is."""
    return Problem(lambda x, y: ((y - 1) ** 2).sum() / 2, lambda x, y: curvature * ((y - x) ** 2).sum() / 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "curvature"),
    some(
        itertools.product(["generalised_neumann", "neumann"], [1e-2, 1e-3]),
        lambda estimator, curvature: curvature == 1e-2 or estimator == "generalised_neumann",
    ),
)
def test_too_few_terms_are_said_with_the_number_that_would_do(curvature, estimator):
    with pytest.warns(UserWarning, match="neumann_terms = 50 are too few in 1 of 1 runs: a residual of") as caught:
        hypergradient(curved(curvature), 0.3, 0.3, estimator=estimator)
    (said,) = (str(one.message) for one in caught)
    terms = int(re.search(r"about ([\d,]+) terms would do", said)[1].replace(",", ""))
    step = float(re.search(r"neumann_step = (\S+) needs fewer", said)[1])
    for options in ({"neumann_terms": terms}, {"neumann_step": step}):
        value, said = told(lambda: hypergradient(curved(curvature), 0.3, 0.3, estimator=estimator, **options))  # noqa: B023
        assert said == []
        assert abs(float(value) + 0.7) < 0.7e-5
    assert terms < 13 / curvature, "and not twice as many as needed"


@pytest.mark.filterwarnings("ignore:neumann_terms")
def test_the_residual_is_that_of_the_sum():
    _, info = hypergradient(curved(0.1), 0.3, 0.3, neumann_terms=20, return_info=True)
    np.testing.assert_allclose(info.residual, 0.9**20, rtol=1e-12)
    np.testing.assert_allclose(info.error, 0.9**20, rtol=1e-12)


@pytest.mark.parametrize("estimator", ["cg", "pcg"])
@pytest.mark.parametrize(
    ("lower", "y", "why"),
    [
        (lambda x, y: -(y**2).sum() / 2 - (x * y).sum(), [-0.2, -0.1], "negative eigenvalue"),
        (lambda x, y: (y[0] - x[0]) ** 2 / 2, [0.2, 0.0], "singular"),
        (lambda x, y: (y**2).sqrt().sum() + (y**2).sum() / 2 - (x * y).sum(), [0.0, 0.0], "not finite"),
    ],
)
def test_conjugate_gradient_says_why_it_is_nan(lower, y, why, estimator):
    problem = Problem(lambda x, y: (x**2).sum() + ((y - 1) ** 2).sum(), lower)
    with pytest.warns(UserWarning, match=f"estimator='{estimator}': 1 of 1 runs are NaN: .*{why}"):
        assert hypergradient(problem, [0.2, 0.1], y, estimator=estimator).isnan().all()
    with pytest.warns(UserWarning, match="1 of 1 runs are the last iterate"):
        kept = hypergradient(problem, [0.2, 0.1], y, estimator=estimator, unsolved="keep")
    assert torch.isfinite(kept).all() or estimator == "pcg"  # a diagonal that is not finite leaves no iterate


def test_no_wrong_cause_is_named():
    nan = Problem(lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: ((y - x) ** 2).sum().sqrt() * 0 + (y * y).sum())
    with pytest.raises(torch.linalg.LinAlgError, match=r"∇²_yy g is not finite \(NaN or infinite\) at y$"):
        hypergradient(nan, [0.0], [0.0], estimator="exact")
    f = Problem(lambda x, y: (x**2).sum() + (y**2).sum().sqrt(), lambda x, y: ((y - x) ** 2).sum() / 2)
    with pytest.raises(torch.linalg.LinAlgError, match="∇_y f is not finite"):
        hypergradient(f, [0.0], [0.0], estimator="exact")
    singular = Problem(lambda x, y: (y - 1).square().sum(), lambda x, y: (y[:1] - x).square().sum(), exponent=4)
    with pytest.raises(torch.linalg.LinAlgError, match=r"the lower-level Hessian is singular at y$"):
        hypergradient(singular, [0.5], [0.5, 0.0], estimator="exact")


@pytest.mark.parametrize("estimator", UNCONSTRAINED)
def test_an_undeclared_vanishing_hessian_is_asked_about(estimator):
    problem = replace(vanishing_problem(4, 1, zeros=(1,)).problem, vanishing_hessian=False)
    known = vanishing_problem(4, 1, zeros=(1,))
    _, said = told(lambda: hypergradient(problem, known.x, known.y, estimator=estimator))
    assert len(said) == 1
    assert "vanishing_hessian=True?" in said[0]


def test_the_classical_sum_says_what_it_does_not_see():
    with pytest.warns(UserWarning, match="does not see coordinates of y near 0.*generalised_neumann"):
        assert hypergradient(Example3(exponent=4), 0.0, 0.0, estimator="neumann").item() == 0.0


@pytest.mark.parametrize("estimator", ["exact", "cg"])
@pytest.mark.parametrize("p", [2, 4])
def test_a_y_far_from_the_solution_is_said(estimator, p):
    known = regular_problem(p, 0)
    close, said = told(lambda: hypergradient(known.problem, known.x, known.y + 1e-5, estimator=estimator))
    assert said == []
    np.testing.assert_allclose(close, known.gradient(), atol=1e-3)
    with pytest.warns(UserWarning, match="y is far from y\\*\\(x\\) in 1 of 1 runs"):
        _, info = hypergradient(known.problem, known.x, known.y + 0.3, estimator=estimator, return_info=True)
    assert info.lower_error > 0.01
    assert info.lower_gradient_norm > 0.1


def test_noise_on_the_lower_gradient_is_not_taken_for_distance():
    for seed in range(5):
        problem = Coordinatewise(exponent=4, noise=1.0).build()
        x = torch.full((10,), 0.7, dtype=torch.float64)
        y = problem.closed_form.solution(x[None])[0]
        _, said = told(lambda: hypergradient(problem, x, y, estimator="exact", seed=seed))  # noqa: B023
        assert said == []
    with pytest.warns(UserWarning, match="y is far"):
        hypergradient(problem, x, y + 2.0, estimator="exact")


def test_constraints_leave_the_distance_open():
    problem = replace(curved(1.0), project_lower=lambda y: y.clamp(-1, 1))
    _, info = hypergradient(problem, 2.0, 1.0, estimator="exact", return_info=True)
    assert info.lower_error.isnan()
    assert any("no constraint is active" in one for one in info.assumed)


# What is known ------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(6)
@pytest.mark.parametrize("estimator", UNCONSTRAINED)
def test_info_of_one_run_and_of_several(estimator):
    known = regular_problem(4, 0)
    options: dict[str, Any] = {"estimator": estimator, "neumann_terms": 100, "neumann_step": 0.2, "return_info": True}
    estimate, info = hypergradient(known.problem, known.x, known.y, **options)
    rows, of_rows = hypergradient(known.problem, np.array([known.x] * 2), np.array([known.y] * 2), **options)
    torch.testing.assert_close(rows[0], estimate, rtol=1e-10, atol=1e-12)  # a batch of matrices may round otherwise
    assert torch.equal(estimate, hypergradient(known.problem, known.x, known.y, **options | {"return_info": False}))
    for name in ("residual", "iterations", "lower_gradient_norm", "error", "lower_error"):
        assert getattr(info, name).shape == ()
        assert getattr(of_rows, name).shape == (2,)
    assert info.residual < 1e-5
    assert info.lower_gradient_norm < 1e-12
    assert info.iterations == {"cg": 4, "pcg": 4, "exact": 4, "pseudoinverse": 4}.get(estimator, 100)
    assert info.error < 1e-5
    assert info.lower_error == 0
    assert info.warnings == ()
    assert any(
        said in one for one in info.assumed for said in ("exponent=4", "vanishing_hessian=False", "Lipschitz in (x, σ)")
    )


def test_info_says_what_was_said():
    with pytest.warns(UserWarning, match="too few") as caught:
        _, info = hypergradient(curved(0.01), 0.3, 0.3, return_info=True)
    assert info.warnings == tuple(str(one.message) for one in caught)


def test_conjugate_gradient_is_helped_by_the_dense_solve():
    """Condition 1e11 in 40 dimensions: at the limit of 400 iterations its residual is far off on any processor."""
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))
    H = torch.tensor((Q * np.geomspace(1e-11, 1, 40)) @ Q.T)
    H, t = (H + H.mT) / 2, torch.linspace(-1, 1, 40, dtype=torch.float64)
    problem = Problem(lambda x, y: y @ t, lambda x, y: y @ H @ y / 2 - x @ y)
    x = H @ torch.ones(40, dtype=torch.float64)
    estimate, info = hypergradient(problem, x, torch.ones(40), estimator="cg", return_info=True)
    exact = torch.linalg.solve(H, t)
    assert (estimate - exact).norm() < 1e-4 * exact.norm()
    assert info.iterations == 400 + 40
    assert info.warnings == ()


@pytest.mark.filterwarnings("ignore:check=False")
@pytest.mark.parametrize("estimator", UNCONSTRAINED)
def test_unchecked_estimates_cost_what_they_cost(estimator):
    """And are the same where there is nothing to say; what conjugate gradient finds itself is said all the same."""
    known = regular_problem(2, 0)
    calls = []

    def hvp(x, y, v, sample):
        calls.append(1)
        with torch.enable_grad():
            leaf = y.detach().requires_grad_()
            (g_y,) = torch.autograd.grad(lower(x, leaf, sample).sum(), leaf, create_graph=True)
            return torch.autograd.grad(g_y, leaf, v)[0]

    problem, lower = replace(known.problem, derivatives={"hvp": hvp}), known.problem.lower
    options = {"estimator": estimator, "neumann_terms": 60, "neumann_step": 0.4}
    checked = hypergradient(problem, known.x, known.y, **options)
    calls.clear()
    estimate, info = hypergradient(problem, known.x, known.y, check=False, return_info=True, **options)
    assert len(calls) == {"cg": 4, "pcg": 4 + PROBES, "exact": 4, "pseudoinverse": 4}.get(estimator, 60)
    assert torch.equal(estimate, checked)
    assert info.error.isnan()
    concave = Problem(lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: -(y**2).sum() / 2 - (x * y).sum())
    _, said = told(lambda: hypergradient(concave, [0.2], [-0.2], check=False, **options))
    assert len(said) == 1 + (estimator in ("cg", "pcg"))


def test_large_problems_are_judged_by_their_residual(monkeypatch):
    monkeypatch.setattr("unibio.api.judging.DENSE", 0)
    with pytest.warns(UserWarning, match="neumann_terms = 50 are too few in 1 of 1 runs: a residual of 0.61"):
        _, info = hypergradient(curved(0.01), 0.3, 0.3, return_info=True)
    assert info.error.isnan()
    concave = Problem(lambda x, y: ((y - 1) ** 2).sum(), lambda x, y: -(y**2).sum() / 2 - (x * y).sum())
    with pytest.warns(UserWarning, match="estimator='cg': 1 of 1 runs are NaN: .*negative eigenvalue"):
        assert hypergradient(concave, [0.2], [-0.2], estimator="cg").isnan().all()
    known = regular_problem(4, 0)
    for estimator in ("cg", "exact"):
        value, said = told(lambda: hypergradient(known.problem, known.x, known.y, estimator=estimator))  # noqa: B023
        assert said == []
        np.testing.assert_allclose(value, known.gradient(), atol=1e-9)


def one_coordinate_at_zero(sample: Any) -> Problem:
    """p = 6 and a regular Hessian at y = (0, 1): D⁻¹f_y is all in the first coordinate, f_y is in both; ∇φ = (1, 7)."""

    def upper(x, y):
        return (y - torch.tensor([1.0, 8.0])).pow(2).sum() / 2 + 0 * x.sum()

    def lower(x, y, s=None):
        there = (y**6).sum() / 6 + (y**2).sum() / 2 - (y * x).sum() - 2 * y[1]
        return there if s is None else there + 0.01 * (y * s).sum()

    return Problem(upper, lower, exponent=6, sample_lower=sample)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("sample", [None, lambda draw: draw.normal(2)])
def test_a_small_entry_of_d_does_not_hide_what_a_sum_leaves(sample, dense, monkeypatch):
    """The step must be below 2/λ_max of D⁻¹∇²_yy g, 2·10¹¹, so that the sum never sees the second coordinate."""
    if not dense:
        monkeypatch.setattr("unibio.api.judging.DENSE", 0)
    options = {"neumann_step": 1e-12, "neumann_terms": 200}
    with pytest.warns(UserWarning, match="neumann_terms = 200 are too few in 1 of 1 runs") as caught:
        value = hypergradient(one_coordinate_at_zero(sample), [0.0, 0.0], [0.0, 1.0], **options)
    assert abs(float(value[1]) - 7 / 6) > 1
    needed = re.search(r"about ([\d,]+) terms would do", str(caught[0].message))
    assert (needed is not None) == dense
    assert needed is None or int(needed[1].replace(",", "")) > 1e10


def test_terms_that_other_samples_hide_are_not_asked_for():
    """Noise of some per cent in the Hessian, and a sum that is wrong by 10^−4: nothing that more terms would mend."""

    def lower(x, y, s):
        return (1 + 0.05 * (s[0] - 0.5)) * (y - x).pow(2).sum() / 2

    noisy = Problem(lambda x, y: ((y - 1) ** 2).sum() / 2, lower, sample_lower=lambda draw: draw.uniform(1))
    calm = Problem(lambda x, y: ((y - 1) ** 2).sum() / 2, lambda x, y: ((y - x) ** 2).sum() / 2)
    options = {"neumann_step": 0.5, "neumann_terms": 13}
    assert told(lambda: hypergradient(noisy, 0.3, 0.3, **options))[1] == []
    assert "too few" in told(lambda: hypergradient(calm, 0.3, 0.3, **options))[1][0]
    options["neumann_terms"] = 3
    assert "too few" in told(lambda: hypergradient(noisy, 0.3, 0.3, **options))[1][0]


@pytest.mark.parametrize("role", ["upper", "lower"])
def test_a_loss_without_a_value_is_said_though_its_gradient_is_finite(role):
    losses = {"upper": lambda x, y: ((y - 1) ** 2).sum(), "lower": lambda x, y: ((y - x) ** 2).sum() / 2}
    whole = losses[role]
    losses[role] = lambda x, y: whole(x, y) + 1e-9 * (y - 10).log().sum()
    _, said = told(lambda: hypergradient(Problem(**losses), 0.3, 0.3, estimator="exact"))
    assert said[0] == f"{role} is not finite (NaN or infinite) at the start of 1 of 1 runs"


@pytest.mark.parametrize("spec", [Example3(exponent=6), Coordinatewise(exponent=4), Quadratic()])
@pytest.mark.parametrize("estimator", ["cg", "pcg", "exact"])
def test_our_own_problems_are_not_warned_about(spec, estimator):
    problem = spec.build()
    x = problem.start[0].to(torch.float64).reshape(1, -1)
    y = problem.closed_form.solution(x)
    value, said = told(lambda: hypergradient(problem, x, y, estimator=estimator))
    assert said == []
    np.testing.assert_allclose(value, problem.closed_form.gradient(x), rtol=1e-6)
