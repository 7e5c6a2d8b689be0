"""Made-up records of the first-order studies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

import synthetic
from unibio.studies import landscape as landscape_study
from unibio.studies import nasty as nasty_study
from unibio.studies.corrupted_labels import measures as label_study
from unibio.studies.first_order.measures import ORDER, SCALED
from unibio.studies.nondegeneracy import measures as nondegeneracy_study
from unibio.studies.penalty_rates.measures import BOUNDS, CASES

#: (method, case) -> slope of the averaged norm.
Slope = Callable[[str, str], float]


def as_bounded(method: str, case: str) -> float:
    return BOUNDS[method][case] - 0.1


def averaged(slope: float, wobble: float = 0.0):
    """c·t^slope with a factor that differs by seed, and drifts by a wave over the decades."""

    def mean(cell, seed, t):
        at = np.maximum(t, 1.0)
        return (1 + 0.02 * seed) * at ** (slope + wobble * np.sin(np.log(at)))

    return mean


def scheduled(slope: Slope = as_bounded, wobble: float = 0.0, steps: int = 4000, names=("f2sa", "f3sa"), **settings):
    """Records of penalty_rates, or with the names of the proximal methods of proximal_rates."""
    return [
        synthetic.record(
            2, {}, mean=averaged(slope(method, case), wobble), name=method, schedule=case, steps=steps, **settings
        )
        for method in names
        for case in CASES
    ]


PROXIMAL = ("proximal", "proximal_momentum")


def fixed(slope: Slope = as_bounded, horizons=(300, 1000, 3000, 10000), **settings):
    """Records of penalty_rates_fixed."""
    found = []
    for case in CASES:
        for steps in horizons:
            made = synthetic.record(
                2, {}, mean=averaged(slope("f2ba", case)), name="f2ba", steps=steps, points=10, **settings
            )
            made.config["paper"] = {"case": case, "horizon": steps}
            found.append(made)
    return found


def example3(p: int, name: str, calls: Callable[[float], float], **settings):
    """A record of first_order_example3: φ is at its minimum from ``calls(step along ∇φ)`` on; a scaled method's steps
    are ten times larger, its penalty 10."""
    axes = {"upper_step": [0.01, 0.1, 1.0]}
    if name in SCALED:
        axes = {"upper_step": [0.1, 1.0, 10.0], "penalty": [10.0]}
    made = synthetic.record(p, axes, name=name, seeds=1, **settings)
    steps = made.history["upper_step"] / made.history.get("penalty", 1.0)
    late = made.history["oracle_calls"] >= steps.map(lambda step: calls(round(float(step), 9)))
    made.history["value"] = np.where(late, -math.sin(1.0), 0.05)
    return made


def convexity(calls: Callable[[str, int, float], float], names: Sequence[str] = ORDER, **settings):
    """Records of first_order_example3 for every p."""
    return [
        example3(p, name.split()[0], lambda step, n=name, p=p: calls(n, p, step), **_update(name), **settings)
        for p in synthetic.EXPONENTS
        for name in names
    ]


def regression(
    end: Callable[[str, int], float],
    seeds: int = 7,
    steps: Callable[[str], Sequence[float]] = lambda name: (0.1, 1.0, 10.0),
    **settings,
):
    """Records of first_order_lp whose best run, at an upper step of 1, ends at ``end(method, p)``, seeds a little
    apart."""
    found = []
    for p in synthetic.EXPONENTS:
        for name in ORDER:
            axes = {"upper_step": list(steps(name))}
            made = synthetic.record(p, axes, name=name.split()[0], seeds=seeds, points=8, **_update(name), **settings)
            history = made.history
            away = np.abs(np.log10(history["upper_step"]))
            history["value"] = end(name, p) + 0.1 * away + 1e-4 * history["seed"]
            history["test_accuracy"] = 0.9
            found.append(made)
    return found


def descent(
    problem: str, name: str, ends, penalties=(), lower=None, starts: int = 4, rate: float = 0.02, upper=(), **settings
):
    """A record of global_optimality: gaps fall like exp(−rate·t) from about 10 to ``ends(penalty, start)``, at all
    steps of ``upper`` alike."""
    axes = ({"penalty": list(penalties)} if penalties else {}) | ({"upper_step": list(upper)} if upper else {})
    made = synthetic.record(2, axes, name=name, seeds=starts, **settings)
    made.config["problem"]["name"] = problem
    history = made.history
    penalty = history.get("penalty", np.nan) + 0 * history["iteration"]
    gaps = []
    for reach in (ends, lower or (lambda penalty, start: abs(ends(penalty, start)))):
        end = np.array([reach(p, s) for p, s in zip(penalty, history["seed"], strict=True)])
        begun = 10 + 0.1 * history["seed"]  # no two starts are alike
        gaps.append(end + (begun - end) * np.exp(-rate * history["iteration"]))
    history["upper_gap"], history["lower_gap"] = gaps
    made.runs["start_seed"] = made.runs["seed"]
    return made


def optimality(scale: str = "paper", steps: int = 2000, **change):
    """Records of global_optimality; ``change`` replaces some of them."""
    starts = 4 if scale == "paper" else 1
    common = {"scale": scale, "steps": steps, "starts": starts}
    few = {"lower_iterations": 5, "update": "joint"}
    given = {
        "representation": descent(
            "representation", "pbgd", lambda p, s: 0.0, (1.0, 10.0), lower_iterations=20, update="joint", **common
        ),
        "hasty": descent("representation", "pbgd", lambda p, s: 0.1, (10.0,), **few, **common),
        "cleaning": descent(
            "linear_cleaning", "pbgd", lambda p, s: -90 / p, (10.0, 31.6, 100.0, 316.0, 1000.0),
            lambda p, s: 50 / p**2, lower_iterations=5, update="blockwise", **common,
        ),
        "stocbio": descent("linear_cleaning", "stocbio", lambda p, s: 3.0 + s, lower=lambda p, s: 0.0, **common),
        "well": descent("double_well", "pbgd", lambda p, s: 0.6 * (s % 2), (10.0,), lower_iterations=10, **common),
    }  # fmt: skip
    return list((given | change).values())


def accuracy(in_penalty=-1.0, in_condition=None, hessian=lambda penalty: 1.0, penalties=None, scale: str = "paper"):
    """Records of penalty_accuracy: errors are powers of λ and κ, by default the allowed ones of κ."""
    powers = {"value_error": 1.0, "gradient_error": 3.0, "solution_error": 1.0} | (in_condition or {})
    found = []
    for condition in (2.0, 10.0, 50.0):
        for seed in (0, 1):
            axes = {"penalty": list(penalties if penalties is not None else np.geomspace(1, 1e5, 11))}
            made = synthetic.record(2, axes, name="lower_only", seeds=1, steps=1, scale=scale)
            made.config["problem"] |= {"condition": condition, "data_seed": seed}
            penalty = made.history["penalty"]
            for name, power in powers.items():
                made.history[name] = (1 + seed) * penalty**in_penalty * condition**power
            made.history["hessian_norm"] = penalty.map(hessian)
            made.history["upper_slope"] = 2.0
            found.append(made)
    return found


def landscape(scale: str = "paper"):
    """Records of landscape: the error bound holds off strict convexity alone, and errors are proportional to σ."""
    found = []
    cases = [("pl_nonconvex", {"condition": c, "dimension_y": d}) for d in (3, 6) for c in landscape_study.CONDITIONS]
    cases += [("strictly_convex", {"exponent": p}) for p in landscape_study.EXPONENTS]
    for name, parameters in cases:
        axes = {"penalty": list(np.geomspace(1, 1e6, 7)), "distance": [0.01, 0.05, 0.1, 1.0]}
        made = synthetic.record(2, axes, name="lower_only", seeds=1, steps=1, scale=scale)
        made.config["problem"] = {"name": name, **parameters}
        sigma, far = 1 / made.history["penalty"], made.history["distance"]
        p, condition = parameters.get("exponent", 2.0), parameters.get("condition", 1.0)
        worse = sigma ** ((p - 2) / (p - 1))
        made.history = made.history.assign(
            solution_distance=far,
            proximal_residual=far * worse / condition,
            solution_slope=1 / worse,
            penalty_slope=1 / worse,
            lower_error=far,
            lower_residual=far ** (p - 1),
            value_error=sigma * condition,
            gradient_error=sigma * condition**2,
            slope_error=sigma,
            upper_slope=2.0,
            hypergradient_norm=1.0,
            pseudoinverse_error=1e-15,
        )
        found.append(made)
    return found


def nondegeneracy(scale: str = "paper", corner: float | None = 1.0):
    """Records of nondegeneracy: errors ∝ σ/μ but where strict complementarity fails or solutions tear.

    Args:
        scale: its name.
        corner: the gradient's error where LICQ alone fails; None for that of nondegenerate places.
    """
    study, found = nondegeneracy_study, []
    for place in study.PLACES:
        axes = {"penalty": list(np.geomspace(1, 1e6, 7)), "modulus": [1.0, 0.25, 0.0625], "distance": [0.0, 0.01]}
        made = synthetic.record(2, axes, name="lower_only", seeds=1, steps=1, scale=scale)
        made.config["problem"] = {"name": "polytope", "place": place}
        error, none = 1 / made.history["penalty"] / made.history["modulus"], 0 * made.history["penalty"]
        constant = {study.KINK: 1.0, study.JUMP: 1.0, study.CORNER: corner}.get(place)
        on = (made.history["distance"] == 0) | (place == study.CORNER)
        degenerate = (on & (place not in study.NONDEGENERATE)).astype(float)
        made.history = made.history.assign(
            value_error=none + 1.0 if place == study.JUMP else error,
            gradient_error=error if constant is None else none + constant,
            upper_slope=2.0,
            hypergradient_norm=1.0,
            kkt_error=1e-15,
            difference_error=1e-9,
            pseudoinverse_error=float(place != "interior"),
            said=degenerate,
        )
        found.append(made)
    axes = {"penalty": list(np.geomspace(1, 1e6, 7)), "start_x": [-0.5, 0.5]}
    made = synthetic.record(2, axes, name="lower_only", seeds=1, steps=1, scale=scale)
    made.config["problem"] = {"name": "shallow_network", "width": 8, "points": 4}
    sigma = 1 / made.history["penalty"]
    errors = {"value_error": sigma, "gradient_error": sigma, "pseudoinverse_error": 1e-15, "difference_error": 1e-9}
    made.history = made.history.assign(**errors, hypergradient_norm=1.0)
    return [*found, made]


def stationary(
    experiment: str,
    end: Callable[[str, str, float], float] = lambda method, place, epsilon: 0.0,
    power: float = 1.0,
    scale: str = "paper",
):
    """Records of nondegeneracy_runs or shallow_network_runs, in which ε falls to ``end(method, place, σ)``.

    It reaches σ after calls that grow with σ^(−power).
    """
    study, found = nondegeneracy_study, []
    places = ("cut", study.KINK, study.CORNER) if experiment == study.RUNS else (study.NETWORK,)
    for name, place, epsilon in itertools.product(study.METHODS, places, (0.1, 0.05, 0.02)):
        made = synthetic.record(2, {}, name=name, seeds=2, steps=4000, scale=scale)
        polytope = place != study.NETWORK
        made.config["problem"] = {"name": "polytope" if polytope else "shallow_network", "penalty": 1 / epsilon}
        made.config["problem"] |= {"place": place} if polytope else {}
        falls = epsilon * (1 + made.history["seed"]) * 10 * (1 / epsilon) ** power / (1 + made.history["iteration"])
        made.history["stationarity"] = falls + end(name, place, epsilon)
        found.append(made)
    return found


def pl_constants(wide: float = 0.0, narrow: float = -3.0, falls: bool = False, scale: str = "paper"):
    """Records of shallow_network_pl, whose PL constants go like t to a power, by whether there are units enough.

    The gap falls where there are, and with ``falls`` elsewhere, too.
    """
    found = []
    for width in (1, 8):
        made = synthetic.record(2, {}, name="lower_only", seeds=2, steps=1000, scale=scale)
        made.config["problem"] = {"name": "shallow_network", "width": width, "points": 4}
        t, fits = made.history["iteration"], width >= 4
        made.history["pl_constant"] = (1.0 + t) ** (wide if fits else narrow)
        made.history["lower_gap"] = np.exp(-0.1 * t) if fits or falls else 0.1 + 0.1 / (1 + t)
        found.append(made)
    return found


def nasty(
    distance: Callable[[str, float], float] = lambda name, start: 0.0,
    scale: str = "paper",
    steps: Callable[[str], Sequence[float]] = lambda name: (0.1, 1.0, 10.0),
):
    """Records of nasty: at an upper step of 1 every run ends at ``distance(method, start)``, elsewhere farther away."""
    found = []
    for name in nasty_study.ORDER:
        axes = {"upper_step": list(steps(name)), "start_x": [0.5, 0.2, -0.5, 0.0, 0.4]}
        axes |= {"penalty": [2.0, 10.0]} if name in ("pbgd joint", "f2ba") else {}
        made = synthetic.record(2, axes, name=name.split()[0], **_update(name), seeds=1, scale=scale, steps=20)
        away = 0.1 * np.abs(np.log10(made.history["upper_step"]))
        made.history["distance"] = away + [distance(name, start) for start in made.history["start_x"]]
        for column in ("x_abs", "y_abs", "upper_loss", "lower_gap"):
            made.history[column] = made.history["distance"]
        found.append(made)
    return found


def corrupted(
    end: Callable[[str, float], float],
    seeds: int = 7,
    scale: str = "paper",
    unsolved: str = "",
    steps: Callable[[str], Sequence[float]] = lambda name: (0.5, 1.0, 2.0),
):
    """Records of corrupted_labels, two variants a method, whose best runs end at ``end(method, rate)``, seeds 0.001
    apart. The best is the second variant at a step of 1; ``unsolved`` leaves the lower level unsolved."""
    found = []
    for name, rate, batch, variant in itertools.product(label_study.ORDER, (0.1, 0.3), (50, 500), (1, 2)):
        axis = "lower_step" if name == label_study.WITHOUT else "upper_step"
        settings = {"name": name, "seeds": seeds, "points": 8, "steps": 100, "batch_size": batch, "scale": scale}
        made = synthetic.record(2, {axis: list(steps(name))}, lower_iterations=variant, **settings)
        made.config["problem"]["corruption_rate"] = rate
        history = made.history
        away = np.abs(np.log(history[axis])) + (variant == 1)
        history["upper_loss"] = end(name, rate) + away + 0.001 * history["seed"]
        history["upper_loss"] += 1 / (1 + history["iteration"]) - 1 / 101
        history["test_accuracy"], history["cleaning_auc"] = 0.9 - 0.1 * history["upper_loss"], 0.8
        history["lower_gradient_norm"] = 0.1 + (unsolved != name) / (1 + history["iteration"])
        found.append(made)
    return found


def bounded(power: float = 1.0, others: float = 0.05, penalties=(1.0, 2.0, 4.0, 8.0), scale: str = "paper"):
    """Records of lower_bound: levels 0.05·λ^power with fresh samples."""
    found = []
    for kind in ("fresh", "shared", "stocbio"):

        def norm(cell, seed, t, kind=kind):
            level = 0.05 * cell["penalty"] ** power if kind == "fresh" else others
            return (1 + 0.01 * seed) * level + np.exp(-0.1 * t)

        settings = {"name": "stocbio"} if kind == "stocbio" else {"name": "f2ba", "difference_samples": kind}
        axes = {} if kind == "stocbio" else {"penalty": list(penalties)}
        found.append(synthetic.record(2, axes, norm, scale=scale, **settings))
    return found


def _update(name: str) -> dict[str, str]:
    return {"update": name.split()[1]} if " " in name else {}


def whole(scale: str = "paper", steps: int = 400) -> synthetic.Makers:
    """Every experiment of the first-order studies, small."""
    small = {"scale": scale, "points": 60}
    horizons = (30, 100, 300, 1000) if scale == "paper" else (18, 60)
    return {
        "penalty_rates": lambda: scheduled(steps=10 * steps, **small),
        "proximal_rates": lambda: scheduled(steps=10 * steps, names=PROXIMAL, **small),
        "penalty_rates_fixed": lambda: fixed(horizons=horizons, scale=scale),
        "first_order_example3": lambda: convexity(
            lambda name, p, step: math.inf if name == "bome" and p > 2 else 20 * p / step, steps=steps, scale=scale
        ),
        "first_order_lp": lambda: regression(
            lambda name, p: 0.3 + 0.01 * ORDER.index(name), seeds=2 if scale == "paper" else 1, scale=scale
        ),
        "global_optimality": lambda: optimality(scale, steps),
        "penalty_accuracy": lambda: accuracy(scale=scale),
        "landscape": lambda: landscape(scale=scale),
        "nondegeneracy": lambda: nondegeneracy(scale=scale),
        "nondegeneracy_runs": lambda: stationary("nondegeneracy_runs", scale=scale),
        "shallow_network_runs": lambda: stationary("shallow_network_runs", scale=scale),
        "shallow_network_pl": lambda: pl_constants(scale=scale),
        "lower_bound": lambda: bounded(scale=scale),
        "nasty": lambda: nasty(lambda name, start: abs(start), scale),
        "corrupted_labels": lambda: corrupted(
            lambda name, rate: 0.5 + rate + 0.1 * (name == "lower_only"),
            seeds=7 if scale == "paper" else 1,
            scale=scale,
        ),
    }
