"""Algorithm 2 and the released variant: golden trajectories, exact counts, edge cases, hyper-parameters."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from references import unibio_numpy as reference
from support import iterates, mixing_of, numbers, oracle_of
from unibio import ClosedForm, Coordinatewise, Draw, Example3, InputError, Problem, solve
from unibio.algorithms.released import ReleasedUniBiO
from unibio.algorithms.unibio import UniBiO
from unibio.core.epoch_sgd import steps_taken
from unibio.core.streams import Streams

HERE = Path(__file__).parents[1]


# Golden trajectories ------------------------------------------------------------------------------------------------

CASES = {
    # every option away from its default somewhere, so that no default can stand in for it
    "paper": {},
    "other": {
        "lower_step": 0.6, "momentum": 0.6, "period": 3, "inner_budget": 60, "warm_budget": 200, "first_length": 4.4,
        "first_radius": 0.5, "average": "last", "neumann_terms": 5, "neumann_step": 0.35, "floor": 0.2,
    },
}  # fmt: skip


@pytest.mark.one_in(8)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("d", [1, 10])
@pytest.mark.parametrize("p", [2, 4, 6, 8])
def test_golden_trajectory(p, d, case):
    """120 noisy iterations of Algorithm 2 in NumPy, fed the same numbers: every iterate to 1e−10."""
    steps, eta = 120, 0.03 * d**0.5
    noise = {"noise": 1.0, "upper_noise": 0.04}
    spec = Example3(exponent=p, **noise) if d == 1 else Coordinatewise(exponent=p, dimension=d, **noise)
    problem = spec.build()
    algorithm = UniBiO(upper_step=eta, **CASES[case])
    x0, y0 = (start[None].repeat(2, 1) for start in problem.start)
    seeds = [5, -17]
    ours = iterates(problem, algorithm, x0, y0, steps, seeds)
    a = algorithm
    for row, seed in enumerate(seeds):
        expected = reference.unibio(
            reference.Mixed(p, mixing_of(problem, d)), x0[row].numpy(), y0[row].numpy(), steps,
            eta=eta, gamma=a.lower_step, beta=a.momentum, I=a.period, K=a.inner_budget,
            K0=a.warm_budget or a.inner_budget, T1=a.first_length, D1=a.first_radius, Q=a.neumann_terms,
            c=a.neumann_step, floor=a.floor, average=a.average,
            lower_noise=numbers(seed, "lower", d, 1.0), upper_noise=numbers(seed, "upper", d, 0.2),
        )  # fmt: skip
        # the reference's path holds the y of the iteration that led to x_t, as the state does
        np.testing.assert_allclose(ours["x"][:, row], [x for x, _, _ in expected], rtol=0, atol=1e-10)
        np.testing.assert_allclose(ours["y"][:, row], [y for _, y, _ in expected], rtol=0, atol=1e-10)
        np.testing.assert_allclose(ours["state"]["momentum"][row], expected[-1][2], rtol=0, atol=1e-10)
    assert np.linalg.norm(ours["x"][-1] - ours["x"][0]) > 0.5  # it went somewhere
    assert np.abs(ours["x"][:, 0] - ours["x"][:, 1]).max() > 1e-3  # and the noise mattered


# An exponent that is not the problem's ------------------------------------------------------------------------------


@pytest.mark.one_in(2)
@pytest.mark.parametrize("told", [None, 4])
def test_told_its_own_exponent_it_goes_its_own_way(told):
    """To the bit, through the compiled loops and without them."""
    options = {"steps": 25, "seed": 3, "neumann_step": 0.7}
    for spec in (Coordinatewise(exponent=4, dimension=3, noise=0.3), Coordinatewise(exponent=4, hessian_noise=0.1)):
        one, other = (solve(spec, "unibio", assumed_exponent=p, **options) for p in (told, None))
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)


@pytest.mark.parametrize("told", [2, 3, 6, 8])
def test_told_another_exponent_it_goes_by_that(told):
    """Epoch-SGD's epochs and D are those of p': 30 iterations of the reference, which is told so, too."""

    class Told(reference.Mixed):
        """Its derivatives are those of p = 4; ``p``, by which the reference goes, is p'."""

        def grad_lower(self, x, y):
            return y**3 - np.sin(self.R @ x)

        def hessian(self, y):
            return np.diag(3 * y**2)

        def grad_upper_y(self, y):
            return np.where(np.abs(y**3) <= np.pi / 2, np.cos(y**3), 0.0) * 3 * y**2

    d, steps = 3, 30
    spec = Coordinatewise(exponent=4, dimension=d, noise=0.04)
    problem = spec.build()
    a = UniBiO(upper_step=0.05, neumann_step=0.1, assumed_exponent=told)
    x0, y0 = (start[None] for start in problem.start)
    ours = iterates(problem, a, x0, y0, steps, [7])
    expected = reference.unibio(
        Told(told, mixing_of(problem, d)), x0[0].numpy(), y0[0].numpy(), steps,
        eta=0.05, gamma=a.lower_step, beta=a.momentum, I=a.period, K=a.inner_budget, K0=a.inner_budget,
        T1=a.first_length, D1=a.first_radius, Q=a.neumann_terms, c=0.1, floor=a.floor,
        lower_noise=numbers(7, "lower", d, 0.2), upper_noise=lambda: np.zeros(d),
    )  # fmt: skip
    np.testing.assert_allclose(ours["x"][:, 0], [x for x, _, _ in expected], rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours["y"][:, 0], [y for _, y, _ in expected], rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore:neumann_step")
def test_what_is_said_of_the_sum_is_said_of_the_exponent_that_is_assumed():
    """λ_max(D⁻¹∇²_yy g) is 1 with the problem's p = 4; with p' = 6 it is 3y²/5y⁴ at the smallest y."""
    spec = Coordinatewise(exponent=4, dimension=3)
    assert solve(spec, "unibio", steps=1).runs["neumann_lambda_max"].item() == pytest.approx(1)
    told = solve(spec, "unibio", steps=1, assumed_exponent=6, period=9)
    assert told.runs["neumann_lambda_max"].item() == pytest.approx(0.6 / float(told.y.abs().min()) ** 2, rel=1e-3)


# The released script ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2, 4, 6, 8])
def test_golden_trajectory_of_the_released_script(p):
    steps, seeds = 150, [3, 4]
    problem = Example3(exponent=p, noise=10.0, noise_reading="std").build()
    options = {"upper_step": 0.02, "lower_step": 0.15, "momentum": 0.85, "period": 3, "inner_budget": 20}
    a = ReleasedUniBiO(**options, first_length=4.0, first_radius=4.0, gradient_noise=0.3)
    x0 = torch.ones(2, 1, dtype=torch.float64)
    ours = iterates(problem, a, x0, torch.full_like(x0, 99.0), steps, seeds)  # the given y is not used
    clipped = 0
    for row, seed in enumerate(seeds):
        noise = numbers(seed, "hypergradient", 1, 1.0)
        expected = reference.released(
            reference.Mixed(p, [[1.0]]), np.ones(1), steps, eta=0.02, gamma=0.15, beta=0.85, I=3, K=20, T1=4.0, D1=4.0,
            lower_noise=numbers(seed, "lower", 1, 10.0), start=numbers(seed, "start", 1, 1.0),
            gradient_noise=lambda noise=noise: 0.3 * noise(),
        )  # fmt: skip
        np.testing.assert_allclose(ours["x"][:, row], [x for x, _ in expected], rtol=0, atol=1e-10)
        np.testing.assert_allclose(ours["y"][:, row], [y for _, y in expected], rtol=0, atol=1e-10)
        clipped += sum(bool((np.abs(y ** (p - 1)) > np.pi / 2).any()) for _, y in expected)
    assert clipped > 0  # the clip took part


def test_the_reference_stands_alone():
    """It runs with torch and unibio blocked, so that it cannot share code with what it checks."""
    program = """
        import sys

        class Block:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("torch", "unibio"):
                    raise ImportError(name)

        sys.meta_path.insert(0, Block())
        try:
            import torch
        except ImportError:
            pass
        else:
            sys.exit("the block does not work")
        import numpy as np
        from references import unibio_numpy as r
        none = lambda: np.zeros(1)
        path = r.unibio(r.Mixed(4, [[1.0]]), np.ones(1), np.ones(1), 90, eta=0.03, gamma=1.0, beta=0.9, I=2, K=100,
                        K0=100, T1=5, D1=1.0, Q=3, c=1.0, floor=1e-3, lower_noise=none, upper_noise=none)
        norms = [abs(np.cos(x) * np.cos(np.sin(x)))[0] for x, _, _ in path]
        sys.exit(0 if [n < 0.1 for n in norms].index(True) == 80 else f"unexpected: {norms}")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.one_in(2)
@pytest.mark.parametrize("p", [2, 4, 6, 8])
def test_iterations_to_a_tenth_are_those_of_the_step_not_of_p(p):
    """Deterministic Example 3: 48, 80, 120, 239 iterations for these steps, whatever p."""
    result = solve(
        Example3(exponent=p), upper_step=[0.05, 0.03, 0.02, 0.01], steps=250, targets={"hypergradient_norm": [0.1]}
    )
    assert result.runs["iterations_to hypergradient_norm<0.1"].tolist() == [48, 80, 120, 239]
    assert result.status == ["completed"] * 4


def test_equal_curves_in_one_dimension():
    """φ does not depend on p and a normalised step in one dimension sees a sign: the trajectories in x coincide."""
    paths = [
        iterates(Example3(exponent=p).build(), UniBiO(), *(torch.ones(1, 1, dtype=torch.float64),) * 2, 60, [0])["x"]
        for p in (2, 4, 6, 8)
    ]
    for path in paths[1:]:
        np.testing.assert_allclose(path, paths[0], atol=1e-12)
    # while in several dimensions the estimator's quality shows
    x0, y0 = (start[None] for start in Coordinatewise().build().start)
    far = [iterates(Coordinatewise(exponent=p).build(), UniBiO(), x0, y0, 60, [0])["x"][-1] for p in (2, 8)]
    assert np.linalg.norm(far[0] - far[1]) > 1e-3


# Counts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("T", "options"),
    [
        (1, {}),
        (7, {}),
        (8, {"period": 3, "inner_budget": 30, "neumann_terms": 1}),
        (9, {"period": 3, "warm_budget": 400, "neumann_terms": 6, "neumann_samples": "shared"}),
        (5, {"period": 100, "inner_budget": 5, "first_length": 5.0}),
        (6, {"period": 1}),
    ],
)
@pytest.mark.parametrize("p", [2, 4])
def test_exact_counts(p, T, options):
    """grad_lower = n(K_0) + ⌊(T−1)/I⌋ n(K) with n(K) Algorithm 1's steps; T upper gradients, T JVPs, T(Q−1) HVPs."""
    a = UniBiO(**options)
    result = solve(Example3(exponent=p, noise=1.0), a, steps=T)
    lower = steps_taken(a.warm_budget or a.inner_budget, a.first_length, p)
    lower += (T - 1) // a.period * steps_taken(a.inner_budget, a.first_length, p)
    expected = {"grad_upper": T, "grad_lower": lower, "grad_lower_x": 0, "hvp": T * (a.neumann_terms - 1), "jvp": T}
    run, last = result.runs.iloc[0], result.history.iloc[-1]
    for kind, count in expected.items():
        assert run[kind] == last[kind] == count, kind
    assert last["oracle_calls"] == sum(expected.values())
    samples = sum(expected.values())
    assert run["samples"] == samples  # one per call: shared factors reuse a sample but use it again


def test_counts_of_the_released_variant():
    """The closed form counts as one upper gradient an iteration; random starts cost nothing."""
    run = solve(Example3(exponent=4), "unibio_released", steps=10).runs.iloc[0]
    assert (run["grad_upper"], run["grad_lower"], run["hvp"], run["jvp"]) == (10, (1 + 4) * 59, 0, 0)


def test_warm_budget():
    """K_0 = K unless given; the state before the first iteration is one call of Algorithm 1 from y_0 at x_0."""
    problem = Example3(exponent=4).build()
    one = torch.ones(1, 1, dtype=torch.float64)
    ys = {
        options: iterates(problem, UniBiO(**dict(options)), one, one, 1, [0])["y"][0]
        for options in [(), (("warm_budget", 100),), (("warm_budget", 2000),), (("inner_budget", 2000),)]
    }
    default, same, longer, all_longer = ys.values()
    assert default == same
    assert longer == all_longer
    assert abs(longer - np.sin(1) ** (1 / 3)) < 1e-7 < abs(default - np.sin(1) ** (1 / 3))


# Edges --------------------------------------------------------------------------------------------------------------


def flat_problem(d: int) -> Problem:
    """f = 0: every hypergradient is exactly 0."""
    return Problem(
        upper=lambda x, y: 0.0 * y.sum(-1), lower=lambda x, y: (0.5 * (y - x) ** 2).sum(-1), batched=True,
        metrics=lambda x, y: {"gap": (x - y).norm(dim=-1)},
    )  # fmt: skip


@pytest.mark.parametrize("d", [1, 3])
def test_zero_momentum_leaves_x_in_place(d):
    x0 = torch.linspace(-1, 1, 2 * d, dtype=torch.float64).reshape(2, d)
    result = solve(flat_problem(d), "unibio", x0, torch.zeros(2, d), steps=20)
    assert torch.equal(result.x, x0)
    assert result.status == ["completed"] * 2
    assert float((result.y - x0).abs().max()) < 1e-3  # the lower level is solved all the same


@pytest.mark.filterwarnings("ignore:neumann_step")
def test_a_momentum_that_is_not_a_number_is_not_mistaken_for_zero():
    """An overflowing Neumann sum must end as divergence, not as an x that stays in place."""
    result = solve(Example3(exponent=4), steps=4, neumann_terms=300, neumann_step=[1.0, 1e12])
    assert result.status == ["completed", "diverged"]
    assert result.runs["stopped_at"].tolist() == [4, 1]
    assert float(result.x[1]) == 1.0  # the last finite iterate


def test_normalised_step_length():
    """Every x step has length η exactly, in every dimension."""
    x0, y0 = (start[None] for start in Coordinatewise(noise=1.0).build().start)
    path = iterates(Coordinatewise(noise=1.0).build(), UniBiO(upper_step=0.07), x0, y0, 30, [1])["x"][:, 0]
    np.testing.assert_allclose(np.linalg.norm(np.diff(path, axis=0), axis=1), 0.07, rtol=1e-12)


def test_upper_projection():
    """x stays feasible: f = −x₁ pulls out of the unit box."""
    problem = Problem(
        upper=lambda x, y: -x[:, 0] + 0 * y.sum(-1), lower=lambda x, y: (0.5 * y**2 - 0 * x * y).sum(-1),
        project_upper=lambda x: x.clamp(-1, 1), batched=True,
    )  # fmt: skip
    result = solve(problem, "unibio", [0.0, 0.5], [0.0, 0.0], steps=50, upper_step=0.1)
    assert result.x.tolist() == [1.0, 0.5]


def test_an_unstable_neumann_step_is_said_once():
    with pytest.warns(UserWarning, match=r"not below 2/λ_max in 2 of 3 runs") as caught:
        result = solve(Example3(exponent=4), steps=2, neumann_step=[1.0, 2.1, 3.0])
    assert len(caught) == 1
    assert "neumann_step < 2 " in result.warnings[0]
    np.testing.assert_allclose(result.runs["neumann_lambda_max"], 1.0)
    assert solve(Example3(exponent=4), steps=2, neumann_step=5.0, neumann_terms=1).warnings == ()


def test_lower_level_constraints_are_refused():
    problem = dataclasses.replace(flat_problem(1), project_lower=lambda y: y.clamp(0, 1))
    with pytest.raises(InputError, match="project_lower"):
        solve(problem, "unibio", 0.0, 0.0, steps=1)


# Hyper-parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("upper_step", 0.0, "> 0"),
        ("upper_step", -1, "> 0"),
        ("upper_step", float("nan"), "> 0"),
        ("upper_step", float("inf"), "> 0"),
        ("upper_step", "0.1", "must be a number"),
        ("upper_step", True, "must be a number"),
        ("upper_step", None, "must be a number"),
        ("lower_step", 0.0, "> 0"),
        ("momentum", 1.0, "≥ 0 and < 1"),
        ("momentum", -0.1, "≥ 0 and < 1"),
        ("period", 0, "≥ 1"),
        ("period", 2.0, "must be an integer"),
        ("inner_budget", 0, "≥ 1"),
        ("warm_budget", 0, "an integer or null; accepted: ≥ 1"),
        ("warm_budget", 1.5, "an integer or null"),
        ("first_length", 0.5, "≥ 1"),
        ("first_radius", 0.0, "> 0"),
        ("average", "middle", "one of first, last"),
        ("neumann_terms", 0, "≥ 1"),
        ("neumann_step", 0.0, "> 0"),
        ("neumann_samples", "new", "one of fresh, shared"),
        ("floor", 0.0, "> 0"),
    ],
)
def test_hyper_parameters_are_checked(name, value, accepted):
    with pytest.raises(InputError, match=rf"algorithm\.{name} = .*{accepted}"):
        solve(Example3(), "unibio", steps=1, **{name: value})


def test_boundaries_are_accepted():
    solve(Example3(), steps=2, momentum=0.0, period=1, inner_budget=1, first_length=1.0, neumann_terms=1)
    solve(Example3(), "unibio_released", steps=2, gradient_noise=0.0, momentum=0.0)


@pytest.mark.parametrize(
    ("value", "said"),
    [([0.1, -0.1], r"algorithm\.upper_step = .*> 0"), ([0.1, float("nan")], "upper_step: nan is not a finite number")],
)
def test_axes_are_checked_like_numbers(value, said):
    with pytest.raises(InputError, match=said):
        solve(Example3(), steps=1, upper_step=value)


# The released variant -----------------------------------------------------------------------------------------------


def test_released_follows_the_closed_form():
    """Without noise the clip is never reached, and x falls as under the closed form, whatever p."""
    result = solve(
        Example3(exponent=8), "unibio_released", steps=250, upper_step=[0.05, 0.03, 0.02, 0.01], gradient_noise=0.0,
        targets={"hypergradient_norm": [0.1]},
    )  # fmt: skip
    assert result.runs["iterations_to hypergradient_norm<0.1"].tolist() == [48, 80, 120, 239]


def test_released_clip_decides():
    """The lower-level iterate's only say: outside the clip the gradient is 0."""
    built = Example3(exponent=4).build()
    for inside, moves in ((True, True), (False, False)):
        known = dataclasses.replace(
            built.closed_form, inside_clip=lambda y, inside=inside: torch.full_like(y, inside, dtype=torch.bool)
        )
        problem = dataclasses.replace(built, closed_form=known)
        result = solve(problem, "unibio_released", steps=5, gradient_noise=0.0)
        assert (float(result.x) != 1.0) == moves


def test_released_starts_afresh_every_time():
    """A fresh N(0, 1) start for every call of Epoch-SGD; with a ball too small to leave, y is (nearly) that start."""
    problem = Example3(exponent=4).build()
    one = torch.ones(1, 1, dtype=torch.float64)
    ys = iterates(problem, ReleasedUniBiO(first_radius=1e-9), one, one, 6, [7])["y"][:, 0, 0]
    starts = [float(Draw(Streams([7]), "start", i).normal(1)) for i in range(3)]
    # calls at init and at t = 2, 4; the state after iteration t holds the y of iteration t
    np.testing.assert_allclose(ys, np.array(starts)[[0, 0, 0, 1, 1, 2, 2]], atol=1e-8)


@pytest.mark.parametrize(
    "problem",
    [
        flat_problem(1),
        Coordinatewise(),
        dataclasses.replace(flat_problem(1), closed_form=ClosedForm(gradient=lambda x: x)),
    ],
)
def test_released_needs_a_closed_form_and_a_clip(problem):
    start = (None, None) if isinstance(problem, Coordinatewise) else (1.0, 1.0)
    with pytest.raises(InputError, match=r"unibio_released steps along a closed-form.*example3 only.*unibio"):
        solve(problem, "unibio_released", *start, steps=1)


def test_algorithms_hold_no_state():
    """One object, two runs: the same numbers."""
    algorithm, problem = UniBiO(), Example3(noise=1.0)
    assert torch.equal(solve(problem, algorithm, steps=5).x, solve(problem, algorithm, steps=5).x)
    with pytest.raises(dataclasses.FrozenInstanceError):
        algorithm.period = 3  # type: ignore[misc]


def test_diagnosis_costs_the_run_nothing():
    """λ_max is found on an oracle of its own: neither counts nor draws of the run change."""
    problem = Example3(exponent=4, noise=1.0).build()
    one = torch.ones(1, 1, dtype=torch.float64)
    oracle = oracle_of(problem, one, one, [0])
    state = UniBiO().init(oracle, one, one)
    before = (oracle.state()["total"], oracle.state()["drawn"])
    UniBiO().diagnose(oracle_of(problem, one, one, [0]), state)
    assert (oracle.state()["total"], oracle.state()["drawn"]) == before
