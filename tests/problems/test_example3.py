"""Example 3's closed forms against brute force, its convexity, and its noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from support import oracle_of, tensor
from unibio import Coordinatewise, Draw, Example3, InputError, solve
from unibio.core.powers import abs_power, away_from_zero, scale, signed_power, signed_root
from unibio.core.separable import saturating
from unibio.core.streams import Streams
from unibio.pipeline.composing import composer, expand
from unibio.problems.saturation import saturated, saturating_slope

EXPONENTS = [2, 4, 6, 8]
#: μ of uniform convexity of y^p/p on the whole line, rounded to four digits, which the tests allow for.
MODULI = {2: 1.0, 4: 1 / 3, 6: 0.1013, 8: 0.0292}
ROUNDED = 0.998
points = st.floats(-10, 10)

# Powers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0, 1, 2, 3, 4, 5, 6, 7, 13, 0.5, 1.5, 2.7])
def test_powers(q):
    y = np.array([-2.5, -1.0, -1e-3, 0.0, 1e-3, 1.0, 2.5])
    np.testing.assert_allclose(abs_power(tensor(y), q), np.abs(y) ** q, rtol=1e-14)
    np.testing.assert_allclose(signed_power(tensor(y), q), np.sign(y) * np.abs(y) ** q, rtol=1e-14)
    if q:
        np.testing.assert_allclose(signed_root(signed_power(tensor(y), q), q), y, rtol=1e-12)
        np.testing.assert_allclose(signed_power(signed_root(tensor(y), q), q), y, rtol=1e-12)


@pytest.mark.parametrize("p", [2, 2.5, 3, 4, 6, 7])
def test_scale_is_the_derivative_of_the_signed_power(p):
    y = tensor([-2.0, -0.3, 0.0, 0.3, 2.0]).requires_grad_()
    (derivative,) = torch.autograd.grad(signed_power(y, p - 1).sum(), y)
    expected = scale(y.detach(), p)
    inner = [0, 1, 3, 4] if p in (2.5, 3) else [0, 1, 2, 3, 4]  # sign(y)|y|^q has a kink in autograd at 0 for them
    np.testing.assert_allclose(derivative[inner], expected[inner], rtol=1e-12)
    assert float(expected[2]) == (1 if p == 2 else 0)


@pytest.mark.parametrize("q", [2, 3, 4, 5, 2.5])
def test_second_derivative_of_powers_at_zero_is_finite(q):
    """|y|^q is differentiated twice by HVPs: 0 at y = 0, also for odd and broken q; 2 for q = 2."""
    y = tensor([0.0, 0.5, -0.5]).requires_grad_()
    (first,) = torch.autograd.grad(abs_power(y, q).sum(), y, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), y)
    np.testing.assert_allclose(second, q * (q - 1) * np.array([0.0 if q > 2 else 1.0, 0.5 ** (q - 2), 0.5 ** (q - 2)]))


def test_away_from_zero():
    y = tensor([-2.0, -0.01, -0.0, 0.0, 0.01, 2.0])
    assert away_from_zero(y, 0.1).tolist() == [-2.0, -0.1, 0.1, 0.1, 0.1, 2.0]


# Closed forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [-2.5, -1.0, -0.2, 0.0, 0.3, 1.0, 1.5, 2.9])
@pytest.mark.parametrize("p", EXPONENTS)
def test_closed_forms_against_brute_force(p, x):
    problem = Example3(exponent=p).build()
    known = problem.closed_form

    def g(y: float, x: float = x) -> float:
        return float(problem.lower(tensor([[x]]), tensor([[y]]), None))

    def f(x: float, y: float) -> float:
        return float(problem.upper(tensor([[x]]), tensor([[y]]), None))

    assert g(0.7) == pytest.approx(0.7**p / p - 0.7 * math.sin(x), abs=1e-15)  # the paper's g
    found = minimize_scalar(g, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 1e-12}).x
    solution = float(known.solution(tensor([[x]])))
    # g is as flat as |y − y*|^p: values decide y* only that well
    assert g(solution) <= g(found) + 1e-15
    assert abs(solution - found) < (1e-6 if p == 2 else 0.01)
    assert abs(solution ** (p - 1) - math.sin(x)) < 1e-14  # the optimality condition decides it well

    def value(x: float) -> float:
        s = math.copysign(abs(math.sin(x)) ** (1 / (p - 1)), math.sin(x))
        return f(x, s)

    assert float(known.value(tensor([[x]]))) == pytest.approx(value(x), abs=1e-14)
    assert float(known.value(tensor([[x]]))) == pytest.approx(math.sin(math.sin(x)), abs=1e-15)
    h = 1e-4
    slope = (8 * (value(x + h) - value(x - h)) - value(x + 2 * h) + value(x - 2 * h)) / (12 * h)
    assert float(known.gradient(tensor([[x]]))) == pytest.approx(slope, abs=1e-10)


@pytest.mark.parametrize("mixing", ["qr", "hadamard"])
@pytest.mark.parametrize("p", EXPONENTS)
def test_coordinatewise_is_example3_in_mixed_coordinates(p, mixing):
    """u = R x with orthogonal R: every quantity is the sum, or the vector, of one-dimensional ones at u_i."""
    problem = Coordinatewise(exponent=p, dimension=5, mixing_seed=3, mixing=mixing).build()
    one = Example3(exponent=p).build()
    rng = np.random.default_rng(0)
    x, y = tensor(rng.normal(size=(4, 5))), tensor(rng.normal(size=(4, 5)))
    zero = torch.zeros(5, 5, dtype=torch.float64)
    R = -problem.derivatives["jvp"](zero, zero, torch.eye(5, dtype=torch.float64), None)
    np.testing.assert_allclose(R @ R.T, np.eye(5), atol=1e-14)
    assert float((R - torch.diag(R.diag())).abs().max()) > 0.3  # it mixes
    u = x @ R.T

    def per_coordinate(function, *arguments):
        return torch.stack([function(*(a[:, i : i + 1] for a in arguments)).flatten() for i in range(5)], dim=1)

    for name in ("upper", "lower"):
        loss = getattr(one, name)
        expected = per_coordinate(lambda u, y, loss=loss: loss(u, y, None), u, y).sum(1)
        np.testing.assert_allclose(getattr(problem, name)(x, y, None), expected, atol=1e-13)
    np.testing.assert_allclose(problem.closed_form.solution(x), per_coordinate(one.closed_form.solution, u), atol=1e-13)
    np.testing.assert_allclose(problem.closed_form.value(x), per_coordinate(one.closed_form.value, u).sum(1))
    np.testing.assert_allclose(problem.closed_form.gradient(x), per_coordinate(one.closed_form.gradient, u) @ R)
    np.testing.assert_allclose(problem.start[0] @ R.T, np.linspace(0.5, 1.5, 5), atol=1e-14)
    assert problem.start[1].tolist() == [1.0] * 5


def test_mixing_depends_on_its_seed_alone():
    def start(**options):
        return Coordinatewise(**options).build().start[0]

    assert torch.equal(start(exponent=4), start(exponent=8))
    assert not torch.allclose(start(mixing_seed=1), start(mixing_seed=2))


@pytest.mark.parametrize("p", EXPONENTS)
def test_metrics(p):
    problem = Example3(exponent=p).build()
    x, y = tensor([[1.0], [-0.4]]), tensor([[0.9], [0.2]])
    metrics = problem.metrics(x, y)
    x, y = x.numpy(), y.numpy()
    np.testing.assert_allclose(metrics["hypergradient_norm"], np.abs(np.cos(x) * np.cos(np.sin(x))).flatten())
    np.testing.assert_allclose(metrics["value"], np.sin(np.sin(x)).flatten())
    root = np.sign(np.sin(x)) * np.abs(np.sin(x)) ** (1 / (p - 1))
    np.testing.assert_allclose(metrics["lower_error"], np.abs(y - root).flatten())


@pytest.mark.parametrize("p", EXPONENTS)
def test_clip(p):
    """±1 beyond |y^{p−1}| = π/2, continuous there, with derivative 0."""
    problem = Example3(exponent=p).build()
    edge = (math.pi / 2) ** (1 / (p - 1))
    y = tensor([[1.01 * edge], [-1.5 * edge], [40.0], [edge * (1 - 1e-9)], [-edge * (1 - 1e-9)]])
    x = torch.zeros_like(y)
    np.testing.assert_allclose(problem.upper(x, y, None), [1, -1, 1, 1, -1], atol=1e-12)
    f_x, f_y = problem.derivatives["grad_upper"](x, y, None)
    assert f_y.flatten()[:3].tolist() == [0.0, 0.0, 0.0]
    assert problem.closed_form.inside_clip(y).flatten().tolist() == [False, False, False, True, True]
    assert torch.equal(f_x, x)


# Uniform convexity and regularity -----------------------------------------------------------------------------------


def bregman(p: int, y1: float, y2: float, x: float = 0.3) -> float:
    """g(y2) − g(y1) − g'(y1)(y2 − y1), by the problem's own loss and gradient."""
    problem = Example3(exponent=p).build()
    at, to, x = tensor([[y1]]), tensor([[y2]]), tensor([[x]])
    slope = problem.derivatives["grad_lower"](x, at, None)
    return float(problem.lower(x, to, None) - problem.lower(x, at, None) - (slope * (to - at)).sum())


@pytest.mark.parametrize("p", EXPONENTS)
@given(y1=points, y2=points)
def test_uniform_convexity(p, y1, y2):
    rounding = 1e-13 * max(1.0, abs(y1), abs(y2)) ** p
    assert bregman(p, y1, y2) >= ROUNDED * MODULI[p] / p * abs(y2 - y1) ** p - rounding


@pytest.mark.one_in(4)
@pytest.mark.parametrize("p", EXPONENTS)
def test_moduli_are_sharp(p):
    """A modulus 1 % larger is refuted, so that the inequality above says something."""
    y2 = np.linspace(-3, 3, 601)
    ratio = [bregman(p, 1.0, float(y)) / (abs(y - 1) ** p / p) for y in y2 if abs(y - 1) > 0.05]
    assert ROUNDED * MODULI[p] <= min(ratio) < 1.01 * MODULI[p]


@pytest.mark.parametrize("p", EXPONENTS)
@given(x1=points, x2=points)
def test_lower_solution_is_hoelder(p, x1, x2):
    """Lemma 4.2 with exponent 1/(p−1): adding two uniform convexity inequalities gives (2μ/p)|Δy|^{p−1} ≤ |Δx|."""
    solution = Example3(exponent=p).build().closed_form.solution
    difference = float((solution(tensor([[x1]])) - solution(tensor([[x2]]))).abs())
    constant = (p / (2 * ROUNDED * MODULI[p])) ** (1 / (p - 1))
    assert difference <= constant * abs(x1 - x2) ** (1 / (p - 1)) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("p", [4, 6, 8])
def test_lower_solution_is_no_better_than_hoelder(p):
    """At x = 0 the exponent 1/(p−1) is attained: |y*(h)| = h^{1/(p−1)} (1 + o(1)), so y* is not Lipschitz."""
    solution = Example3(exponent=p).build().closed_form.solution
    h = np.array([1e-3, 1e-5, 1e-7])
    y = solution(tensor(h[:, None])).flatten().numpy()
    assert np.polyfit(np.log(h), np.log(y), 1)[0] == pytest.approx(1 / (p - 1), abs=1e-4)


@given(x1=points, x2=points)
def test_phi_is_smooth(x1, x2):
    """Eqs. (8) and (9) with L_{φ1} = 0: |φ''| ≤ 2 for φ = sin sin x."""
    known = Example3(exponent=6).build().closed_form
    a, b = tensor([[x1]]), tensor([[x2]])
    assert float((known.gradient(a) - known.gradient(b)).abs()) <= 2 * abs(x1 - x2) + 1e-12
    bound = known.value(b) + (known.gradient(b) * (a - b)).sum() + (x1 - x2) ** 2
    assert float(known.value(a)) <= float(bound) + 1e-12


# Noise --------------------------------------------------------------------------------------------------------------

LEVEL = 10.0
COUNT = 200_000
#: Deviations allowed, in standard errors: P(|z| > 5) = 6·10⁻⁷ for each comparison, were the seeds not fixed.
SIGMAS = 5


def noise_of(spec, which: str) -> np.ndarray:
    """Noise on a gradient, COUNT numbers: the oracle's answer minus the deterministic one, over many seeds."""
    problem = spec.build()
    runs = COUNT // 4
    x = torch.full((runs, 1), 0.4, dtype=torch.float64)
    y = torch.full((runs, 1), 0.8, dtype=torch.float64)
    oracle = oracle_of(problem, x, y, list(range(runs)))
    rows = []
    for _ in range(4):
        if which == "lower":
            rows.append(oracle.grad_lower(x, y) - problem.derivatives["grad_lower"](x, y, None))
        else:
            rows.append(oracle.grad_upper(x, y)[0])
    return torch.stack(rows).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "which", "std"),
    [
        (Example3(noise=LEVEL), "lower", math.sqrt(LEVEL)),
        (Example3(noise=LEVEL, noise_reading="std"), "lower", LEVEL),
        (Example3(noise=0.01), "lower", 0.1),
        (Example3(upper_noise=9.0), "upper", 3.0),
        (Example3(upper_noise=9.0, noise_reading="std"), "upper", 9.0),
    ],
)
def test_noise_has_mean_zero_and_the_stated_size(spec, which, std):
    noise = noise_of(spec, which)
    assert abs(noise.mean()) < SIGMAS * std / math.sqrt(COUNT)
    assert abs(noise.var() / std**2 - 1) < SIGMAS * math.sqrt(2 / COUNT)
    successive = np.mean(noise[:-1] * noise[1:]) / std**2
    assert abs(successive) < SIGMAS / math.sqrt(3 * COUNT / 4)  # samples of successive calls are uncorrelated
    neighbours = np.mean(noise[:, :-1] * noise[:, 1:]) / std**2
    assert abs(neighbours) < SIGMAS / math.sqrt(COUNT)  # and so are those of neighbouring seeds


def test_noise_per_run():
    """Levels as (runs, 1): rows of one seed share their numbers, scaled."""
    levels = tensor([[0.0], [1.0], [4.0]])
    problem = Example3(noise=levels).build()
    sample = problem.sample_lower(Draw(Streams([6, 6, 6]), "lower", 0)).flatten()
    assert float(sample[0]) == 0
    assert float(sample[2]) == 2 * float(sample[1]) != 0


def test_noise_enters_gradients_and_nothing_else():
    """Linear terms: the losses shift by ⟨ζ, y⟩ and ⟨ξ, x⟩, gradients by ζ and ξ, second derivatives not at all."""
    problem = Coordinatewise(dimension=3, noise=1.0, upper_noise=1.0).build()
    x, y, v = (tensor(np.random.default_rng(i).normal(size=(2, 3))) for i in range(3))
    zeta, xi = (Draw(Streams([0, 1]), purpose, 0).normal(3) for purpose in ("a", "b"))
    own = problem.derivatives
    np.testing.assert_allclose(problem.lower(x, y, zeta) - problem.lower(x, y, None), (zeta * y).sum(1))
    np.testing.assert_allclose(problem.upper(x, y, xi) - problem.upper(x, y, None), (xi * x).sum(1))
    np.testing.assert_allclose(own["grad_lower"](x, y, zeta) - own["grad_lower"](x, y, None), zeta)
    np.testing.assert_allclose(own["grad_upper"](x, y, xi)[0] - own["grad_upper"](x, y, None)[0], xi)
    for name in ("hvp", "jvp"):
        assert torch.equal(own[name](x, y, v, zeta), own[name](x, y, v, None))


def test_saturation_is_smooth_and_bounded():
    """R' = s̄(z), s̄ is odd, continuous with its slope, the identity up to 1.5 and 2 from 2.5 on."""
    z = torch.linspace(-4, 4, 1601, dtype=torch.float64)
    numeric = (saturating(z + 1e-6) - saturating(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(numeric, saturating_slope(z), atol=1e-6)
    np.testing.assert_allclose(saturating(tensor([0.7, -1.5, 2.5, -9.0])), [0.7, -1.5, 2.0, -2.0], atol=1e-15)
    for p in EXPONENTS:
        y = torch.linspace(-1.9, 1.9, 400, dtype=torch.float64)
        numeric = (saturated(y + 1e-6, p) - saturated(y - 1e-6, p)) / 2e-6
        np.testing.assert_allclose(numeric, saturating(signed_power(y, p - 1)), atol=1e-8)
    np.testing.assert_allclose(saturated(tensor([0.9]), 4), 0.9**4 / 4, rtol=1e-14)


ALL_NOISES = {"noise": 0.7, "upper_noise": 0.4, "hessian_noise": 0.3, "cross_noise": 0.2}


@pytest.mark.parametrize("p", EXPONENTS)
def test_derivatives_of_noisy_losses(p):
    """Own derivatives of a sample against autograd of its losses, and these against central differences."""
    problem = Coordinatewise(exponent=p, dimension=3, **ALL_NOISES).build()
    rng = np.random.default_rng(p)
    x, y, v = (tensor(rng.uniform(-1.3, 1.3, (4, 3))) for _ in range(3))
    xi, zeta = (
        sampler(Draw(Streams(range(4)), level, 3))
        for sampler, level in ((problem.sample_upper, "upper"), (problem.sample_lower, "lower"))
    )
    own = problem.derivatives
    f = lambda x, y: problem.upper(x, y, xi)  # noqa: E731
    g = lambda x, y: problem.lower(x, y, zeta)  # noqa: E731
    h = 1e-6

    def along(loss, at, other, first):
        columns = []
        for i in range(3):
            step = torch.zeros(3, dtype=torch.float64)
            step[i] = h
            ends = [loss(at + s * step, other) if first else loss(other, at + s * step) for s in (1, -1)]
            columns.append((ends[0] - ends[1]) / (2 * h))
        return torch.stack(columns, -1)

    near = {"atol": 2e-8}
    np.testing.assert_allclose(own["grad_upper"](x, y, xi)[0], along(f, x, y, True), **near)
    np.testing.assert_allclose(own["grad_upper"](x, y, xi)[1], along(f, y, x, False), **near)
    np.testing.assert_allclose(own["grad_lower"](x, y, zeta), along(g, y, x, False), **near)
    np.testing.assert_allclose(own["grad_lower_x"](x, y, zeta), along(g, x, y, True), **near)
    slope = lambda x, y: (own["grad_lower"](x, y, zeta) * v).sum(-1)  # noqa: E731
    np.testing.assert_allclose(own["hvp"](x, y, v, zeta), along(slope, y, x, False), **near)
    np.testing.assert_allclose(own["jvp"](x, y, v, zeta), along(slope, x, y, True), **near)


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("reading", "std"), [("variance", 0.5), ("std", 0.25)])
def test_noise_on_second_derivatives_has_mean_zero_and_the_stated_size(reading, std):
    """Relative noise of d∇_y G/d[y]^{∘(p−1)} and of ∇²_xy G: the same at every y, for p = 8 down to y = 10⁻³."""
    problem = Example3(exponent=8, hessian_noise=0.25, cross_noise=0.25, noise_reading=reading).build()
    own = problem.derivatives
    sample = problem.sample_lower(Draw(Streams(range(COUNT // 4)), "lower", 0))
    one = torch.ones(len(sample), 1, dtype=torch.float64)
    x, by_place = 0.4 * one, []
    for place in (1e-3, 0.8):
        hessian = own["hvp"](x, place * one, one / scale(place * one, 8), sample)  # D⁻¹∇²_yy G
        jacobian = -own["jvp"](x, place * one, one, sample) / math.cos(0.4)
        by_place.append((hessian, jacobian))
        for factor in (hessian - 1, jacobian - 1):
            noise = factor.numpy().ravel()
            assert abs(noise.mean()) < SIGMAS * std / math.sqrt(len(noise))
            assert abs(noise.var() / std**2 - 1) < SIGMAS * math.sqrt(2 / len(noise))
        together = np.mean((hessian - 1).numpy() * (jacobian - 1).numpy()) / std**2
        assert abs(together) < SIGMAS / math.sqrt(len(one))  # they are independent
    np.testing.assert_allclose(by_place[0][0], by_place[1][0], rtol=1e-9)
    gradient = (own["grad_lower"](x, 0.8 * one, sample) - own["grad_lower"](x, 0.8 * one, None)).numpy()
    expected = std * math.hypot(0.8**7, math.sin(0.4))  # ζ' s̄(z) − ζ'' sin x
    assert abs(gradient.mean()) < SIGMAS * expected / math.sqrt(len(one))
    assert abs(gradient.var() / expected**2 - 1) < SIGMAS * math.sqrt(2 / len(one))


def test_noise_on_second_derivatives_moves_no_other_number():
    """A level of 0 beside others gives the trajectory that it gives alone, and ζ is what it is without ζ' and ζ''."""
    draw = Draw(Streams([4, 5]), "lower", 7)
    plain = Coordinatewise(dimension=3, noise=2.0).build().sample_lower(draw)
    among = Coordinatewise(dimension=3, noise=2.0, hessian_noise=0.5, cross_noise=0.5).build().sample_lower(draw)
    assert torch.equal(among[:, 6:], plain)
    one = Coordinatewise(dimension=3, noise=2.0, cross_noise=0.5).build().sample_lower(draw)
    assert torch.equal(one[:, 3:], among[:, 3:])
    assert not one[:, :3].any()
    assert len(torch.unique(among)) == among.numel()
    levels = tensor([[0.0], [0.25]])
    both = solve(
        Example3(noise=1.0, upper_noise=1.0, hessian_noise=levels, cross_noise=levels), "unibio", steps=12, seed=[3, 4]
    )
    plain = solve(Example3(noise=1.0, upper_noise=1.0), "unibio", steps=12, seed=[3, 4])
    assert torch.equal(both.x[0], plain.x[0])
    assert torch.equal(both.y[0], plain.y[0])
    assert not torch.equal(both.y[1], plain.y[1])


@pytest.mark.slow
def test_noise_on_second_derivatives_leaves_names_at_its_default(tmp_path):
    words = ["steps=2", "tracker=none", f"records={tmp_path}"]
    with composer() as compose_one:
        (plain,) = expand(words, compose_one)
        (said,) = expand([*words, "problem.hessian_noise=0", "problem.cross_noise=0"], compose_one)
        (other,) = expand([*words, "problem.cross_noise=0.25"], compose_one)
    assert not {"hessian_noise", "cross_noise"} & set(plain.config["problem"])
    assert said.name == plain.name != other.name


def test_noise_equal_across_batches():
    problem = Example3(noise=2.0).build()
    alone = problem.sample_lower(Draw(Streams([3]), "lower", 17))
    among = problem.sample_lower(Draw(Streams(list(range(-50, 50))), "lower", 17))
    np.testing.assert_allclose(among[53], alone[0], rtol=0, atol=1e-15)


def test_no_noise_no_sampler():
    problem = Example3().build()
    assert problem.sample_lower is None
    assert problem.sample_upper is None
    assert Example3(noise=tensor([[0.0], [1.0]])).build().sample_lower is not None


def test_remembered_values_notice_changes():
    """sin u is kept between the gradients of a lower-level solve; another x, or x written to, must not meet it."""
    problem = Example3(exponent=4).build()
    gradient, y = problem.derivatives["grad_lower"], torch.zeros(1, 1, dtype=torch.float64)
    x = tensor([[0.5]])
    assert float(gradient(x, y, None)) == -math.sin(0.5)
    x += 0.25
    assert float(gradient(x, y, None)) == -math.sin(0.75)
    assert float(gradient(tensor([[1.0]]), y, None)) == -math.sin(1.0)
    assert float(gradient(x, y, None)) == -math.sin(0.75)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(problem.closed_form.value(x).sum(), x)
    assert float(slope) == pytest.approx(float(problem.closed_form.gradient(x.detach())), abs=1e-15)


# Bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exponent": 3}, "exponent = 3 is not accepted: .* even"),
        ({"exponent": 0}, r"problem\.exponent = 0"),
        ({"exponent": 4.0}, "must be an integer"),
        ({"noise": -1.0}, r"problem\.noise = -1\.0 .*≥ 0"),
        ({"noise_reading": "sd"}, "one of variance, std"),
        ({"upper_noise": float("nan")}, r"problem\.upper_noise"),
        ({"hessian_noise": -0.1}, r"problem\.hessian_noise = -0\.1 .*≥ 0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        Example3(**options).build()


def test_unknown_parameter_is_suggested():
    with pytest.raises(InputError, match="Did you mean 'noise_reading'"):
        Example3.create({"noise_readings": "std"})
    with pytest.raises(InputError, match=r"problem\.dimension = 1"):
        Coordinatewise(dimension=1)
