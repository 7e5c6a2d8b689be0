"""Every first-order method against NumPy, full batch and on minibatches of its own draws, and the golden numbers.

Full batch, STORM is no memory at all (d_0 = g(w_0) makes d_k = g(w_k)): the minibatches are what tests it.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from references import first_order
from second_order import GOLDEN, iterates, oracle_for, pair, worst_gap
from unibio.algorithms.bome import BOME
from unibio.algorithms.f2ba import F2BA
from unibio.algorithms.f2sa import F2SA
from unibio.algorithms.f3sa import F3SA
from unibio.algorithms.pbgd import PBGD
from unibio.algorithms.proximal import Proximal, ProximalMomentum
from unibio.problems.quadratic import Quadratic

STEPS = 60
TOLERANCE = 1e-10


def power(factor, exponent, offset=1.0):
    return lambda k: factor * (k + offset) ** exponent


def schedules(eta, gamma, alpha, lam, a, c, offset):
    return {
        "eta": power(eta, -a, offset), "gamma": power(gamma, -c, offset), "alpha": power(alpha, -a, offset),
        "lam": power(lam, a - c, offset),
    }  # fmt: skip


def f2sa(noise, a, c):
    ours = F2SA(upper_step=0.1, lower_step=0.4, penalised_step=0.2, penalty=1.5, decay_offset=2.0, schedule=noise)
    return ours, first_order.f2sa, schedules(0.1, 0.4, 0.2, 1.5, a, c, 2.0)


def f2sa_inner():
    ours = F2SA(lower_iterations=3, upper_decay=0.2, lower_decay=0.1, penalised_decay=0.3, penalty_growth=0.25)
    steps = {"eta": power(0.1, -0.2), "gamma": power(0.1, -0.1), "alpha": power(0.1, -0.3), "lam": power(1.0, 0.25)}
    return ours, first_order.f2sa, steps | {"inner": 3}


def f3sa(noise, a, c, momentum):
    ours = F3SA(
        upper_step=0.1, lower_step=0.4, penalised_step=0.2, penalty=1.5, decay_offset=2.0, schedule=noise,
        momentum=momentum,
    )  # fmt: skip
    steps = schedules(0.1, 0.4, 0.2, 1.5, a, c, 2.0)
    return ours, first_order.f3sa, steps | {"weight": power(1 - momentum, -2 * c, 2.0)}


def f2ba(**options):
    ours = F2BA(upper_step=0.08, lower_step=0.4, penalty=20.0, lower_iterations=4, **options)
    shared = options.get("difference_samples") == "shared"
    settings = {"eta": 0.08, "alpha": 0.4 / 20, "lam": 20.0, "inner": 4, "shared": shared}
    return ours, first_order.f2ba, settings | {"restart": options.get("restart", False)}


def box(low, high):
    return lambda t: np.minimum(np.maximum(t, low), high)


def into_ball(t):
    return t / max(1.0, np.linalg.norm(t) / 1.5)


def proximal(noise, c):
    few = {"lower_iterations": 3, "upper_average": 2} if noise == "exact" else {"lower_iterations": 1}
    ours = Proximal(
        upper_step=0.2, lower_step=0.4, penalty=2.0, smoothing=0.8, centre_step=0.3, schedule=noise, decay_offset=1.0,
        **few,
    )  # fmt: skip
    steps = {"eta": 0.2, "gamma": power(0.4, -c), "beta": 0.3, "rho": 0.8, "sigma": power(0.5, -1 / 3)}
    loops = {"growth": c, "inner": few["lower_iterations"], "average": few.get("upper_average", 1)}
    return ours, first_order.proximal, steps | loops | {"px": box(-0.7, 0.6), "py": into_ball}


def proximal_momentum(noise, a, s, n, momentum):
    ours = ProximalMomentum(
        upper_step=0.2, lower_step=0.4, penalty=2.0, smoothing=0.8, centre_step=0.6, schedule=noise, decay_offset=1.5,
        momentum=momentum,
    )  # fmt: skip
    steps = {"eta": power(0.2, -a, 1.5), "gamma": power(0.4, -a, 1.5), "beta": power(0.6, -a, 1.5), "rho": 0.8}
    steps |= {"sigma": power(0.5, -s, 1.5), "weight": power(1 - momentum, -n, 1.5)}
    return ours, first_order.proximal_momentum, steps | {"px": box(-0.7, 0.6), "py": into_ball}


def bome(barrier):
    ours = BOME(upper_step=0.05, lower_step=0.4, lower_iterations=5, control=0.7, barrier=barrier)
    return ours, first_order.bome, {"xi": 0.05, "rho": 0.4, "inner": 5, "eta": 0.7, "value": barrier == "value"}


def pbgd(update):
    ours = PBGD(upper_step=0.3, lower_step=0.4, penalty=15.0, lower_iterations=4, penalised_iterations=3, update=update)
    settings = {"alpha0": 0.3, "beta": 0.4, "penalty": 15.0, "inner": 4}
    return ours, first_order.pbgd, settings | ({"inner_y": 3} if update == "blockwise" else {})


CASES = {
    "f2sa exact": f2sa("exact", 1 / 3, 0.0),
    "f2sa upper": f2sa("upper", 3 / 5, 2 / 5),
    "f2sa both": f2sa("both", 5 / 7, 4 / 7),
    "f2sa inner loop, own exponents": f2sa_inner(),
    "f3sa exact": f3sa("exact", 1 / 3, 0.0, 0.4),
    "f3sa upper": f3sa("upper", 1 / 2, 1 / 4, 0.2),
    "f3sa both": f3sa("both", 3 / 5, 2 / 5, 0.0),
    "f2ba": f2ba(),
    "f2ba restart": f2ba(restart=True),
    "f2ba shared sample": f2ba(difference_samples="shared"),
    "proximal exact": proximal("exact", 0.0),
    "proximal upper": proximal("upper", 2 / 3),
    "proximal_momentum exact": proximal_momentum("exact", 0.0, 1 / 3, 0.0, 0.3),
    "proximal_momentum upper": proximal_momentum("upper", 1 / 4, 1 / 4, 1 / 2, 0.2),
    "proximal_momentum both": proximal_momentum("both", 2 / 5, 1 / 5, 4 / 5, 0.0),
    "bome": bome("gradient"),
    "bome value": bome("value"),
    "pbgd joint": pbgd("joint"),
    "pbgd blockwise": pbgd("blockwise"),
}


def constrained(problem, settings):
    """The problem restricted to the sets of the proximal references, written again for rows of tensors."""
    if "px" not in settings:
        return problem
    return dataclasses.replace(
        problem,
        project_upper=lambda x: x.clamp(-0.7, 0.6),
        project_lower=lambda y: y / (y.norm(dim=-1, keepdim=True) / 1.5).clamp(min=1.0),
    )


def batches(oracle, level):
    """The minibatches that an algorithm will draw, one after the other, from an oracle that counts for nobody."""
    draw = oracle.sample_lower if level == "lower" else oracle.sample_upper
    while True:
        yield draw().value[0].numpy()


@pytest.mark.one_in(21)
@pytest.mark.parametrize("size", [None, 5], ids=["full batch", "minibatches"])
@pytest.mark.parametrize("name", CASES)
def test_trajectory(name, size):
    problem, reference, x0, y0 = pair(kappa=4.0, noise=0.5)
    ours, method, settings = CASES[name]
    assert ours.name == name.split()[0]
    problem = constrained(problem, settings)
    drawn = {}
    if size is not None:
        ours = dataclasses.replace(ours, batch_size=size)
        drawn = {level: batches(oracle_for(problem, batch_size=size), level) for level in ("lower", "upper")}
    path, _, _ = iterates(problem, ours, x0, y0, STEPS)
    expected = method(reference, x0, y0, STEPS, **settings, **drawn)
    assert worst_gap(path[1:], expected[1:]) < TOLERANCE
    # the comparison must be about something: iterates move, and stay moderate
    assert np.linalg.norm(expected[-1][0] - expected[1][0]) > 0.1
    assert np.abs(expected[-1][0]).max() < 1e3


def test_proximal_with_noise_on_both_levels():
    """T_k ∝ k^{4/3} inner steps: 100 iterations take 2 · 20,000, so fewer than the others'."""
    problem, reference, x0, y0 = pair(kappa=4.0, noise=0.5)
    ours, method, settings = proximal("both", 4 / 3)
    path, _, _ = iterates(constrained(problem, settings), ours, x0, y0, 25)
    assert worst_gap(path, method(reference, x0, y0, 25, **settings)) < TOLERANCE


def test_memory_matters_on_minibatches():
    """The reference without memory is another trajectory, so the comparisons above do see STORM."""
    _, reference, x0, y0 = pair(kappa=4.0, noise=0.5)
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(12)[:5] for _ in range(4 * STEPS)]
    for name in ("f3sa upper", "proximal_momentum upper"):
        _, method, settings = CASES[name]
        paths = [
            method(reference, x0, y0, STEPS, **{**settings, "weight": weight}, lower=iter(drawn), upper=iter(drawn))
            for weight in (settings["weight"], lambda k: 1.0)
        ]
        assert np.abs(paths[0][-1][0] - paths[1][-1][0]).max() > 1e-3


def test_f3sa_without_memory_is_f2sa():
    """Exact gradients: c = 0 and β = 0 forget everything; on minibatches, too."""
    problem, _, x0, y0 = pair()
    shared = {"upper_step": 0.05, "lower_step": 0.4, "penalised_step": 0.2, "schedule": "exact", "batch_size": 4}
    ends = [iterates(problem, cls(**shared), x0, y0, 40) for cls in (F2SA, F3SA)]
    assert worst_gap(ends[0][0], ends[1][0]) == 0.0
    assert torch.equal(*(oracle.counts()["samples"] for _, _, oracle in ends))


# benchmark_bilevel's golden numbers ----------------------------------------------------------------------------------


class IncrementedF2SA(F2SA):
    """Its penalty: λ_k = 1 + 0.01 Σ_{j≤k} j^{−1/7}."""

    def weight(self, k):
        return 1.0 + 0.01 * sum(j ** (-1 / 7) for j in range(1, k + 1))


# Their BOME has no guard: with 1e-8 the gap is 1e-7 at k = 100.
SOLVERS = {
    "f2sa": (IncrementedF2SA(schedule="both", upper_decay=4 / 7, lower_iterations=10), 1000),
    "bome": (BOME(guard=0.0), 100),  # chaotic later, by its max()
}


@pytest.mark.one_in(2)
@pytest.mark.skipif(not (GOLDEN / "bb_golden_small.json").exists(), reason=f"golden numbers not found in {GOLDEN}")
@pytest.mark.parametrize("name", SOLVERS)
def test_golden(name):
    problem = Quadratic(path=str(GOLDEN / "bb_problem_small.npz")).build()
    ours, last = SOLVERS[name]
    golden = json.loads((GOLDEN / "bb_golden_small.json").read_text())["runs"][name]
    rows = [row for row in golden["rows"] if row["iter"] <= last]
    assert len(rows) == (8 if name == "f2sa" else 7)
    path, _, _ = iterates(problem, ours, *problem.start, last)
    for row in rows:
        x = torch.as_tensor(path[row["iter"]][0])[None]
        tolerance = 1e-10 if row["iter"] <= 100 else 1e-9
        assert float(problem.closed_form.gradient(x).norm()) == pytest.approx(row["hypergrad_norm"], rel=tolerance)
    if last == 1000:
        np.testing.assert_allclose(path[-1][0][:5], golden["x_final_head"], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(path[-1][1][:5], golden["y_final_head"], rtol=1e-8, atol=1e-10)


def test_references_stand_alone():
    """They import neither torch nor unibio, checked in a fresh interpreter."""
    program = (
        "import sys; import references.first_order, references.quadratic; "
        "bad = {'torch', 'unibio'} & {name.split('.')[0] for name in sys.modules}; sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
