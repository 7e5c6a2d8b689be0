"""Algorithm 1 against values computed by hand, an independent reference, and known solutions."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from references.unibio_numpy import epoch_plan
from references.unibio_numpy import epoch_sgd as reference
from support import oracle_of, regular_problem, tensor
from unibio import Coordinatewise, Draw, Example3, InputError, Problem
from unibio.core.epoch_sgd import epoch_sgd, epochs, project_to_ball, steps_taken
from unibio.core.powers import abs_power
from unibio.core.streams import Streams

# The schedule -------------------------------------------------------------------------------------------------------

# By hand, T_1 = 5, K = 100, τ = 2(p−1)/p:
#   p = 2: τ = 1.    T = 5, 10, 20, 40 (sum 75); the next, 80, would make 155.                     75 steps
#   p = 4: τ = 3/2.  T = 5, 5·2.8284 = 14.142, 5·8 = 40 (sum 59.14); the next is 113.14.           5 + 14 + 40 = 59
#   p = 6: τ = 5/3.  T = 5, 5·3.1748 = 15.874, 5·10.0794 = 50.397 (sum 71.27); the next is 160.    5 + 15 + 50 = 70
#   p = 8: τ = 7/4.  T = 5, 5·3.3636 = 16.818, 5·11.3137 = 56.569 (sum 78.39); the next is 190.27. 5 + 16 + 56 = 77
# γ_k = 1, 1/2, 1/4, 1/8;  D_k = 2^{−(k−1)/p}.
BY_HAND = {
    2: ([5, 10, 20, 40], [1, 0.7071067811865476, 0.5, 0.3535533905932738], 75),
    4: ([5, 14, 40], [1, 0.8408964152537145, 0.7071067811865476], 59),
    6: ([5, 15, 50], [1, 0.8908987181403393, 0.7937005259840998], 70),
    8: ([5, 16, 56], [1, 0.9170040432046712, 0.8408964152537145], 77),
}


@pytest.mark.parametrize("p", BY_HAND)
def test_schedule_by_hand(p):
    lengths, radii, total = BY_HAND[p]
    plan = list(epochs(100, 5, p))
    assert [epoch.length for epoch in plan] == lengths
    assert [epoch.step_factor for epoch in plan] == [1, 0.5, 0.25, 0.125][: len(lengths)]
    np.testing.assert_allclose([epoch.radius_factor for epoch in plan], radii, rtol=1e-15)
    assert steps_taken(100, 5, p) == total


def test_the_real_lengths_decide_not_the_steps_taken():
    # p = 4, T_1 = 5: T_1 + T_2 = 19.142…, although ⌊T_1⌋ + ⌊T_2⌋ = 19
    assert steps_taken(19, 5, 4) == 5
    assert steps_taken(20, 5, 4) == 19
    assert steps_taken(59, 5, 4) == 19  # T_1 + T_2 + T_3 = 59.142…, and the floors make 59
    assert steps_taken(60, 5, 4) == 59
    assert steps_taken(100, 2.5, 2) == 2 + 5 + 10 + 20 + 40  # 2.5 + 5 + 10 + 20 + 40 = 77.5
    assert steps_taken(75, 5, 2) == 75  # "≤ K": the budget may be used up
    assert steps_taken(74, 5, 2) == 35


@pytest.mark.parametrize(("p", "first", "k"), [(2.5, 1, 5), (3, 7, 3), (5, 3, 5), (10, 1, 5), (4, 3, 2)])
def test_integer_lengths_are_not_lost_to_rounding(p, first, k):
    """2^{τk} is an integer at these epochs; a product of rounded factors may fall just below, and ⌊·⌋ a step short."""
    exact = 2 ** round(2 * (p - 1) * k / p)
    assert math.isclose(exact, 2 ** (2 * (p - 1) * k / p))
    assert list(epochs(10**6, first, p))[k].length == first * exact


@given(
    p=st.sampled_from([2, 2.5, 3, 4, 6, 8]),
    first=st.floats(1, 50),
    budget=st.integers(0, 3000),
)
def test_schedule_properties(p, first, budget):
    plan = list(epochs(budget, first, p))
    assert [(e.length, e.step_factor) for e in plan] == [row[:2] for row in epoch_plan(budget, first, p)]
    np.testing.assert_allclose([e.radius_factor for e in plan], [row[2] for row in epoch_plan(budget, first, p)])
    assert sum(e.length for e in plan) <= budget
    growth = 2 ** (2 * (p - 1) / p)
    whole = sum(first * growth**k for k in range(len(plan) + 1))
    assert whole > budget * (1 - 1e-12)  # one more epoch would not have fitted
    assert (len(plan) == 0) == (first > budget)


# Projection -----------------------------------------------------------------------------------------------------------

finite = st.floats(-1e6, 1e6)


def vectors(d: int) -> st.SearchStrategy[torch.Tensor]:
    return st.lists(finite, min_size=d, max_size=d).map(lambda v: tensor([v]))


@given(st.integers(1, 4).flatmap(lambda d: st.tuples(vectors(d), vectors(d), vectors(d))), st.floats(1e-6, 1e6))
def test_projection_properties(points, radius):
    a, b, centre = points
    size = 1e-12 * float(max(1, a.abs().max(), b.abs().max(), centre.abs().max()))
    pa, pb = project_to_ball(a, centre, radius), project_to_ball(b, centre, radius)
    assert float((pa - centre).norm()) <= radius + size  # inside
    assert float((project_to_ball(pa, centre, radius) - pa).norm()) <= size  # idempotent
    assert float((pa - pb).norm()) <= float((a - b).norm()) + size  # non-expansive
    if float((a - centre).norm()) <= radius:
        assert torch.equal(pa, a)  # the identity inside
    else:
        assert float((pa - centre).norm()) >= radius - size  # onto the sphere, not into the ball
    # the nearest point: a − Πa makes an obtuse angle with every direction into the ball
    assert float(((a - pa) * (pb - pa)).sum()) <= size * (1 + float((a - pa).norm() + (pb - pa).norm()))


@given(finite, finite, st.floats(1e-6, 1e6))
def test_one_dimension_agrees_with_several(y, centre, radius):
    """d = 1 has a path of its own; embedded in d = 3 along an axis, the general path must say the same."""
    one = project_to_ball(tensor([[y]]), tensor([[centre]]), radius)
    three = project_to_ball(tensor([[0, y, 0]]), tensor([[0, centre, 0]]), radius)
    assert float((three[0, 1] - one[0, 0]).abs()) <= 1e-9 * max(1.0, abs(y), abs(centre))
    assert three[0, 0] == three[0, 2] == 0


@pytest.mark.parametrize("d", [1, 3])
def test_projection_keeps_radii_apart_and_passes_nan_on(d):
    y, centre = torch.full((3, d), 10.0, dtype=torch.float64), torch.zeros(3, d, dtype=torch.float64)
    y[2, 0] = torch.nan
    projected = project_to_ball(y, centre, tensor([[1.0], [2.0], [3.0]]))
    np.testing.assert_allclose(projected[:2].norm(dim=1), [1, 2])
    assert bool(projected[2].isnan().any())


# The algorithm ------------------------------------------------------------------------------------------------------


def recording(gradient, exponent: float) -> tuple[Problem, list[torch.Tensor]]:
    """A problem whose lower gradient is given and whose query points are kept."""
    seen: list[torch.Tensor] = []

    def grad_lower(x, y, sample):
        seen.append(y.clone())
        return gradient(y, sample)

    problem = Problem(
        upper=lambda x, y: y.sum(-1),
        lower=lambda x, y: y.sum(-1),
        exponent=exponent,
        sample_lower=lambda draw: draw.normal(8),
        derivatives={"grad_lower": grad_lower},
        batched=True,
    )
    return problem, seen


@given(
    p=st.sampled_from([2, 3, 4, 8]),
    d=st.integers(1, 3),
    radius=st.floats(1e-3, 1e3),
    force=st.floats(1e-2, 1e6),
    seed=st.integers(0, 1000),
)
def test_iterates_never_leave_the_ball(p, d, radius, force, seed):
    problem, seen = recording(lambda y, sample: force * sample[:, :d], p)
    x = y = torch.zeros(2, d, dtype=torch.float64)
    oracle = oracle_of(problem, x, y, [seed, seed + 1])
    seen.clear()  # preparing the problem asks for a gradient, too
    end = epoch_sgd(oracle, x, y, budget=60, first_length=4, first_radius=radius, step=1.0)
    position, touched = 0, 0.0
    for k, epoch in enumerate(epochs(60, 4, p)):
        iterates = seen[position : position + epoch.length]
        centre, allowed = iterates[0], radius * 2 ** (-k / p)
        distances = torch.stack([(w - centre).norm(dim=1) for w in iterates])
        assert float(distances.max()) <= allowed * (1 + 1e-12)
        touched = max(touched, float(distances.max()) / allowed)
        position += epoch.length
        average = torch.stack(iterates).mean(0)
        if position == len(seen):
            assert torch.allclose(end, average)
        else:
            assert torch.allclose(seen[position], average)  # the next centre
    assert position == len(seen)
    if force > 100 * radius:
        assert touched == pytest.approx(1)  # the ball was needed, and is not smaller than it should be


@pytest.mark.one_in(16)
@pytest.mark.parametrize("average", ["first", "last"])
@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("p", [2, 4, 6, 8])
def test_against_reference(p, d, average):
    """Noisy gradients, radii small enough to bind, per-run steps and radii; every query point compared."""
    seeds, K, T1 = [3, -8], 400, 6.5
    steps, radii = [0.7, 1.3], [0.4, 0.05]
    problem, seen = recording(lambda y, sample: abs_power(y, p - 1) * y.sign() - 0.3 + sample[:, :d], p)
    y = tensor(np.linspace(-1, 1, 2 * d).reshape(2, d))
    oracle = oracle_of(problem, y, y, seeds)
    seen.clear()
    ours = epoch_sgd(
        oracle, y, y, budget=K, first_length=T1, first_radius=tensor(radii)[:, None], step=tensor(steps)[:, None],
        average=average,
    )  # fmt: skip
    for row, seed in enumerate(seeds):
        noise = (Draw(Streams([seed]), "lower", i).normal(8)[0, :d].numpy() for i in range(10**6))
        expected, visited = reference(
            lambda w, noise=noise: np.sign(w) * np.abs(w) ** (p - 1) - 0.3 + next(noise),
            y[row].numpy(), K, T1, radii[row], steps[row], p, average,
        )  # fmt: skip
        queried = [w for _, _, ws in visited for w in ws[:-1]]
        assert len(queried) == len(seen) == steps_taken(K, T1, p)
        np.testing.assert_allclose(np.array([w[row].numpy() for w in seen]), np.array(queried), atol=1e-12)
        np.testing.assert_allclose(ours[row], expected, atol=1e-12)


def test_the_two_averages_by_hand():
    """g_y = −1, step ¼, T_1 = 4 of K = 4, no ball in the way: w = 0, ¼, ½, ¾, 1; the means are 3/8 and 5/8."""
    problem, _ = recording(lambda y, sample: torch.full_like(y, -1.0), 2)
    y = torch.zeros(1, 1, dtype=torch.float64)
    oracle = oracle_of(problem, y, y)
    for average, mean in (("first", 0.375), ("last", 0.625)):
        ours = epoch_sgd(oracle, y, y, budget=4, first_length=4, first_radius=9.0, step=0.25, average=average)
        assert float(ours) == mean
    assert float(y) == 0  # the start is not written into


@pytest.mark.parametrize("p", [2, 4, 6, 8])
def test_convergence_on_example3(p):
    """From y = 1 to y* = [sin x]^{1/(p−1)} at x on both sides of the singular point, and at it."""
    problem = Example3(exponent=p).build()
    x = tensor([[1.0], [-0.7], [0.3], [0.0]])
    y = torch.ones_like(x)
    oracle = oracle_of(problem, x, y)
    end = epoch_sgd(oracle, x, y, budget=3000, first_length=5, first_radius=1.0, step=1.0)
    distance = (end - problem.closed_form.solution(x)).abs().flatten()
    assert float(distance[:3].max()) < 1e-5
    assert float(distance[3]) < (1e-5 if p == 2 else 0.25)  # at x = 0 the lower level is as flat as y^p


@pytest.mark.slow
@pytest.mark.parametrize("p", [2, 3, 4, 6])
def test_convergence_on_coupled_problems(p):
    """Regular Hessians, also for the odd p = 3: y* by Newton's method."""
    for seed in range(2):
        known = regular_problem(p, seed)
        x, y = tensor(known.x[None]), tensor(known.y[None] + 0.3)
        errors = []
        for budget in (150, 1500):
            oracle = oracle_of(known.problem, x, y)
            end = epoch_sgd(oracle, x, y, budget=budget, first_length=5, first_radius=1.0, step=0.2)
            errors.append(np.abs(end[0].numpy() - known.y).max())
            assert int(oracle.counts()["grad_lower"]) == steps_taken(budget, 5, p)
        assert errors[1] < min(errors[0] / 5, 4e-3)


def test_noise_is_averaged_out():
    """p = 2, noise variance 1, 200 seeds: the mean square error falls like 1/K; a last iterate's would not."""
    problem = Example3(exponent=2, noise=1.0).build()
    x = torch.full((200, 1), 0.5, dtype=torch.float64)
    y = torch.ones_like(x)
    errors = []
    for budget in (100, 3000):
        oracle = oracle_of(problem, x, y, list(range(200)))
        end = epoch_sgd(oracle, x, y, budget=budget, first_length=5, first_radius=1.0, step=1.0)
        errors.append(float((end - math.sin(0.5)).square().mean()))
    assert errors[0] < 0.1
    assert errors[1] < errors[0] / 10


def test_exact_counts():
    """T_k steps are T_k lower gradients and nothing else, one sample each, rows alike."""
    problem = Coordinatewise(exponent=6, dimension=3, noise=1.0).build()
    x, y = torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    oracle = oracle_of(problem, x, y, [0, 1])
    epoch_sgd(oracle, x, y, budget=100, first_length=5, first_radius=1.0, step=1.0)
    counts = {kind: count.tolist() for kind, count in oracle.counts().items() if int(count.max())}
    assert counts == {"grad_lower": [70, 70], "lower_samples": [70, 70], "samples": [70, 70]}


def test_a_first_epoch_beyond_the_budget_returns_the_start_and_says_so():
    problem = Example3().build()
    x, y = torch.ones(1, 1, dtype=torch.float64), torch.full((1, 1), 0.7, dtype=torch.float64)
    oracle = oracle_of(problem, x, y)
    with pytest.warns(UserWarning, match=r"takes no step: first_length T₁ = 5 exceeds the budget K = 4"):
        end = epoch_sgd(oracle, x, y, budget=4, first_length=5, first_radius=1.0, step=1.0)
    assert torch.equal(end, y)
    assert int(oracle.counts()["grad_lower"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epoch_sgd(oracle, x, y, budget=5, first_length=5, first_radius=1.0, step=1.0)


def test_a_feasible_set_is_refused():
    """Balls do not know of it: the iterates would leave it silently."""
    problem = Problem(
        lambda x, y: y.sum(-1), lambda x, y: y.sum(-1), project_lower=lambda y: y.clamp(0, 1), batched=True
    )
    y = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="project_lower"):
        epoch_sgd(oracle_of(problem, y, y), y, y, budget=9, first_length=5, first_radius=1.0, step=1.0)
