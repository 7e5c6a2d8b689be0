"""ℓ_p-regression hyper-cleaning: data, derivatives, exact hypergradient, uniform convexity, and cleaning that works."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from support import finite_difference, oracle_of
from thinned import some
from unibio import solve
from unibio.core.hypergradients import exact, generalised_neumann
from unibio.core.metrics import separation
from unibio.core.problem import Problem
from unibio.core.spectrum import largest_eigenvalue
from unibio.errors import InputError
from unibio.pipeline.composing import composer
from unibio.pipeline.job import job_from
from unibio.problems import digits
from unibio.problems.lp_regression import LpRegression
from unibio.problems.quadratic import Quadratic
from unibio.store.records import digest

EXPONENTS = [2, 3, 4, 6]
TINY = LpRegression(size_lower=15, size_upper=12, size_test=9, dimension=4, regulariser=0.05)
SMALL = LpRegression(size_lower=200, size_upper=300, size_test=300, dimension=12)


def tiny(p: int) -> LpRegression:
    return dataclasses.replace(TINY, exponent=p)


#: Two exponents, and no regulariser.
MIXED = [
    dataclasses.replace(TINY, exponent=2, regulariser_exponent=4),
    dataclasses.replace(TINY, exponent=4, regulariser_exponent=2),
    dataclasses.replace(TINY, exponent=3, regulariser_exponent=6, regulariser=0.3),
    dataclasses.replace(TINY, exponent=4, regulariser=0.0),
]


def points(spec: LpRegression, rows: int = 3, seed: int = 0) -> list[torch.Tensor]:
    """λ, w and a direction; w has a coordinate that is exactly 0."""
    problem = spec.build()
    rng = np.random.default_rng(seed)
    x, w, v = (torch.from_numpy(rng.normal(size=(rows, len(problem.start[k])))) for k in (0, 1, 1))
    w[:, 1] = 0.0
    return [x, w, v]


class ByNumPy:
    """The formulas of Example 2, without the library's derivatives or solver."""

    def __init__(self, spec: LpRegression):
        self.p, self.c, self.data = spec.exponent, spec.regulariser, spec.data()
        self.q = spec.exponent if spec.regulariser_exponent is None else spec.regulariser_exponent

    def lower(self, x: np.ndarray, w: np.ndarray) -> float:
        residual = self.data.train.features @ w - self.data.train.targets
        weighted = (np.abs(residual) ** self.p / (1 + np.exp(-x))).mean()
        return float(weighted + self.c * (np.abs(w) ** self.q).sum())

    def slope(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        A, p, q = self.data.train.features, self.p, self.q
        residual = A @ w - self.data.train.targets
        inner = np.sign(residual) * np.abs(residual) ** (p - 1) / (1 + np.exp(-x))
        return p * A.T @ inner / len(A) + self.c * q * np.sign(w) * np.abs(w) ** (q - 1)

    def solution(self, x: np.ndarray) -> np.ndarray:
        w = np.zeros(self.data.train.features.shape[1])
        return minimize(lambda w: self.lower(x, w), w, jac=lambda w: self.slope(x, w), tol=1e-12, method="BFGS").x

    def upper(self, w: np.ndarray) -> float:
        validation = self.data.validation
        return float((np.abs(validation.features @ w - validation.targets) ** self.p).mean())


# Data -----------------------------------------------------------------------------------------------------------------
def test_parts_are_disjoint_and_only_training_targets_are_corrupted() -> None:
    data = SMALL.data()
    rows = np.concatenate([part.rows for part in (data.train, data.validation, data.test)])
    assert len(set(rows)) == len(rows) == 800
    _, labels = digits.load()
    for part in (data.validation, data.test):
        np.testing.assert_array_equal(part.targets, np.where(labels[part.rows] % 2 == 1, 1, -1))
    np.testing.assert_array_equal(data.clean, np.where(labels[data.train.rows] % 2 == 1, 1, -1))
    assert data.corrupted.sum() == 60
    np.testing.assert_array_equal(data.train.targets != data.clean, data.corrupted)
    assert abs(data.clean.mean()) < 0.25  # two classes of about one size


def test_data_are_decided_by_their_seed_and_nothing_else() -> None:
    first = SMALL.data()
    digits.make.cache_clear()
    again = SMALL.data()
    assert again is not first
    for part in ("train", "validation", "test"):
        for field in ("rows", "features", "targets"):
            np.testing.assert_array_equal(getattr(getattr(first, part), field), getattr(getattr(again, part), field))
    np.testing.assert_array_equal(first.corrupted, again.corrupted)
    other = dataclasses.replace(SMALL, data_seed=1).data()
    assert (other.train.rows != first.train.rows).any()
    assert (other.corrupted != first.corrupted).any()


def test_corruption_leaves_the_split_alone_and_rates_are_nested() -> None:
    low, high = (dataclasses.replace(SMALL, corruption_rate=rate).data() for rate in (0.1, 0.4))
    np.testing.assert_array_equal(low.train.rows, high.train.rows)
    assert (high.corrupted[low.corrupted]).all()
    assert (low.corrupted.sum(), high.corrupted.sum()) == (20, 80)
    noisy = dataclasses.replace(SMALL, corruption="noise", corruption_noise=1.5, corruption_rate=0.4).data()
    np.testing.assert_array_equal(noisy.corrupted, high.corrupted)
    difference = (noisy.train.targets - noisy.clean)[noisy.corrupted]
    assert 1.0 < difference.std() < 2.0
    assert (noisy.train.targets == noisy.clean)[~noisy.corrupted].all()


@pytest.mark.parametrize("kind", digits.FEATURES)
def test_features_are_scaled_on_the_training_images(kind: str) -> None:
    data = dataclasses.replace(SMALL, features=kind).data()
    train = data.train.features
    assert train.shape == (200, 13)
    assert (train[:, -1] == 1).all()
    np.testing.assert_allclose(train[:, :-1].mean(0), 0, atol=1e-12)
    covariance = np.cov(train[:, :-1].T, bias=True)
    assert covariance.trace() / 12 == pytest.approx(1)
    if kind == "components":
        np.testing.assert_allclose(covariance, np.eye(12), atol=1e-10)
    assert np.linalg.eigvalsh(covariance)[0] > 1e-3
    assert dataclasses.replace(SMALL, features=kind, intercept=False).data().train.features.shape == (200, 12)


def test_data_that_do_not_exist_are_refused_by_key() -> None:
    with pytest.raises(InputError, match=r"size_lower.*1797"):
        dataclasses.replace(SMALL, size_lower=1500).build()
    with pytest.raises(InputError, match=r"problem\.dimension = 65"):
        dataclasses.replace(SMALL, dimension=65).build()
    with pytest.raises(InputError, match=r"problem\.exponent"):
        LpRegression(exponent=1)
    with pytest.raises(InputError, match=r"problem\.corruption.*flip, noise"):
        LpRegression(corruption="swap")


def test_a_records_identity_contains_the_data(tmp_path) -> None:
    with composer() as compose_one:
        job = job_from(compose_one(["problem=lp_regression"]))
        assert job.config["data_hash"] == digits.fingerprint()
        assert len(digits.fingerprint()) == 64
        assert digest(job.config) != digest(job.config | {"data_hash": "0" * 64})
        assert job_from(compose_one(["problem=example3"])).config["data_hash"] is None
    path = tmp_path / "problem.npz"
    path.write_bytes(b"one")
    before = Quadratic(path=str(path)).fingerprint()
    path.write_bytes(b"two")
    assert Quadratic(path=str(path)).fingerprint() != before
    with pytest.raises(InputError, match=r"problem\.path"):
        Quadratic(path=str(tmp_path / "absent.npz")).fingerprint()


# Derivatives ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("p", EXPONENTS)
def test_own_derivatives_are_the_losses(p: int, size: int | None) -> None:
    """Against autograd of the losses, every row on its own minibatch."""
    problem = tiny(p).build()
    plain = Problem(
        problem.upper, problem.lower, sample_upper=problem.sample_upper, sample_lower=problem.sample_lower,
        size_upper=problem.size_upper, size_lower=problem.size_lower, batched=True, exponent=p,
    )  # fmt: skip
    x, w, v = points(tiny(p))
    own, auto = (oracle_of(each, x, w, [0, 1, 2], batch_size=size) for each in (problem, plain))
    for _ in range(2):
        for name in ("grad_upper", "grad_lower", "grad_lower_x"):
            torch.testing.assert_close(getattr(own, name)(x, w), getattr(auto, name)(x, w))
        for name in ("hvp", "jvp"):
            torch.testing.assert_close(getattr(own, name)(x, w, v), getattr(auto, name)(x, w, v))
    torch.testing.assert_close(own.counts(), auto.counts())


@pytest.mark.parametrize("p", EXPONENTS)
def test_losses_and_derivatives_are_the_formulas(p: int) -> None:
    problem, truth = tiny(p).build(), ByNumPy(tiny(p))
    x, w, v = points(tiny(p), rows=1)
    a, b, u = x[0].numpy(), w[0].numpy(), v[0].numpy()
    assert problem.lower(x, w, None).item() == pytest.approx(truth.lower(a, b), rel=1e-12)
    assert problem.upper(x, w, None).item() == pytest.approx(truth.upper(b), rel=1e-12)
    own = problem.derivatives
    np.testing.assert_allclose(own["grad_lower"](x, w, None)[0], truth.slope(a, b), rtol=1e-11)
    np.testing.assert_allclose(own["grad_upper"](x, w, None)[1][0], finite_difference(truth.upper, b), rtol=1e-6)
    along = (truth.slope(a, b + 1e-5 * u) - truth.slope(a, b - 1e-5 * u)) / 2e-5
    np.testing.assert_allclose(own["hvp"](x, w, v, None)[0], along, rtol=1e-4, atol=1e-5)
    mixed = finite_difference(lambda at: float(truth.slope(at, b) @ u), a)
    np.testing.assert_allclose(own["jvp"](x, w, v, None)[0], mixed, rtol=1e-6, atol=1e-10)


def test_minibatches_of_an_epoch_average_to_the_whole() -> None:
    problem = TINY.build()
    x, w, v = points(TINY)
    oracle, full = oracle_of(problem, x, w, [0, 1, 2], batch_size=5), oracle_of(problem, x, w)
    batches = [oracle.sample_lower() for _ in range(3)]
    assert all(batch.value.shape == (3, 5) for batch in batches)
    assert (batches[0].value[0] != batches[0].value[1]).any()  # a set of its own for each row
    for name, at in (("grad_lower", (x, w)), ("grad_lower_x", (x, w)), ("hvp", (x, w, v)), ("jvp", (x, w, v))):
        parts = [getattr(oracle, name)(*at, sample=batch) for batch in batches]
        torch.testing.assert_close(torch.stack(parts).mean(0), getattr(full, name)(*at))


# The lower solution, the hypergradient, uniform convexity -------------------------------------------------------------
@pytest.mark.one_in(4)
@pytest.mark.parametrize("p", EXPONENTS)
def test_exact_hypergradient_is_the_slope_of_the_value(p: int) -> None:
    """Metrics and closed form against finite differences of x ↦ f(x, y*(x)), y* by SciPy's BFGS."""
    problem, truth = tiny(p).build(), ByNumPy(tiny(p))
    x, w, _ = points(tiny(p), rows=1)
    solution = problem.closed_form.solution(x)
    np.testing.assert_allclose(solution[0], truth.solution(x[0].numpy()), atol=1e-5)
    slope = finite_difference(lambda at: truth.upper(truth.solution(at)), x[0].numpy(), h=0.05)
    np.testing.assert_allclose(problem.closed_form.gradient(x)[0], slope, atol=2e-4 * np.abs(slope).max() + 1e-7)
    np.testing.assert_allclose(exact(oracle_of(problem, x, w), x, solution), problem.closed_form.gradient(x))
    found = {name: value.item() for name, value in problem.metrics(x, w).items()}
    assert found["hypergradient_norm"] == pytest.approx(np.linalg.norm(slope), rel=1e-3)
    assert found["value"] == pytest.approx(truth.upper(solution[0].numpy()), rel=1e-9)
    assert found["upper_loss"] == pytest.approx(truth.upper(w[0].numpy()), rel=1e-12)
    assert found["lower_error"] == pytest.approx((w - solution).norm().item(), rel=1e-7)
    weights = 1 / (1 + np.exp(-x[0].numpy()))
    assert found["weight_spread"] == pytest.approx(weights.std())
    test = tiny(p).data().test
    assert found["test_accuracy"] == np.mean(np.sign(test.features @ w[0].numpy()) == test.targets)


@pytest.mark.parametrize("p", EXPONENTS)
def test_the_lower_solution_is_found_from_anywhere(p: int) -> None:
    """From far away, from the solution itself, with extreme weights and with none left: rows do not interact."""
    problem = dataclasses.replace(SMALL, exponent=p).build()
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(5, 200)) * np.array([1.0, 1.0, 1.0, 30.0, 1.0])[:, None])
    x[4] = -1e6
    w = torch.from_numpy(rng.normal(size=(5, 13)) * np.array([1.0, 1e8, 0.0, 1.0, 1.0])[:, None])
    w[1, :6] = math.inf
    solution = problem.closed_form.solution(x)
    assert problem.derivatives["grad_lower"](x, solution, None).abs().max() < 1e-9
    found = problem.metrics(x, w)
    assert all(bool(torch.isfinite(value).all()) for name, value in found.items() if name not in OF_W)
    alone = problem.metrics(x[:1], solution[:1])
    assert alone["lower_error"] < 1e-8
    assert alone["value"].item() == pytest.approx(found["value"][0].item(), rel=1e-10)
    assert found["hypergradient_norm"][4] == 0


OF_W = ("upper_loss", "lower_error")


@pytest.mark.parametrize("p", EXPONENTS)
def test_lower_level_is_uniformly_convex(p: int) -> None:
    """g(w₂) ≥ g(w₁) + ⟨∇g(w₁), w₂ − w₁⟩ + μ/p ‖w₂ − w₁‖^p with μ = p c κ_p d^{1−p/2}, also across 0 and for σ → 0."""
    problem = tiny(p).build()
    t = np.linspace(-50, 50, 1_000_001)
    t = t[np.abs(t) > 0.1]
    kappa = ((np.abs(1 + t) ** p - 1 - p * t) / np.abs(t) ** p).min()
    d = len(problem.start[1])
    modulus = p * TINY.regulariser * kappa * d ** (1 - p / 2)
    rng = np.random.default_rng(p)
    rows = 2000
    lengths = 10 ** rng.uniform(-2, 1, size=(2, rows, 1))
    first, second = (torch.from_numpy(rng.normal(size=(rows, d)) * length) for length in lengths)
    second[: rows // 4] = -first[: rows // 4] * 2
    x = torch.from_numpy(rng.normal(size=(rows, 15)) * 5)
    x[: rows // 2] = -50.0  # nothing but the regulariser is left
    step = second - first
    linear = (problem.derivatives["grad_lower"](x, first, None) * step).sum(-1)
    gap = problem.lower(x, second, None) - problem.lower(x, first, None) - linear
    bound = modulus / p * step.norm(dim=-1) ** p
    assert (gap >= bound * (1 - 1e-6) - 1e-12).all()
    if p > 2:  # and not strongly: along a short step from 0 the regulariser alone bends less than any quadratic
        short = torch.zeros(1, d, dtype=torch.float64)
        short[0, 0] = 1e-3
        rise = problem.lower(x[:1], short, None) - problem.lower(x[:1], 0 * short, None)
        assert rise < 1e-3 * 0.5 * short.norm() ** 2


@pytest.mark.parametrize("p", EXPONENTS)
def test_which_floor_serves_the_neumann_sum(p: int) -> None:
    """Floor 1 makes D constant: λ_max ≤ p, and c = 1/p converges fast. The default floor is hopeless for p > 3."""
    spec = dataclasses.replace(SMALL, exponent=p)
    problem, data = spec.build(), spec.data()
    x = torch.where(torch.from_numpy(data.corrupted), -3.0, 3.0).double()[None]
    w = problem.closed_form.solution(x)
    truth = problem.closed_form.gradient(x)
    assert w.abs().max() < 1

    def error(terms: int, step: float, floor: float) -> float:
        estimate = generalised_neumann(oracle_of(problem, x, w), x, w, terms=terms, step=step, floor=floor)
        return ((estimate - truth).norm() / truth.norm()).item()

    assert largest_eigenvalue(oracle_of(problem, x, w), x, w, floor=1.0) < p
    assert error(10, 1 / p, 1.0) < 0.1
    assert error(60, 1 / p, 1.0) < 1e-3
    if p > 3:
        largest = largest_eigenvalue(oracle_of(problem, x, w), x, w, floor=1e-3).item()
        assert largest > 1e4
        assert error(60, 1 / largest, 1e-3) > 0.3


# Two exponents, and no regulariser -----------------------------------------------------------------------------------
@pytest.mark.one_in(4)
@pytest.mark.parametrize("spec", MIXED, ids=lambda spec: f"{spec.exponent}-{spec.regulariser_exponent}")
def test_two_exponents_are_the_formulas(spec: LpRegression) -> None:
    """Losses and all derivatives, w* by SciPy's BFGS, ∇φ by differences of φ; the exponent of uniform convexity."""
    problem, truth = spec.build(), ByNumPy(spec)
    assert problem.exponent == (spec.regulariser_exponent or spec.exponent)
    x, w, v = points(spec, rows=1)
    a, b, u = x[0].numpy(), w[0].numpy(), v[0].numpy()
    own = problem.derivatives
    assert problem.lower(x, w, None).item() == pytest.approx(truth.lower(a, b), rel=1e-12)
    assert problem.upper(x, w, None).item() == pytest.approx(truth.upper(b), rel=1e-12)
    np.testing.assert_allclose(own["grad_lower"](x, w, None)[0], truth.slope(a, b), rtol=1e-11)
    along = (truth.slope(a, b + 1e-5 * u) - truth.slope(a, b - 1e-5 * u)) / 2e-5
    np.testing.assert_allclose(own["hvp"](x, w, v, None)[0], along, rtol=1e-4, atol=1e-5)
    mixed = finite_difference(lambda at: float(truth.slope(at, b) @ u), a)
    np.testing.assert_allclose(own["jvp"](x, w, v, None)[0], mixed, rtol=1e-6, atol=1e-10)
    solution = problem.closed_form.solution(x)
    np.testing.assert_allclose(solution[0], truth.solution(a), atol=1e-5)
    slope = finite_difference(lambda at: truth.upper(truth.solution(at)), a, h=0.05)
    np.testing.assert_allclose(problem.closed_form.gradient(x)[0], slope, atol=2e-4 * np.abs(slope).max() + 1e-7)


def kappa(p: float) -> float:
    t = np.linspace(-50, 50, 1_000_001)
    t = t[np.abs(t) > 0.1]
    return float(((np.abs(1 + t) ** p - 1 - p * t) / np.abs(t) ** p).min())


@pytest.mark.parametrize("spec", MIXED, ids=lambda spec: f"{spec.exponent}-{spec.regulariser_exponent}")
def test_uniform_convexity_with_two_exponents(spec: LpRegression) -> None:
    """By the regulariser for every λ; without one by the smallest ‖Xv‖_p^p, which a search over v bounds from above."""
    problem = spec.build()
    p, d, rows = problem.exponent, len(problem.start[1]), 2000
    rng = np.random.default_rng(1)
    lengths = 10 ** rng.uniform(-2, 1, size=(2, rows, 1))
    first, second = (torch.from_numpy(rng.normal(size=(rows, d)) * length) for length in lengths)
    second[: rows // 4] = -first[: rows // 4] * 2
    x = torch.from_numpy(rng.normal(size=(rows, 15)))
    if spec.regulariser > 0:
        x[: rows // 2] = -50.0  # nothing but the regulariser is left
        modulus = torch.tensor(p * spec.regulariser * kappa(p) * d ** (1 - p / 2))
    else:
        X = spec.data().train.features

        def powers(v: np.ndarray) -> float:
            return float((np.abs(X @ v / np.linalg.norm(v)) ** p).sum())

        least = min(minimize(powers, rng.normal(size=d)).fun for _ in range(10))
        assert least > 1e-3
        modulus = torch.sigmoid(x).amin(1) * kappa(p) * p / len(X) * least
    step = second - first
    linear = (problem.derivatives["grad_lower"](x, first, None) * step).sum(-1)
    gap = problem.lower(x, second, None) - problem.lower(x, first, None) - linear
    bound = modulus / p * step.norm(dim=-1) ** p
    assert (gap >= bound * (1 - 1e-6) - 1e-12).all()


@pytest.mark.parametrize("intercept", [True, False])
def test_without_a_regulariser_features_have_full_rank_or_are_refused(intercept: bool) -> None:
    bare = dataclasses.replace(TINY, regulariser=0.0, intercept=intercept)
    for features in digits.FEATURES:
        made = dataclasses.replace(bare, features=features, size_lower=5).data().train.features
        assert np.linalg.matrix_rank(made) == made.shape[1] == 4 + intercept
        with pytest.raises(InputError, match="4 features, but the 4 training images span only 3"):
            dataclasses.replace(bare, features=features, size_lower=4).build()


def test_exponents_that_mean_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"regulariser_exponent = 4 is of no regulariser"):
        dataclasses.replace(TINY, regulariser=0.0, regulariser_exponent=4).build()
    with pytest.raises(InputError, match="regulariser_exponent = 1 is not accepted"):
        dataclasses.replace(TINY, regulariser_exponent=1)
    with pytest.raises(InputError, match=r"problem\.regulariser = -1"):
        dataclasses.replace(TINY, regulariser=-1)


def test_names_and_numbers_are_those_of_one_exponent_where_none_is_given() -> None:
    """A record's configuration does not know the second exponent at its default."""
    with composer() as compose_one:
        job = job_from(compose_one(["problem=lp_regression", "steps=3"]))
        other = job_from(compose_one(["problem=lp_regression", "problem.regulariser_exponent=6", "steps=3"]))
    assert "regulariser_exponent" not in job.config["problem"]
    assert other.config["problem"]["regulariser_exponent"] == 6
    assert job.name != other.name
    x, w, _ = points(TINY)
    same = dataclasses.replace(TINY, regulariser_exponent=TINY.exponent).build()
    assert torch.equal(same.derivatives["grad_lower"](x, w, None), TINY.build().derivatives["grad_lower"](x, w, None))


# Metrics and runs -----------------------------------------------------------------------------------------------------
def test_separation_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, size=(4, 30)).astype(float)  # with ties
    x[3] = 1.0
    corrupted = rng.random(30) < 0.4
    clean, wrong = x[:, ~corrupted, None], x[:, None, corrupted]
    expected = ((clean > wrong) + 0.5 * (clean == wrong)).mean((1, 2))
    np.testing.assert_allclose(separation(torch.from_numpy(x), torch.from_numpy(corrupted)), expected)
    assert expected[3] == 0.5
    spotless = dataclasses.replace(TINY, corruption_rate=0.0)
    x_, w_, _ = points(spotless)
    assert "cleaning_auc" not in spotless.build().metrics(x_, w_)
    assert "cleaning_auc" in TINY.build().metrics(*points(TINY)[:2])


def settings(name: str, p: int) -> dict[str, object]:
    """Steps in units of 1/L, L = p(p−1); minibatches of 50."""
    L = p * (p - 1)
    common = {"lower_step": 0.3 / L, "batch_size": 50}
    own: dict[str, dict[str, object]] = {
        "unibio": {
            "upper_step": 0.3, "lower_step": 1 / L, "floor": 1.0, "neumann_terms": 10, "neumann_step": 0.5 / p,
            "inner_budget": 30, "warm_budget": 100,
        },
        "stocbio": {"upper_step": 10.0, "neumann_terms": 10, "neumann_step": 0.5 / L},
        "soba": {"upper_step": 100.0, "auxiliary_step": 0.5 / L},
        "ma_soba": {"upper_step": 4.0, "auxiliary_step": 0.5 / L},
    }  # fmt: skip
    return common | own[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "p"),
    some(
        itertools.product(["unibio", "stocbio", "soba", "ma_soba"], [2, 3, 6]),
        lambda name, p: p != 3 or name == "unibio",
    ),
)
def test_methods_clean(name: str, p: int) -> None:
    """φ falls by 30 %, and the AUC of every seed lies 4 standard deviations of a useless ranking's above ½."""
    steps = {"unibio": 120, "stocbio": 150, "soba": 600, "ma_soba": 500}[name]
    result = solve(
        dataclasses.replace(SMALL, exponent=p), name, steps=steps, seed=range(3), log_points=2, **settings(name, p)
    )
    assert result.status == ["completed"] * 3
    first, last = (result.history[result.history.iteration == t] for t in (0, steps))
    assert (last["value"].to_numpy() < 0.7 * first["value"].to_numpy()).all()
    assert (last["hypergradient_norm"].to_numpy() < 0.7 * first["hypergradient_norm"].to_numpy()).all()
    wrong, clean = 60, 140
    deviation = math.sqrt((wrong + clean + 1) / (12 * wrong * clean))  # of the Mann–Whitney statistic, by chance alone
    assert (last["cleaning_auc"] > 0.5 + 4 * deviation).all()
    assert (first["cleaning_auc"] == 0.5).all()
    assert (last["test_accuracy"] > 0.8).all()
    assert (last["weight_spread"] > 0.05).all()


def test_a_batch_is_its_runs() -> None:
    """Seeds and steps as axes of a batch, on minibatches: each row the run it would be alone."""
    own = settings("unibio", 4) | {"upper_step": [0.1, 0.4]}
    spec = dataclasses.replace(SMALL, exponent=4)
    grid = solve(spec, "unibio", steps=12, seed=[3, 8], log_points=4, **own)
    for i, row in grid.runs.iterrows():
        one = solve(spec, "unibio", steps=12, seed=int(row.seed), log_points=4, **own | {"upper_step": row.upper_step})
        torch.testing.assert_close(grid.x[i], one.x, rtol=0, atol=1e-10)
        torch.testing.assert_close(grid.y[i], one.y, rtol=0, atol=1e-10)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("p", [3, 6])
def test_single_precision(p: int) -> None:
    spec = dataclasses.replace(SMALL, exponent=p)
    double, single = (
        solve(spec, "unibio", steps=20, log_points=4, dtype=dtype, **settings("unibio", p))
        for dtype in (torch.float64, torch.float32)
    )
    assert single.x.dtype == single.y.dtype == torch.float32
    torch.testing.assert_close(single.x.double(), double.x, rtol=0, atol=1e-3)
    for name in ("value", "hypergradient_norm", "cleaning_auc"):
        np.testing.assert_allclose(single.history[name], double.history[name], rtol=0.02)
