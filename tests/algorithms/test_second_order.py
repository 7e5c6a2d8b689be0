"""All second-order methods: own floor on the deterministic quadratic, exact oracle counts, dtypes, batches, limits."""

import dataclasses
import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch

from references.methods import neumann_matrix
from second_order import AT_ONCE, assert_state_survives_a_file, check_axes, iterates, oracle_for, pair, quadratic
from unibio import solve
from unibio.core.neumann import draw_sample
from unibio.errors import InputError
from unibio.problems.example3 import Coordinatewise, Example3
from unibio.problems.lp_regression import LpRegression
from unibio.problems.quadratic import Quadratic
from unibio.registry import ALGORITHMS

METHODS = ("stocbio", "bsa", "ttsa", "soba", "ma_soba", "saba", "amigo", "sustain", "mrbo", "vrbo", "bo_rep", "unibio")
DTYPES = {"float64": torch.float64, "float32": torch.float32}

# Floors --------------------------------------------------------------------------------------------------------------

STEPS = {"upper_step": 0.15, "lower_step": 0.6}
Z = STEPS | {"auxiliary_step": 0.6}
CONSTANT = {"upper_decay": 0.0, "lower_decay": 0.0}
NEUMANN = STEPS | {"neumann_step": 0.7}
#: name -> (parameters, iterations); a floor of 0 for the z methods, the Neumann bias for the others.
EXACT = {
    "soba": (Z | CONSTANT | {"auxiliary_decay": 0.0}, 1500),
    "ma_soba": (Z | {"upper_step": 0.03}, 2500),
    "saba": (Z, 1500),
    "amigo": (Z, 1000),
}
BIASED = {
    "stocbio": (NEUMANN | {"neumann_terms": 4}, 800),
    "mrbo": (NEUMANN | CONSTANT | {"neumann_terms": 4}, 1500),
    "vrbo": (NEUMANN | {"neumann_terms": 4, "period": 3}, 1000),
    "bsa": (NEUMANN | {"neumann_terms": 1}, 800),
    "ttsa": (NEUMANN | CONSTANT | {"neumann_terms": 1}, 1500),
    "sustain": (NEUMANN | CONSTANT | {"neumann_terms": 1}, 1500),
}
RANDOM = {
    name: (BIASED[name][0] | {"neumann_terms": 4, "upper_step": 0.05}, 400) for name in ("bsa", "ttsa", "sustain")
}


def neumann_fixed_point(reference, terms, step, dx=4):
    """Where f_x − J V f_y = 0 at y*(x) for V the Neumann sum: a linear system in x, read off at d_x + 1 points."""
    V = neumann_matrix(reference.H, step, terms)

    def direction(x):
        y = reference.lower_solution(x)
        return reference.f.dx(x, y) - reference.J @ V @ reference.f.dy(x, y)

    offset = direction(np.zeros(dx))
    matrix = np.stack([direction(e) - offset for e in np.eye(dx)], axis=1)
    return -np.linalg.solve(matrix, offset)


def neumann_floor(reference, x, terms, step):
    """‖J(I − cH)^Q H⁻¹ f_y‖ at (x, y*(x))."""
    y = reference.lower_solution(x)
    error = np.linalg.matrix_power(np.eye(len(y)) - step * reference.H, terms)
    return np.linalg.norm(reference.J @ error @ np.linalg.solve(reference.H, reference.f.dy(x, y)))


def in_both_types(names, both):
    """In double precision all of them; in single precision those of ``both``, and the rest among the long tests."""
    for name, dtype in itertools.product(names, DTYPES):
        yield pytest.param(name, dtype, marks=() if dtype == "float64" or name in both else pytest.mark.slow)


@pytest.mark.one_in(12)
@pytest.mark.parametrize(("name", "dtype"), in_both_types([*EXACT, *BIASED], ("soba", "stocbio")))
def test_reaches_its_own_floor(name, dtype):
    problem, reference, x0, y0 = pair()
    parameters, steps = (EXACT | BIASED)[name]
    result = solve(problem, name, x0, y0, steps=steps, dtype=DTYPES[dtype], log_points=2, **parameters)
    assert result.status == "completed"
    assert result.x.dtype == DTYPES[dtype]
    x = result.x.to(torch.float64).numpy()
    start, reached = (np.linalg.norm(reference.hypergradient(at)) for at in (x0, x))
    accuracy = 1e-9 if dtype == "float64" else 1e-5
    if name in EXACT:
        assert reached < accuracy * start
        return
    terms, step = parameters["neumann_terms"], parameters["neumann_step"]
    target = neumann_fixed_point(reference, terms, step)
    np.testing.assert_allclose(x, target, atol=accuracy * np.linalg.norm(target) * 10)
    floor = neumann_floor(reference, target, terms, step)
    assert floor > 0.01 * start  # or the test could not tell a floor from 0
    assert reached == pytest.approx(floor, rel=accuracy * 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", RANDOM)
def test_random_length_reaches_the_floor_in_expectation(name):
    """The quadratic's iteration is affine in its state, so E x_T obeys the recursion of the whole sum exactly.

    Six standard errors in each of 4 coordinates: false alarms below 1e-8.
    """
    problem, reference, x0, y0 = pair()
    parameters, steps = RANDOM[name]
    runs = 1500
    result = solve(problem, name, x0, y0, steps=steps, seed=range(runs), log_points=2, **parameters)
    assert set(result.status) == {"completed"}
    x = result.x.numpy()
    error = x.std(axis=0) / np.sqrt(runs)
    target = neumann_fixed_point(reference, 4, parameters["neumann_step"])
    assert (np.abs(x.mean(axis=0) - target) < 6 * error).all()
    one_term = neumann_fixed_point(reference, 1, parameters["neumann_step"])
    assert (np.abs(x.mean(axis=0) - one_term) > 12 * error).any()  # it would notice a sum of another length


@pytest.mark.parametrize("name", ["bo_rep", "unibio"])
@pytest.mark.slow
def test_normalised_steps_end_within_their_step(name):
    """‖x_t − x*‖ = O(η), so the tail of ‖∇φ‖ is below L_φ η/(1 − β) and halves with η."""
    problem, reference, _, y0 = pair()
    x0 = problem.closed_form.minimiser.numpy() + 0.5
    curvature = np.stack([reference.hypergradient(e) - reference.hypergradient(0 * e) for e in np.eye(4)])
    shared = {"momentum": 0.8, "lower_step": 0.6, "period": 1}
    own = {  # UniBiO with the whole inverse, so that the Neumann bias does not hide the step
        "bo_rep": {"auxiliary_step": 0.6, "warm_step": 0.6},
        "unibio": {"neumann_terms": 60, "neumann_step": 1.0},
    }[name]
    tails = {}
    for eta in (0.02, 0.01):
        ours = dataclasses.replace(ALGORITHMS[name](), **shared, **own, upper_step=eta)
        path, _, _ = iterates(problem, ours, x0, y0, 300)
        tails[eta] = max(np.linalg.norm(reference.hypergradient(x)) for x, _ in path[-100:])
        assert tails[eta] < np.linalg.norm(curvature, 2) * eta / (1 - 0.8)
    assert 0.35 < tails[0.01] / tails[0.02] < 0.7


def test_more_terms_lower_the_floor():
    _, reference, _, _ = pair()
    floors = [neumann_floor(reference, neumann_fixed_point(reference, q, 0.7), q, 0.7) for q in (1, 4, 16, 64)]
    assert floors == sorted(floors, reverse=True)
    assert floors[-1] < 1e-2 * floors[0]


# Oracle counts, on every problem and in every dtype ------------------------------------------------------------------


def one_sum(terms):
    """Calls of one evaluation of the Neumann estimator."""
    return Counter(grad_upper=1, hvp=terms - 1, jvp=1)


def times(n, counter):
    return Counter({kind: n * count for kind, count in counter.items()})


def expected_calls(a, steps, lengths):
    """Calls of ``steps`` iterations by the docstrings' rules; ``lengths`` are the random lengths drawn, if any."""
    soba = Counter(grad_lower=1, grad_upper=1, hvp=1, jvp=1)
    if a.name == "stocbio":
        return times(steps, Counter(grad_lower=a.lower_iterations) + one_sum(a.neumann_terms))
    if a.name in ("bsa", "ttsa"):
        calls = times(steps, Counter(grad_lower=a.lower_iterations, grad_upper=1, jvp=1))
        return calls + Counter(hvp=sum(lengths))
    if a.name in ("soba", "ma_soba"):
        return times(steps, soba)
    if a.name == "saba":
        return times(steps, soba)  # and the filling, added by the caller who knows the blocks
    if a.name == "amigo":
        return times(steps, Counter(grad_lower=a.lower_iterations, grad_upper=1, hvp=a.auxiliary_iterations, jvp=1))
    if a.name == "sustain":
        return times(2 * steps - 1, Counter(grad_lower=1, grad_upper=1, jvp=1)) + Counter(
            hvp=2 * sum(lengths) - lengths[0]
        )
    if a.name == "mrbo":
        return times(2 * steps - 1, Counter(grad_lower=1) + one_sum(a.neumann_terms))
    if a.name == "vrbo":
        checkpoints = -(-steps // a.period)
        return times(
            checkpoints + 2 * (a.lower_iterations + a.final_correction) * steps,
            Counter(grad_lower=1) + one_sum(a.neumann_terms),
        )
    if a.name == "bo_rep":
        updates = (steps - 1) // a.period
        return times(steps, Counter(grad_upper=1, hvp=1, jvp=1)) + Counter(grad_lower=updates * a.lower_iterations)
    assert a.name == "unibio"  # and its lower-level solves, added by the caller
    return times(steps, one_sum(a.neumann_terms))


def epoch_lengths(budget, first, exponent):
    """Steps of Epoch-SGD, summed from its definition."""
    taken, used, length = 0, 0.0, float(first)
    while used + length <= budget:
        taken, used, length = taken + int(length), used + length, length * 2 ** (2 * (exponent - 1) / exponent)
    return taken


PROBLEMS = {
    "quadratic": lambda: Quadratic(dimension_x=3, dimension_y=5, size_lower=12, size_upper=8),
    "example3 p=2": lambda: Example3(exponent=2),
    "example3 p=4": lambda: Example3(exponent=4),
    "example3 p=6, noise": lambda: Example3(exponent=6, noise=1.0),
    "coordinatewise p=4, noise": lambda: Coordinatewise(dimension=3, exponent=4, noise=0.1),
    "lp_regression p=4": lambda: LpRegression(exponent=4, size_lower=12, size_upper=8, size_test=10, dimension=3),
}
#: Those with data: 12 samples of the lower level and 8 of the upper, so that batches have exactly 4 of them.
FINITE = ("quadratic", "lp_regression p=4")
SMALL = {"stocbio": {"lower_iterations": 3, "neumann_terms": 4}, "amigo": {"lower_iterations": 3}}
SMALL |= {name: {"neumann_terms": 3} for name in ("bsa", "ttsa", "sustain", "mrbo")}
SMALL |= {"vrbo": {"neumann_terms": 3, "lower_iterations": 2, "period": 3}}
SMALL |= {"bo_rep": {"lower_iterations": 4, "period": 3, "warm_budget": 20}}


@cache
def built(problem):
    """Shared by all tests, with what the library found when it first looked at it."""
    return PROBLEMS[problem]().build()


@pytest.mark.one_in(15)
@pytest.mark.filterwarnings("ignore:neumann_step is not below")
@pytest.mark.parametrize(
    ("problem", "dtype"),
    [
        pytest.param(problem, dtype, marks=() if dtype == "float64" or problem == "quadratic" else pytest.mark.slow)
        for problem in PROBLEMS
        for dtype in DTYPES
    ],
)
@pytest.mark.parametrize("name", METHODS)
def test_table(name, problem, dtype):
    """Finite or reported as diverged, in the dtype asked for, with exactly the stated oracle calls; batches of 4."""
    spec, steps = built(problem), 10
    ours = dataclasses.replace(ALGORITHMS[name](), **SMALL.get(name, {}), batch_size=4)
    result = solve(spec, ours, steps=steps, seed=5, dtype=DTYPES[dtype], log_points=2)
    assert result.status in ("completed", "diverged")
    assert torch.isfinite(result.x).all()
    assert torch.isfinite(result.y).all()
    assert result.x.dtype == result.y.dtype == DTYPES[dtype]
    row = result.runs.iloc[0]
    if result.status == "diverged":
        assert row["stopped_at"] < steps
    taken = int(row["stopped_at"])
    lengths = []
    if name in ("bsa", "ttsa", "sustain"):
        oracle = oracle_for(spec, (5,), DTYPES[dtype])
        draws = [draw_sample(oracle, terms=3, random_length=True) for _ in range(taken)]
        lengths = [int(draw.length[0, 0]) for draw in draws]
    expected = expected_calls(ours, taken, lengths)
    if name == "saba":
        expected += Counter(grad_lower=3, grad_upper=2) if problem in FINITE else Counter(grad_lower=1, grad_upper=1)
    if name == "bo_rep":
        expected += Counter(grad_lower=epoch_lengths(20, 5.0, spec.exponent))
    if name == "unibio":
        solves = 1 + (taken - 1) // ours.period
        expected += Counter(grad_lower=solves * epoch_lengths(100, 5.0, spec.exponent))
    kinds = ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp")
    assert {kind: int(row[kind]) for kind in kinds} == {kind: expected[kind] for kind in kinds}
    if problem in FINITE and name != "vrbo":
        assert row["samples"] == 4 * expected.total()


def test_checkpoint_batches_of_vrbo():
    """A checkpoint uses the large batch for each of its calls: all data by default, or as configured."""
    spec = Quadratic(dimension_x=3, dimension_y=5, size_lower=64, size_upper=32)
    per_call = {"neumann_terms": 3, "lower_iterations": 1, "period": 5, "batch_size": 4}
    for size, samples in ((None, 64 * 4 + 32), (16, 16 * 5), (32, 32 * 5)):
        result = solve(spec, "vrbo", steps=5, checkpoint_batch_size=size, **per_call)
        inner = 5 * 2 * 5 * 4  # steps × points × calls × batch
        assert result.runs["samples"].item() == samples + inner


# Batches -------------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", METHODS[:-1])
def test_rows_do_not_see_each_other(name):
    """A run has the same iterates and counts alone and in a batch, random lengths and minibatches included."""
    spec = quadratic()
    parameters = SMALL.get(name, {}) | {"batch_size": 4}
    together = solve(spec, name, steps=15, seed=range(6), log_points=2, **parameters)
    for seed in (0, 5):
        alone = solve(spec, name, steps=15, seed=seed, log_points=2, **parameters)
        torch.testing.assert_close(alone.x, together.x[seed], rtol=1e-12, atol=1e-13)
        for kind in ("grad_lower", "grad_upper", "hvp", "jvp", "samples"):
            assert alone.runs[kind].item() == together.runs[kind][seed]
    assert len(torch.unique(together.x[:, 0])) == 6
    if name in ("bsa", "ttsa", "sustain"):
        assert together.runs["hvp"].nunique() > 1


@pytest.mark.one_in(9)
@pytest.mark.filterwarnings("ignore:neumann_step is not below")
@pytest.mark.parametrize("together", AT_ONCE)
@pytest.mark.parametrize("name", METHODS[:-1])
def test_every_per_run_parameter_is_an_axis(name, together):
    check_axes(ALGORITHMS[name](**SMALL.get(name, {}), batch_size=4), together, steps=6)


@pytest.mark.one_in(12)
@pytest.mark.parametrize("name", METHODS)
def test_autograd_gives_the_same(name):
    """A problem without derivatives of its own: the same trajectory on minibatches, and the same counts."""
    problem, _, x0, y0 = pair()
    ours = dataclasses.replace(ALGORITHMS[name](), **SMALL.get(name, {}), batch_size=4)
    own, auto = (
        solve(p, ours, x0, y0, steps=8, seed=[0, 1], log_points=2)
        for p in (problem, dataclasses.replace(problem, derivatives={}))
    )
    torch.testing.assert_close(own.x, auto.x, rtol=1e-10, atol=1e-12)
    assert own.runs["samples"].tolist() == auto.runs["samples"].tolist()


@pytest.mark.parametrize("name", METHODS[:-1])
def test_state_survives_a_file(name):
    assert_state_survives_a_file(dataclasses.replace(ALGORITHMS[name](), **SMALL.get(name, {}), batch_size=4))


@pytest.mark.one_in(12)
@pytest.mark.filterwarnings("ignore:neumann_step is not below")
@pytest.mark.parametrize("name", METHODS[:-1])
def test_divergence_is_reported(name):
    """A far too large lower step ends as "diverged" with a finite last iterate; the other run goes on."""
    spec = quadratic()
    steps = {"lower_step": [500.0, 0.1]}
    if name == "bo_rep":  # its lower steps are held in balls: only z can run away
        steps = {"auxiliary_step": [500.0, 0.1], "upper_step": 0.01}
    constant = {key: 0.0 for key in ("lower_decay", "upper_decay") if key in ALGORITHMS[name].per_run()}
    result = solve(spec, name, steps=300, log_points=2, **steps, **constant)
    assert list(result.status) == ["diverged", "completed"]
    assert result.runs["stopped_at"][0] < 300
    assert torch.isfinite(result.x).all()


# Schedules, memory, messages -----------------------------------------------------------------------------------------


def test_saba_refuses_tables_that_cannot_fit():
    """Before anything is allocated, with the number and the keys that help; and says what it takes where it fits."""
    spec = Quadratic(dimension_x=3, dimension_y=5, size_lower=12, size_upper=8)
    with pytest.raises(InputError, match=r"1\.64e-06 GiB.*algorithm\.table_limit = 1e-06.*algorithm\.batch_size"):
        solve(spec, "saba", steps=1, batch_size=1, table_limit=1e-6)  # 12 (2·5 + 3) + 8 (3 + 5) numbers of 8 bytes
    result = solve(spec, "saba", steps=1, batch_size=1)
    assert result.runs["table_gib"].item() == pytest.approx((12 * 13 + 8 * 8) * 8 / 2**30)
    asked = (8, 12), (3, 5), 2, False, 8
    assert ALGORITHMS["saba"](batch_size=1).remembered(*asked) == 8 * 2 * (12 * 13 + 8 * 8)
    assert ALGORITHMS["soba"]().remembered(*asked) == 0
    with pytest.raises(InputError, match=r"2 runs × \(12 lower blocks.*algorithm\.table_limit = 1e-06"):
        ALGORITHMS["saba"](batch_size=1, table_limit=1e-6).remembered(*asked)


def test_saba_blocks_must_be_even_in_a_batch():
    spec = Quadratic(dimension_x=3, dimension_y=5, size_lower=12, size_upper=8)
    with pytest.raises(InputError, match=r"batch_size = 5 does not divide the 12"):
        solve(spec, "saba", steps=1, batch_size=5, seed=[0, 1])


@pytest.mark.slow
def test_saba_removes_the_noise_of_minibatches():
    """With constant steps SABA converges where SOBA stalls at the noise: what the tables are for."""
    problem, _, x0, y0 = pair(n=8)
    steps = {"upper_step": 0.1, "lower_step": 0.4, "auxiliary_step": 0.4, "batch_size": 2, "steps": 1200}
    constant = {"upper_decay": 0.0, "lower_decay": 0.0, "auxiliary_decay": 0.0}
    ends = {}
    for name, extra in (("saba", {}), ("soba", constant)):
        result = solve(problem, name, x0, y0, log_points=2, **steps, **extra)
        ends[name] = result.history["hypergradient_norm"].iloc[-1]
    assert ends["saba"] < 1e-6
    assert ends["soba"] > 1e-3


def test_decays_must_exist_at_the_first_step():
    with pytest.raises(InputError, match="decay_offset"):
        solve(Quadratic(), "soba", steps=1, decay_offset=0.0)


def test_unstable_neumann_step_is_said():
    with pytest.warns(UserWarning, match="neumann_step"):
        result = solve(Quadratic(), "stocbio", steps=1, neumann_step=3.0)
    assert result.runs["neumann_lambda_max"].item() == pytest.approx(1.0, rel=1e-2)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("name", ["soba", "ma_soba"])
def test_shared_samples_are_one_sample_for_all_three_and_counted_as_three_calls(name, runs):
    """Own derivatives, and autograd's from one graph, give the same; so does full batch, where there is one sample."""
    problem, _, x0, y0 = pair()
    plain = dataclasses.replace(problem, derivatives={})
    method = ALGORITHMS[name](batch_size=4, oracle_samples="shared")
    found = [solve(p, method, x0, y0, steps=6, seed=range(runs), log_points=2) for p in (problem, plain)]
    torch.testing.assert_close(found[0].x, found[1].x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[0].y, found[1].y, rtol=1e-12, atol=1e-12)
    for result in found:
        for kind, calls in {"grad_lower": 6, "hvp": 6, "jvp": 6, "grad_upper": 6, "samples": 4 * 6 * 4}.items():
            assert set(result.runs[kind]) == {calls}
    fresh = solve(problem, name, x0, y0, steps=6, batch_size=4, seed=range(runs), log_points=2)
    assert not torch.equal(fresh.x, found[0].x)
    full = [
        solve(problem, name, x0, y0, steps=6, oracle_samples=samples, log_points=2) for samples in ("fresh", "shared")
    ]
    assert torch.equal(full[0].x, full[1].x)
    oracle = oracle_for(problem, range(runs), batch_size=4)
    x, y = (torch.from_numpy(start).expand(runs, -1) for start in (x0, y0))
    sample = oracle.sample_lower()
    parts = oracle.lower_at_once(x, y, y, sample)
    same = oracle.grad_lower(x, y, sample), oracle.hvp(x, y, y, sample), oracle.jvp(x, y, y, sample)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(parts, same, strict=True))
