"""Full-batch trajectories of every second-order method against references written in NumPy alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from references import methods
from second_order import iterates, oracle_for, pair, worst_gap
from unibio.algorithms.amigo import AmIGO
from unibio.algorithms.bo_rep import BOREP
from unibio.algorithms.ma_soba import MASOBA
from unibio.algorithms.mrbo import MRBO
from unibio.algorithms.saba import SABA
from unibio.algorithms.soba import SOBA
from unibio.algorithms.stocbio import BSA, StocBiO
from unibio.algorithms.sustain import SUSTAIN
from unibio.algorithms.ttsa import TTSA
from unibio.algorithms.vrbo import VRBO
from unibio.core.neumann import draw_sample
from unibio.core.saga import Blocks

STEPS = 120
TOLERANCE = 1e-10
HERE = Path(__file__).parents[1]


def decaying(step, exponent, offset=1.0):
    return lambda t: step / (t + offset) ** exponent


def constant(step):
    return lambda t: step


def lengths_of(problem, algorithm, steps, seed=0):
    """The random lengths P that an algorithm will draw."""
    oracle = oracle_for(problem, (seed,))
    draws = [draw_sample(oracle, terms=algorithm.neumann_terms, random_length=True) for _ in range(steps)]
    return [int(draw.length[0, 0]) for draw in draws]


def case_stocbio(problem):
    ours = StocBiO(upper_step=0.07, lower_step=0.3, lower_iterations=4, neumann_terms=6, neumann_step=0.4)
    return ours, methods.stocbio, {"eta": constant(0.07), "rho": constant(0.3), "D": 4, "Q": 6, "c": 0.4}


def case_bsa(problem):
    ours = BSA(upper_step=0.02, lower_step=0.3, lower_iterations=3, lower_decay=0.25, neumann_terms=5, neumann_step=0.5)
    lengths = lengths_of(problem, ours, STEPS)
    assert set(lengths) == {0, 1, 2, 3, 4}
    options = {"eta": constant(0.02), "rho": decaying(0.3, 0.25), "D": 3, "Q": 5, "c": 0.5, "lengths": lengths}
    return ours, methods.stocbio, options


def case_ttsa(problem):
    ours = TTSA(upper_step=0.1, lower_step=0.5, neumann_terms=4, neumann_step=0.4, decay_offset=2.5)
    options = {"eta": decaying(0.1, 0.6, 2.5), "rho": decaying(0.5, 0.4, 2.5), "Q": 4, "c": 0.4}
    return ours, methods.ttsa, options | {"lengths": lengths_of(problem, ours, STEPS)}


def case_soba(problem):
    ours = SOBA(upper_step=0.1, lower_step=0.6, auxiliary_step=0.5, auxiliary_decay=0.25)
    return ours, methods.soba, {"eta": decaying(0.1, 0.5), "rho": decaying(0.6, 0.5), "gamma": decaying(0.5, 0.25)}


def case_ma_soba(problem):
    ours = MASOBA(upper_step=0.1, lower_step=0.6, auxiliary_step=0.5, momentum=0.8)
    return ours, methods.ma_soba, {"eta": constant(0.1), "rho": constant(0.6), "gamma": constant(0.5), "beta": 0.8}


def case_amigo(problem):
    ours = AmIGO(upper_step=0.1, lower_step=0.4, auxiliary_step=0.3, lower_iterations=3, auxiliary_iterations=5)
    steps = {"eta": constant(0.1), "rho": constant(0.4), "gamma": constant(0.3)}
    return ours, methods.amigo, steps | {"n_lower": 3, "n_linear": 5}


def case_saba(problem):
    """One block: SABA's directions are then SOBA's, and its reference with a single table entry says the same."""
    ours = SABA(upper_step=0.1, lower_step=0.4, auxiliary_step=0.3)
    everything = [np.arange(12)]
    steps = {"eta": constant(0.1), "rho": constant(0.4), "gamma": constant(0.3)}
    blocks = {"lower_blocks": everything, "upper_blocks": everything, "picks": [(0, 0)] * STEPS}
    return ours, methods.saba, steps | blocks


def storm_options(problem, ours, random_length):
    lengths = lengths_of(problem, ours, STEPS) if random_length else None
    Q, c = ours.neumann_terms, ours.neumann_step
    H = problem_hessian(problem)

    def inverse(t):
        return methods.random_length_matrix(H, c, Q, lengths[t]) if lengths else methods.neumann_matrix(H, c, Q)

    weights = {"new_weight": decaying(0.7, 2 / 3), "inverse": inverse}
    return {"eta": decaying(0.1, 1 / 3), "rho": decaying(0.4, 1 / 3)} | weights


def problem_hessian(problem):
    y = torch.zeros(1, 7, dtype=torch.float64)
    eye = torch.eye(7, dtype=torch.float64)
    return problem.derivatives["hvp"](None, y, eye, None).numpy()


def case_sustain(problem):
    ours = SUSTAIN(upper_step=0.1, lower_step=0.4, momentum=0.3, neumann_terms=3, neumann_step=0.4)
    return ours, methods.storm, storm_options(problem, ours, random_length=True)


def case_mrbo(problem):
    ours = MRBO(upper_step=0.1, lower_step=0.4, momentum=0.3, neumann_terms=6, neumann_step=0.4)
    return ours, methods.storm, storm_options(problem, ours, random_length=False)


def case_vrbo(problem):
    shape = {"upper_step": 0.05, "lower_step": 0.4, "neumann_terms": 6, "neumann_step": 0.4}
    ours = VRBO(**shape, lower_iterations=3, period=4)
    return ours, methods.vrbo, {
        "eta": constant(0.05), "rho": constant(0.4), "period": 4, "n_inner": 3, "Q": 6, "c": 0.4,
    }  # fmt: skip


def case_bo_rep(problem):
    ours = BOREP(
        upper_step=0.02, lower_step=0.4, auxiliary_step=0.5, momentum=0.8, period=3, lower_iterations=6, radius=0.02,
        warm_budget=40, warm_step=0.6, first_length=4.5, first_radius=0.7,
    )  # fmt: skip
    options = {"eta": constant(0.02), "rho": 0.4, "gamma": constant(0.5), "beta": 0.8, "period": 3, "N": 6}
    warm = {"radius": 0.02, "warm_budget": 40, "warm_length": 4.5, "warm_radius": 0.7, "warm_rho": 0.6}
    return ours, methods.bo_rep, options | warm


CASES = {name[5:]: case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", CASES)
def test_full_batch_trajectory(name):
    problem, reference, x0, y0 = pair()
    ours, method, options = CASES[name](problem)
    assert ours.name == name
    path, _, _ = iterates(problem, ours, x0, y0, STEPS)
    expected = method(reference, x0, y0, STEPS, **options)
    assert worst_gap(path, expected) < TOLERANCE
    # the comparison must be about something: iterates move, and stay moderate
    assert np.linalg.norm(expected[-1][0] - x0) > 0.1
    assert np.abs(expected[-1][0]).max() < 1e3


def test_vrbo_with_its_final_correction():
    """The recursion with it; and full batch the carried directions are then the gradients at the carried point."""
    problem, reference, x0, y0 = pair()
    shape = {"upper_step": 0.05, "lower_step": 0.4, "neumann_terms": 6, "neumann_step": 0.4}
    options = {"eta": constant(0.05), "rho": constant(0.4), "period": 10, "n_inner": 2, "Q": 6, "c": 0.4}
    expected = methods.vrbo(reference, x0, y0, STEPS, **options, final_correction=True)
    V, error = methods.neumann_matrix(reference.H, 0.4, 6), {}
    for correction in (True, False):
        ours = VRBO(**shape, lower_iterations=2, period=10, final_correction=correction)
        path, _, _ = iterates(problem, ours, x0, y0, STEPS)
        assert (worst_gap(path, expected) < TOLERANCE) == correction
        path, state, _ = iterates(problem, ours, x0, y0, 9)
        gradient = methods.hyper(reference, *path[-1], V)
        error[correction] = np.linalg.norm(state["v"][0].numpy() - gradient) / np.linalg.norm(gradient)
    assert error[True] < 1e-12
    assert error[False] > 0.1


@pytest.mark.one_in(6)
@pytest.mark.parametrize("table_start", ["filled", "zeros"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_saba_on_blocks(size, table_start):
    """Minibatch SABA against dictionaries of arrays, on the blocks the library picks; 5 does not divide 12."""
    problem, reference, x0, y0 = pair()
    ours = SABA(upper_step=0.05, lower_step=0.2, auxiliary_step=0.2, batch_size=size, table_start=table_start)
    oracle = oracle_for(problem, batch_size=size)
    blocks = {level: Blocks.of(level, 12, size) for level in ("lower", "upper")}
    picks = [tuple(int(blocks[level].pick(oracle)) for level in ("lower", "upper")) for _ in range(STEPS)]
    assert len(set(picks)) > min(blocks["lower"].count ** 2, STEPS) // 2
    partition = [np.arange(start, min(start + size, 12)) for start in range(0, 12, size)]
    if 12 % size:  # the reference's plain mean needs blocks of one size: weight them as the docstring says
        expected = weighted_saba(reference, x0, y0, partition, picks, filled=table_start == "filled")
    else:
        expected = methods.saba(
            reference, x0, y0, STEPS, eta=constant(0.05), rho=constant(0.2), gamma=constant(0.2),
            lower_blocks=partition, upper_blocks=partition, picks=picks, filled=table_start == "filled",
        )  # fmt: skip
    path, _, _ = iterates(problem, ours, x0, y0, STEPS)
    assert worst_gap(path, expected) < TOLERANCE


def weighted_saba(pb, x, y, partition, picks, filled):
    """SABA for unequal blocks: the SAGA estimate of the weighted sum, every entry premultiplied by B·w_b."""
    scale = [len(partition) * len(block) / 12 for block in partition]

    class Scaled:
        """The level whose block b is B·w_b times the given one, so that the plain mean over blocks is the full mean."""

        def __init__(self, level):
            self.level = level

        def at(self, b):
            return [scale[b] * part for part in self.level.at(partition[b])]

        def dy(self, x, y, b):
            return scale[b] * self.level.dy(x, y, partition[b])

        def dx(self, x, y, b):
            return scale[b] * self.level.dx(x, y, partition[b])

    class Problem:
        g, f = Scaled(pb.g), Scaled(pb.f)

    names = list(range(len(partition)))
    return methods.saba(
        Problem, x, y, STEPS, eta=constant(0.05), rho=constant(0.2), gamma=constant(0.2),
        lower_blocks=names, upper_blocks=names, picks=picks, filled=filled,
    )  # fmt: skip


def test_references_stand_alone():
    """They import neither torch nor unibio, checked in a fresh interpreter."""
    program = (
        "import sys; import references.methods, references.quadratic, references.unibio_numpy; "
        "bad = {'torch', 'unibio'} & {name.split('.')[0] for name in sys.modules}; sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
