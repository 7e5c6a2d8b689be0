"""The Hölder problem: closed forms against their definitions, regularity that is no better than stated, and noise."""

from __future__ import annotations

import dataclasses
import itertools
import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

from support import finite_difference, oracle_of, tensor
from thinned import some
from unibio import Draw, Hoelder, InputError, solve
from unibio.core import compiled
from unibio.core.epoch_sgd import epoch_sgd
from unibio.core.reference import reference
from unibio.core.separable import saturating
from unibio.core.streams import Streams
from unibio.problems.hoelder import saturating_slope, wall, wall_slope
from unibio.registry import ALGORITHMS

EXPONENTS = [2.0, 2.5, 3.0, 4.0, 6.0, 8.0]
SHAPES = ["symmetric", "asymmetric"]
NOISE = {"noise": 1.0, "hessian_noise": 0.0625, "cross_noise": 0.25, "upper_noise": 0.25}
points = st.floats(-4, 4)


# The definitions, without the library -------------------------------------------------------------------------------


def integral(function, end: float, kinks=()) -> float:
    inner = sorted(k for k in kinks if min(0, end) < k < max(0, end))
    return quad(function, 0, end, points=inner or None, epsabs=1e-12, epsrel=1e-12)[0]


def s(u: float) -> float:
    """Of slope 1 up to 1.5, falling linearly to 0 at 2.5."""
    return integral(lambda t: np.interp(abs(t), [1.5, 2.5], [1.0, 0.0]), u, (-2.5, -1.5, 1.5, 2.5))


def q(u: float) -> float:
    return integral(lambda t: 4 * np.clip(abs(t) - 1.5, 0, 1) * np.sign(t), u, (-2.5, -1.5, 1.5, 2.5))


def psi(t: float, shape: str) -> float:
    clipped = np.clip(t, -2, 2)
    return clipped / 4 if shape == "asymmetric" and t < 0 else clipped


def solution(u: float, p: float) -> float:
    """The root of ∂g/∂y = sign(y)|y|^{p−1} − s(u)."""
    return brentq(lambda y: np.sign(y) * abs(y) ** (p - 1) - s(u), -3, 3, xtol=1e-15)


def upper(u: float, y: float, p: float, shape: str) -> float:
    whole = integral(lambda t: psi(t, shape) * (p - 1) * abs(t) ** (p - 2), y, (-2, 2))
    return whole + q(u)


def test_pieces_are_what_their_slopes_integrate_to() -> None:
    u = np.array([-30, -2.5, -2.2, -1.5, -0.7, 0, 1e-9, 1.2, 1.5, 1.9, 2.49, 2.5, 3, 1e6])
    t = tensor(u)
    np.testing.assert_allclose(saturating(t), [s(v) for v in u.clip(-9, 9)], atol=1e-12)
    np.testing.assert_allclose(wall(t)[:-1], [q(v) for v in u[:-1]], atol=1e-9)
    np.testing.assert_allclose(saturating_slope(t), np.interp(np.abs(u), [1.5, 2.5], [1, 0]))
    np.testing.assert_allclose(wall_slope(t), 4 * np.clip(np.abs(u) - 1.5, 0, 1) * np.sign(u))
    assert saturating(tensor([-1e300, math.inf])).tolist() == [-2.0, 2.0]
    fine = saturating(torch.linspace(-4, 4, 4001, dtype=torch.float64))
    assert bool((fine.diff() >= 0).all()), "a maximum of s would be a place to rest at"


@pytest.mark.one_in(12)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", EXPONENTS)
def test_solution_value_and_gradient_against_their_definitions(p: float, shape: str) -> None:
    """∇φ by differences of x ↦ f(x, y*(x)), 30 points a case; kinks of ∇φ are kept out of the differences."""
    known = Hoelder(exponent=p, shape=shape).build().closed_form
    rng = np.random.default_rng(int(10 * p))
    places = rng.uniform(-3, 3, 200)
    places = [u for u in places if min(abs(abs(u) - k) for k in (0, 1.5, 2.5)) > 0.02][:30]
    for u in places:
        x = tensor([[u]])
        assert known.solution(x).item() == pytest.approx(solution(u, p), abs=1e-10)
        assert known.value(x).item() == pytest.approx(upper(u, solution(u, p), p, shape), abs=1e-9)
        slope = finite_difference(lambda v: upper(v[0], solution(v[0], p), p, shape), np.array([u]), h=1e-3)
        assert known.gradient(x).item() == pytest.approx(slope[0], abs=2e-6)
    origin = tensor([[0.0]])
    assert known.solution(origin).item() == known.value(origin).item() == known.gradient(origin).item() == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_mixed_coordinates(shape: str) -> None:
    """In d dimensions: the sum over u = A x, A orthogonal and not diagonal; A = I where it is asked for."""
    p, one = 4.0, Hoelder(shape=shape).build().closed_form
    mixed = Hoelder(exponent=p, shape=shape, dimension=3, mixing_seed=5).build()
    zero = torch.zeros(3, 3, dtype=torch.float64)
    A = -mixed.derivatives["jvp"](zero, zero, torch.eye(3, dtype=torch.float64), None)
    np.testing.assert_allclose(A @ A.T, np.eye(3), atol=1e-14)
    assert float((A - torch.diag(A.diag())).abs().max()) > 0.3
    x = tensor(np.random.default_rng(0).normal(size=(6, 3)))
    u = x @ A.T

    def per_coordinate(function):
        return function(u.reshape(-1, 1)).reshape(6, 3)

    np.testing.assert_allclose(mixed.closed_form.solution(x), per_coordinate(one.solution), atol=1e-14)
    np.testing.assert_allclose(mixed.closed_form.value(x), per_coordinate(one.value).sum(-1), atol=1e-13)
    np.testing.assert_allclose(mixed.closed_form.gradient(x), per_coordinate(one.gradient) @ A, atol=1e-13)
    for row in x.numpy():
        slope = finite_difference(lambda v: float(mixed.closed_form.value(tensor(v[None]))), row, h=1e-4)
        np.testing.assert_allclose(mixed.closed_form.gradient(tensor(row[None]))[0], slope, atol=1e-3)
    plain = Hoelder(exponent=p, dimension=3, mixing_seed=None).build()
    v = tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(plain.derivatives["jvp"](0 * v, v, v, None), -v)
    assert all(start.tolist() == [1.0] * 3 for start in (*mixed.start, *plain.start))
    assert Hoelder(mixing_seed=7).build().derivatives["jvp"](v[:, :1], v[:, :1], v[:, :1], None).item() == -1.0


# Derivatives --------------------------------------------------------------------------------------------------------


def places(d: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows inside, at 0, between the knees and beyond every clip, and a direction."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=(12, d)) * np.geomspace(0.05, 4, 12)[:, None]
    y[2, 0] = 0.0
    return tensor(rng.normal(size=(12, d)) * 1.5), tensor(y), tensor(rng.normal(size=(12, d)))


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", EXPONENTS)
def test_own_derivatives_are_autograd_s(p: float, shape: str, dtype: torch.dtype) -> None:
    problem = Hoelder(exponent=p, shape=shape, dimension=3, **NOISE).build()
    plain = dataclasses.replace(problem, derivatives={})
    x, y, v = (t.to(dtype) for t in places(3))
    near = {"rtol": 1e-9, "atol": 1e-11} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    own, auto = (oracle_of(one, x, y, list(range(12))) for one in (problem, plain))
    for oracle in (own, auto):
        oracle.streams = Streams(range(12), dtype=dtype)
    for _ in range(2):
        for call in ("grad_upper", "grad_lower", "grad_lower_x"):
            torch.testing.assert_close(getattr(own, call)(x, y), getattr(auto, call)(x, y), **near)
        torch.testing.assert_close(own.hvp(x, y, v), auto.hvp(x, y, v), **near)
        torch.testing.assert_close(own.jvp(x, y, v), auto.jvp(x, y, v), **near)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [2.0, 2.5, 4.0, 6.0])
def test_own_derivatives_by_differences(p: float, shape: str) -> None:
    """Of the losses for gradients, of gradients for products, noise and all; one number per row."""
    problem = Hoelder(exponent=p, shape=shape, dimension=2, **NOISE).build()
    own = problem.derivatives
    x, y, v = places(2)
    zeta = Draw(Streams(range(12)), "a", 0).normal(6)
    xi = Draw(Streams(range(12)), "b", 0).normal(2)
    h = 1e-5
    # differences are good where nothing has a kink within h, and where powers are not stiff
    usable = (y.abs() > 0.01).all(-1)

    def along(function, at, direction):
        return (function(at + h * direction) - function(at - h * direction)) / (2 * h)

    def close(claimed, found):
        np.testing.assert_allclose(claimed[usable], found[usable], rtol=2e-5, atol=2e-5)

    f_x, f_y = own["grad_upper"](x, y, xi)
    close((f_x * v).sum(-1), along(lambda t: problem.upper(t, y, xi), x, v))
    close((f_y * v).sum(-1), along(lambda t: problem.upper(x, t, xi), y, v))
    close((own["grad_lower"](x, y, zeta) * v).sum(-1), along(lambda t: problem.lower(x, t, zeta), y, v))
    close((own["grad_lower_x"](x, y, zeta) * v).sum(-1), along(lambda t: problem.lower(t, y, zeta), x, v))
    close(own["hvp"](x, y, v, zeta), along(lambda t: own["grad_lower"](x, t, zeta), y, v))
    close(own["jvp"](x, y, v, zeta), along(lambda t: own["grad_lower_x"](x, t, zeta), y, v))


# Regularity ---------------------------------------------------------------------------------------------------------


@lru_cache
def modulus(p: float) -> float:
    """μ of |y|^p/p on the line: the least p (|1+t|^p/p − 1/p − t)/|t|^p over t."""

    def ratio(t: float) -> float:
        return (abs(1 + t) ** p - 1 - p * t) / abs(t) ** p

    return min(minimize_scalar(ratio, bounds=b, method="bounded").fun for b in ((-9, -1), (-3, -1.5), (0.5, 9)))


def test_modulus_is_the_known_one() -> None:
    assert [round(modulus(p), 4) for p in (2.0, 4.0, 6.0, 8.0)] == [1.0, 0.3333, 0.1013, 0.0292]


def bregman(p: float, d: int, y1: np.ndarray, y2: np.ndarray) -> float:
    problem = Hoelder(exponent=p, dimension=d).build()
    x, at, to = tensor([[0.4] * d]), tensor(y1[None]), tensor(y2[None])
    slope = problem.derivatives["grad_lower"](x, at, None)
    return float(problem.lower(x, to, None) - problem.lower(x, at, None) - (slope * (to - at)).sum())


@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("p", [2.0, 2.5, 4.0, 6.0])
@given(data=st.data())
def test_uniform_convexity_with_the_modulus_of_its_dimension(p: float, d: int, data: st.DataObject) -> None:
    y1, y2 = (np.array(data.draw(st.lists(points, min_size=d, max_size=d))) for _ in range(2))
    bound = 0.999 * modulus(p) * d ** (1 - p / 2) / p * np.linalg.norm(y2 - y1) ** p
    assert bregman(p, d, y1, y2) >= bound - 1e-12 * 5**p


@pytest.mark.one_in(4)
@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("p", [4.0, 6.0])
def test_the_modulus_is_sharp_in_every_dimension(p: float, d: int) -> None:
    """A modulus 1 % larger is refuted along the diagonal."""
    ratios = [
        bregman(p, d, np.ones(d), np.full(d, t)) / (np.linalg.norm(np.full(d, t - 1)) ** p / p)
        for t in np.linspace(-3, 3, 601)
        if abs(t - 1) > 0.05
    ]
    assert 0.999 * modulus(p) * d ** (1 - p / 2) <= min(ratios) < 1.01 * modulus(p) * d ** (1 - p / 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", EXPONENTS)
@given(a=points, b=points)
def test_the_gradient_is_hoelder(p: float, shape: str, a: float, b: float) -> None:
    """Eq. (8): |y*(a) − y*(b)| ≤ 2^{1−ν}|a − b|^ν; s' and q'/4 are Lipschitz with 1, and |ψ| ≤ 2."""
    gradient = Hoelder(exponent=p, shape=shape).build().closed_form.gradient
    nu = 1 / (p - 1)
    difference = float((gradient(tensor([[a]])) - gradient(tensor([[b]]))).abs())
    assert difference <= 2 ** (1 - nu) * abs(a - b) ** nu + 6 * abs(a - b) + 1e-12


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", EXPONENTS)
def test_the_gradient_is_no_better_than_hoelder(p: float, shape: str) -> None:
    """|∇φ(±h) − ∇φ(0)| = h^{1/(p−1)}, times ¼ on the left of the asymmetric one: Lipschitz for p = 2 alone."""
    gradient = Hoelder(exponent=p, shape=shape).build().closed_form.gradient
    h = np.array([1e-2, 1e-5, 1e-8])
    left = 0.25 if shape == "asymmetric" else 1.0
    np.testing.assert_allclose(gradient(tensor(h[:, None])).flatten(), h ** (1 / (p - 1)), rtol=1e-12)
    np.testing.assert_allclose(gradient(tensor(-h[:, None])).flatten(), -left * h ** (1 / (p - 1)), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [2.0, 4.0, 6.0])
def test_zero_is_the_only_stationary_point_and_the_minimum(p: float, shape: str) -> None:
    known = Hoelder(exponent=p, shape=shape).build().closed_form
    u = torch.arange(-1200, 1201, dtype=torch.float64)[:, None] / 200
    slope, value = known.gradient(u).flatten(), known.value(u)
    assert bool((slope[u[:, 0] < 0] < 0).all())
    assert bool((slope[u[:, 0] > 0] > 0).all())
    assert float(value.min()) == float(value[1200]) == 0.0
    assert known.minimiser is not None
    assert known.minimiser.tolist() == [0.0]


# Noise --------------------------------------------------------------------------------------------------------------


def test_every_noise_is_on_its_generalised_derivative() -> None:
    """ζ₃ on g_y; ζ₁ on D⁻¹∇²_yy g, saturating on g_y; ζ₂ a factor of ∇²_xy g; ξ on D⁻¹f_y. Nothing else is touched."""
    problem = Hoelder(exponent=4.0, dimension=2, mixing_seed=None).build()
    own = problem.derivatives
    x, y, v = places(2)
    d = 3 * y * y
    clipped = saturating(y**3)
    for position, size in enumerate((0.3, -0.7, 1.1)):
        sample = torch.zeros(12, 6, dtype=torch.float64)
        sample[:, 2 * position : 2 * position + 2] = size
        g_y = own["grad_lower"](x, y, sample) - own["grad_lower"](x, y, None)
        hvp = own["hvp"](x, y, v, sample) - own["hvp"](x, y, v, None)
        jvp = own["jvp"](x, y, v, sample) - own["jvp"](x, y, v, None)
        expected_g = (size * clipped, -size * saturating(x), torch.full_like(y, size))[position]
        expected_h = size * saturating_slope(y**3) * d * v if position == 0 else 0 * v
        expected_j = -size * saturating_slope(x) * v if position == 1 else 0 * v
        for found, expected in ((g_y, expected_g), (hvp, expected_h), (jvp, expected_j)):
            np.testing.assert_allclose(found, expected, atol=1e-12)
        assert float(g_y.abs().max()) <= 2 * abs(size)
    xi = torch.full((12, 2), 0.5, dtype=torch.float64)
    f_x, f_y = own["grad_upper"](x, y, xi)
    quiet_x, quiet_y = own["grad_upper"](x, y, None)
    np.testing.assert_allclose(f_y - quiet_y, 0.5 * d, atol=1e-12)
    assert torch.equal(f_x, quiet_x)


def test_levels_are_variances_and_numbers_are_independent() -> None:
    """Standard errors: the comparison of 8 variances and 28 correlations fails by chance with P < 10⁻⁴ (4.9 σ)."""
    problem = Hoelder(dimension=2, **NOISE).build()
    runs = 40_000
    streams = Streams(range(runs))
    lower, upper = problem.sample_lower(Draw(streams, "lower", 3)), problem.sample_upper(Draw(streams, "upper", 3))
    numbers = torch.cat([lower, upper], dim=1).numpy()
    levels = np.repeat([0.0625, 0.25, 1.0, 0.25], 2)
    assert np.abs(numbers.mean(0) / np.sqrt(levels / runs)).max() < 4.9
    assert np.abs(numbers.var(0) / levels - 1).max() < 4.9 * math.sqrt(2 / runs)
    correlations = np.corrcoef(numbers.T) - np.eye(8)
    assert np.abs(correlations).max() < 4.9 / math.sqrt(runs)


def test_rows_of_one_seed_share_their_numbers_whatever_their_levels() -> None:
    levels = tensor([[0.0], [1.0], [4.0]])
    among = Hoelder(dimension=2, noise=levels, hessian_noise=0.25).build()
    sample = among.sample_lower(Draw(Streams([6, 6, 6]), "lower", 0))
    assert bool((sample[0, 4:] == 0).all())
    assert torch.equal(sample[2, 4:], 2 * sample[1, 4:])
    assert torch.equal(sample[0, :2], sample[1, :2])
    alone = Hoelder(dimension=2, noise=4.0, hessian_noise=0.25).build().sample_lower(Draw(Streams([6]), "lower", 0))
    assert torch.equal(alone[0], sample[2])
    quiet = Hoelder().build()
    assert quiet.sample_lower is None
    assert quiet.sample_upper is None


# Algorithms and input -----------------------------------------------------------------------------------------------


@pytest.mark.one_in(28)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"unibio_released"}))
def test_every_algorithm_runs(name: str) -> None:
    spec = Hoelder(exponent=3.5, shape="asymmetric", dimension=2, **NOISE)
    result = solve(spec, name, steps=8, seed=[0, 1], log_points=2)
    assert set(result.status) <= {"completed", "diverged"}
    assert torch.isfinite(result.x).all()
    assert {"hypergradient_norm", "value", "lower_error"} <= set(result.history)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("p", "d"), some(itertools.product([2.0, 2.5, 4.0], [1, 3]), lambda p, d: d == 3 or p == 2.5))
@pytest.mark.parametrize("noise", [{}, {"noise": tensor([[0.0], [1.0]])}, NOISE])
def test_compiled_loops_compute_the_same(p: float, d: int, noise: dict) -> None:
    """Its lower level is declared separable: the same numbers to the bit, with loops or without."""
    spec = Hoelder(exponent=p, dimension=d, **noise)
    assert spec.build().own_separable() is not None
    found = []
    for on in (True, False):
        with compiled.forced(on):
            problem = spec.build()
            x, y = (start.expand(2, -1) for start in problem.start)
            oracle = oracle_of(problem, x, y, [3, 4])
            options = {"budget": 60, "first_length": 5.0, "first_radius": 1.0, "step": 0.7}
            found.append(epoch_sgd(oracle, x, y, **options))
    assert torch.equal(*found)


def test_the_released_script_is_refused() -> None:
    with pytest.raises(InputError, match="exists for example3 only"):
        solve(Hoelder(), "unibio_released", steps=2)


@pytest.mark.slow
def test_the_paper_s_method_goes_to_the_minimum() -> None:
    """Without noise from (1, 1), for whole and broken p: to within the length η/(1−β) over which momentum swings."""
    for p in (2, 2.5, 4):
        spec = Hoelder(exponent=p, dimension=2)
        swing = 0.01 / (1 - 0.9)
        result = solve(spec, "unibio", steps=300, upper_step=0.01, momentum=0.9)
        assert float(torch.linalg.vector_norm(result.x)) < swing < math.sqrt(2), "x_0 is √2 away"


def test_a_start_is_in_every_coordinate_and_a_row_s_own() -> None:
    x, y = Hoelder(dimension=3, start_x=-0.5, start_y=tensor([[0.0], [2.0]])).build().start
    assert x.tolist() == [-0.5] * 3
    assert y.tolist() == [[0.0] * 3, [2.0] * 3]


@given(u=points, y=points, shape=st.sampled_from(SHAPES), p=st.sampled_from(EXPONENTS))
def test_gap_and_bias_are_what_they_are_called(u: float, y: float, shape: str, p: float) -> None:
    """The gap by its definition, the bias by the exact estimator at y."""
    problem = Hoelder(exponent=p, shape=shape, start_x=u, start_y=y).build()
    at = [start[None] for start in problem.start]
    found = problem.metrics(*at)
    best = solution(u, p)

    def lower(v: float) -> float:
        return abs(v) ** p / p - v * s(u)

    assert float(found["lower_gap"]) == pytest.approx(max(0.0, lower(y) - lower(best)), rel=1e-9, abs=1e-9)
    exact = reference(oracle_of(problem, *at), *at, floor=1e-9).value - problem.closed_form.gradient(at[0])
    assert float(found["hypergradient_bias"]) == pytest.approx(abs(float(exact)), abs=2e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exponent": 1.5}, r"problem\.exponent = 1\.5 is not accepted: .*≥ 2"),
        ({"exponent": float("nan")}, r"problem\.exponent"),
        ({"shape": "flat"}, "one of symmetric, asymmetric"),
        ({"dimension": 0}, r"problem\.dimension = 0"),
        ({"mixing_seed": -1}, r"problem\.mixing_seed"),
        ({"noise": -1.0}, r"problem\.noise"),
        ({"hessian_noise": tensor([[0.1], [-1.0]])}, r"problem\.hessian_noise"),
    ],
)
def test_bad_input(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Hoelder(**options)
