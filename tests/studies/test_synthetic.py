"""Every rule on records that must give each of its verdicts."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from synthetic import EXPONENTS, PAPER, FakeRecord, descent, record, study, whole_evidence, whole_study
from thinned import some
from unibio.studies import CLAIMS, DRAWINGS
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge

BY_ID = {claim.id: claim for claim in CLAIMS}
NOISES = [0.0, 0.01, 1.0, 10.0]
#: Both noises, as the experiments vary them.
LEVELS = {"noise": NOISES, "upper_noise": NOISES}


def verdict(id, **given):  # noqa: A002
    outcome, _ = judge(BY_ID[id], study(**given))
    assert outcome.verdict in rules.VERDICTS
    assert outcome.explanation
    return outcome.verdict


def stuck(cell, seed, t):
    return np.full(len(t), 0.5)


def test_claims_are_well_formed():
    assert len(BY_ID) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.figure in DRAWINGS
        assert set(claim.experiments) >= set(DRAWINGS[claim.figure].experiments)
        assert claim.statement.endswith(".")
        assert claim.source


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_nothing_run(claim):
    outcome, _ = judge(claim, study())
    assert outcome.verdict == rules.NOT_RUN
    assert f"experiment={claim.experiments[0]}" in outcome.explanation


@pytest.mark.one_in(55)
@pytest.mark.parametrize("claim", [c for c in CLAIMS if len(c.exponents) > 1], ids=lambda claim: claim.id)
def test_some_exponents_not_run(claim):
    last = max(claim.exponents)
    named = {name: whole_study()[name] for name in claim.experiments}
    some = {name: [r for r in found if r.config["problem"]["exponent"] < last] for name, found in named.items()}
    outcome, _ = judge(claim, study(**some))
    assert outcome.verdict == rules.NOT_RUN
    assert f"p = {last}" in outcome.explanation


def test_reduced_scale_is_passed_on():
    _, scale = judge(BY_ID["fig1a"], study(fig1=whole_study("smoke", steps=40)["fig1"]))
    assert scale == "smoke"


# Convergence ---------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("id", "noise", "upper"),
    [
        ("fig1a", 0.0, 0.0),
        *((f"fig1{letter}", noise, noise) for letter, noise in zip("bcd", NOISES[1:], strict=True)),
        *((f"fig1{letter}-lower", noise, 0.0) for letter, noise in zip("bcd", NOISES[1:], strict=True)),
    ],
)
def test_convergence(id, noise, upper):  # noqa: A002
    """In the cell of the claim's own noises, for every p; noise on the lower level alone is another cell."""
    good = [record(p, LEVELS) for p in EXPONENTS]
    assert verdict(id, fig1=good) == rules.REPRODUCED

    def bad_here(cell, seed, t):
        here = (cell["noise"], cell["upper_noise"]) == (noise, upper)
        return stuck(cell, seed, t) if here else descent(cell, seed, t)

    def bad_elsewhere(cell, seed, t):
        here = (cell["noise"], cell["upper_noise"]) == (noise, upper)
        return descent(cell, seed, t) if here else stuck(cell, seed, t)

    assert verdict(id, fig1=[*good[:3], record(8, LEVELS, bad_here)]) == rules.NOT_REPRODUCED
    assert verdict(id, fig1=[*good[:3], record(8, LEVELS, bad_elsewhere)]) == rules.REPRODUCED
    others = [v for v in NOISES if v != noise]
    assert verdict(id, fig1=[record(p, LEVELS | {"noise": others}) for p in EXPONENTS]) == rules.NOT_RUN
    if upper:  # records from before there was noise on the upper level say nothing about it
        assert verdict(id, fig1=[record(p, {"noise": NOISES}) for p in EXPONENTS]) == rules.NOT_RUN


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "experiment"),
    some(
        [
            ("rate-p2", "fig5"),
            ("rate-p8", "fig5"),
            ("flatter-with-p", "fig5"),
            ("noise-robust-10d", "fig1_coordinatewise"),
            ("slower-iterations", "fig1"),
            ("closed-form-suffices", "fig1"),
            ("generalised-estimator-10d", "coordinatewise_sensitivity"),
            ("budget-and-step-10d", "coordinatewise_sensitivity"),
            ("generalised-estimator-10d-second", "coordinatewise_sensitivity"),
        ],
        lambda claim, _: claim in ("rate-p8", "slower-iterations", "generalised-estimator-10d"),  # one of each study
    ),
)
def test_records_without_upper_noise_do_not_decide_the_main_reading(id, experiment):  # noqa: A002
    """Those without any noise belong to both readings, and alone they would decide it in silence."""
    given = whole_study()
    lower = [r for r in given[experiment] if set(r.config["grid"]["problem.upper_noise"]) > {0.0}]
    assert len(lower) == len(given[experiment])

    def without(r):
        keep = r.runs["upper_noise"] == 0
        kept = {old: new for new, old in enumerate(np.flatnonzero(keep))}
        history = r.history[r.history["run"].isin(list(kept))]
        history = history.assign(run=history["run"].map(kept)).drop(columns="upper_noise")
        grid = {key: values for key, values in r.config["grid"].items() if key != "problem.upper_noise"}
        runs = r.runs[keep].drop(columns="upper_noise").reset_index(drop=True)
        return FakeRecord(r.name, r.config | {"grid": grid}, r.summary, history.reset_index(drop=True), runs)

    named = {name: given[name] for name in BY_ID[id].experiments}
    assert verdict(id, **named | {experiment: [without(r) for r in lower]}) == rules.NOT_RUN
    assert judge(BY_ID[id], whole_evidence())[0].verdict != rules.NOT_RUN


def test_convergence_is_of_most_seeds_and_lasting():
    def one_seed_stuck(cell, seed, t):
        return stuck(cell, seed, t) if seed == 0 else descent(cell, seed, t)

    def passes_through(cell, seed, t):
        return np.where((t > 250) & (t < 280), 0.01, 0.5)

    for norm, seeds, expected in (
        (one_seed_stuck, 5, rules.NOT_REPRODUCED),
        (one_seed_stuck, 30, rules.REPRODUCED),
        (passes_through, 3, rules.NOT_REPRODUCED),
    ):
        found = [record(p, {"noise": [0.0]}, norm, seeds=seeds) for p in EXPONENTS]
        assert verdict("fig1a", fig1=found) == expected


def test_diverged_runs_have_not_converged():
    found = [record(p, {"noise": [0.0]}, status=lambda cell, seed: "diverged") for p in EXPONENTS]
    assert verdict("fig1a", fig1=found) == rules.NOT_REPRODUCED


# Larger p is slower --------------------------------------------------------------------------------------------------

SLOWER = [
    ("slower-iterations", "fig1", "fig1_equal", {}),
    ("slower-calls", "fig1", "fig1_equal", {}),
    ("slower-iterations-10d", "fig1_coordinatewise", "fig1_coordinatewise_equal", {"dimension": 10}),
    ("slower-calls-10d", "fig1_coordinatewise", "fig1_coordinatewise_equal", {"dimension": 10}),
]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("id", "published", "equal", "settings"), SLOWER)
def test_slower(id, published, equal, settings):  # noqa: A002
    steps = [eta * settings.get("dimension", 1) ** 0.5 for eta in PAPER.values()]
    shrink = settings.get("dimension", 1) ** 0.5

    def by_step(cell, seed, t):
        return descent({**cell, "upper_step": cell["upper_step"] / shrink}, seed, t)

    def by_step_and_p(cell, seed, t):
        return descent({**cell, "upper_step": cell["upper_step"] / shrink / (1 + cell["p"] / 4)}, seed, t)

    def by_nothing(cell, seed, t):
        return descent({**cell, "upper_step": 0.03}, seed, t)

    def both(own, control, **more):
        return {
            published: [
                record(p, {"noise": [0.0, 1.0], "upper_noise": [0.0, 1.0]}, own, steps=1600, **settings, **more)
                for p in EXPONENTS
            ],
            equal: [
                record(p, {"noise": [0.0], "upper_step": steps}, control, steps=1600, **settings, **more)
                for p in EXPONENTS
            ],
        }

    assert verdict(id, **both(by_step, by_step)) == rules.CONFOUNDED
    assert verdict(id, **both(by_step_and_p, by_step_and_p)) == rules.REPRODUCED
    assert verdict(id, **both(by_nothing, by_nothing)) == rules.NOT_REPRODUCED
    assert verdict(id, **both(stuck, stuck)) == rules.NOT_REPRODUCED
    assert verdict(id, **both(stuck, stuck, scale="smoke")) == rules.NOT_RUN  # too short to say anything


def test_slower_at_some_equal_steps_only_is_confounded():
    def slower_at_one(cell, seed, t):
        factor = 1 + cell["p"] / 4 if cell["upper_step"] == 0.05 else 1
        return descent({**cell, "upper_step": cell["upper_step"] / factor}, seed, t)

    axes = {"noise": [0.0], "upper_step": [0.05, 0.03]}
    own = [record(p, {"noise": [0.0]}) for p in EXPONENTS]
    control = [record(p, axes, slower_at_one) for p in EXPONENTS]
    outcome, _ = judge(BY_ID["slower-iterations"], study(fig1=own, fig1_equal=control))
    assert outcome.verdict == rules.CONFOUNDED
    assert (outcome.numbers["equal_cells_where_slower"], outcome.numbers["equal_cells"]) == (1, 2)


def test_slower_gives_the_numbers_of_the_equal_step_control():
    own = [record(p, {"noise": [0.0]}) for p in EXPONENTS]
    control = [record(p, {"noise": [0.0], "upper_step": list(PAPER.values())}) for p in EXPONENTS]
    outcome, _ = judge(BY_ID["slower-iterations"], study(fig1=own, fig1_equal=control))
    assert outcome.numbers["equal_steps"]["noise 0, step 0.05"] == dict.fromkeys(EXPONENTS, 48.0)


# The released script -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_released_and_own_picture():
    own = [record(p, LEVELS) for p in EXPONENTS]

    def later(cell, seed, t):
        return descent({**cell, "upper_step": 0.8 * cell["upper_step"]}, seed, t)

    def only_one_arrives(cell, seed, t):
        return np.maximum(descent(cell, seed, t), 0.11)

    for norm, expected in (
        (descent, rules.REPRODUCED),
        (later, rules.NOT_REPRODUCED),
        (only_one_arrives, rules.NOT_REPRODUCED),
    ):
        released = [record(p, {"noise": NOISES}, norm, noise_reading="std") for p in EXPONENTS]
        assert verdict("closed-form-suffices", fig1=own, fig1_released=released) == expected
        assert verdict("closed-form-suffices-lower", fig1=own, fig1_released=released) == expected

    def slowed_by_upper(cell, seed, t):
        return descent({**cell, "upper_step": cell["upper_step"] / (1 + (cell["upper_noise"] >= 1))}, seed, t)

    given = {"fig1": [record(p, LEVELS, slowed_by_upper) for p in EXPONENTS]}
    given["fig1_released"] = [record(p, {"noise": NOISES}, noise_reading="std") for p in EXPONENTS]
    assert verdict("closed-form-suffices", **given) == rules.NOT_REPRODUCED
    assert verdict("closed-form-suffices-lower", **given) == rules.REPRODUCED


# Rates ---------------------------------------------------------------------------------------------------------------


def power(slope):
    return lambda cell, seed, t: np.maximum(t, 1.0) ** slope * (1 + 0.01 * seed)


def rises_then_falls(cell, seed, t):
    t = np.maximum(t, 1.0)
    return np.where(t < 50, t / 50, 50 / t)


@pytest.mark.one_in(6)
@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize(
    ("mean", "expected"),
    [
        (power(-0.5), rules.CONSISTENT),
        (power(-0.02), rules.VIOLATED),
        (power(0.2), rules.VIOLATED),
        (rises_then_falls, rules.NOT_TESTABLE),
    ],
)
def test_rates(p, mean, expected):
    assert verdict(f"rate-p{p}", fig5=falling(mean)) == expected


@cache
def falling(mean):
    """Records with this mean at every step; the rules only read them."""
    axes = {"noise": [0.0, 1.0], "upper_noise": [0.0, 1.0], "upper_step": list(PAPER.values())}
    return [record(q, axes, mean=mean, steps=5000) for q in EXPONENTS]


def test_rates_look_at_the_papers_step_only():
    def falls_at_own_step(cell, seed, t):
        return power(-0.5 if cell["upper_step"] == 0.01 else 0.2)(cell, seed, t)

    found = [record(p, {"upper_step": [0.05, 0.01]}, mean=falls_at_own_step, steps=5000) for p in EXPONENTS]
    assert verdict("rate-p8", fig5=found) == rules.CONSISTENT
    assert verdict("rate-p2", fig5=found) == rules.VIOLATED
    assert verdict("rate-p4", fig5=found) == rules.NOT_RUN  # 0.03 is not among the steps


def test_rates_of_diverged_runs_and_short_curves():
    axes = {"upper_step": list(PAPER.values())}
    diverged = [record(p, axes, status=lambda cell, seed: "diverged") for p in EXPONENTS]
    assert verdict("rate-p2", fig5=diverged) == rules.NOT_TESTABLE
    assert verdict("rate-p2", fig5=[record(p, axes, steps=2) for p in EXPONENTS]) == rules.NOT_RUN


def test_flatter_with_p():
    axes = {"noise": [0.0], "upper_step": list(PAPER.values())}

    def by_p(cell, seed, t):
        return np.maximum(t, 1.0) ** (-1 / cell["p"])

    def by_step(cell, seed, t):
        return np.maximum(t, 1.0) ** (-10 * cell["upper_step"])

    def the_other_way(cell, seed, t):
        return np.maximum(t, 1.0) ** (-cell["p"] / 10)

    for mean, expected in (
        (by_p, rules.REPRODUCED),
        (by_step, rules.CONFOUNDED),
        (the_other_way, rules.NOT_REPRODUCED),
    ):
        found = [record(p, axes, mean=mean, steps=5000) for p in EXPONENTS]
        assert verdict("flatter-with-p", fig5=found) == expected


@pytest.mark.slow
def test_faster_than_the_bound_asks_every_p():
    """Of one power law for all p: steeper than every bound, flatter than that of p = 2, and near none of them."""
    axes = {"noise": [0.0, 1.0], "upper_noise": [0.0, 1.0], "upper_step": [0.05, 0.03, 0.02, 0.01]}

    def faster(**slopes):
        found = [record(p, axes, mean=power(slopes.get(f"p{p}", -0.5)), steps=5000) for p in EXPONENTS]
        return verdict("faster-than-bound", fig5=found)

    assert faster() == rules.REPRODUCED
    assert faster(p2=-0.2) == rules.NOT_REPRODUCED
    assert faster(p8=-0.02) == rules.NOT_REPRODUCED
    diverged = [record(p, axes, mean=power(np.inf if p == 6 else -0.5), steps=5000) for p in EXPONENTS]
    assert verdict("faster-than-bound", fig5=diverged) == rules.NOT_TESTABLE
    assert verdict("faster-than-bound", fig5=[record(p, axes, steps=2) for p in EXPONENTS]) == rules.NOT_RUN


# The learning-rate search --------------------------------------------------------------------------------------------

STEPS = {"upper_step": [0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3], "lower_step": [0.1, 1.0, 10.0]}


def best_at(step_of, lower=0.0):
    def mean(cell, seed, t):
        away = np.log(cell["upper_step"] / step_of(cell["p"])) ** 2 + lower * np.log10(cell["lower_step"])
        return np.full(len(t), 1 + away)

    return mean


def test_paper_steps():
    good = [record(p, STEPS, mean=best_at(lambda p: PAPER[p])) for p in EXPONENTS]
    assert verdict("paper-steps-tied", lr_search=good) == rules.REPRODUCED
    bad = [record(p, STEPS, mean=best_at(lambda p: 0.05)) for p in EXPONENTS]
    assert verdict("paper-steps-tied", lr_search=bad) == rules.NOT_REPRODUCED
    elsewhere = [record(p, {"upper_step": [1.0, 2.0, 4.0], "lower_step": [1.0, 2.0]}) for p in EXPONENTS]
    assert verdict("paper-steps-tied", lr_search=elsewhere) == rules.NOT_RUN
    assert verdict("lower-step-irrelevant", lr_search=elsewhere) == rules.NOT_RUN


def test_an_edge_is_said_in_the_verdict():
    edge = [record(p, STEPS, mean=best_at(lambda p: 0.3)) for p in EXPONENTS]
    outcome, _ = judge(BY_ID["paper-steps-tied"], study(lr_search=edge))
    assert "widen" in outcome.explanation
    assert outcome.numbers["edges"]


def test_a_search_in_which_all_diverge_is_no_search():
    broken = [record(p, STEPS, status=lambda cell, seed: "diverged") for p in EXPONENTS]
    assert verdict("paper-steps-tied", lr_search=broken) == rules.NOT_RUN


@pytest.mark.parametrize(("lower", "expected"), [(0.01, rules.REPRODUCED), (0.2, rules.NOT_REPRODUCED)])
def test_lower_step(lower, expected):
    found = [record(p, STEPS, mean=best_at(lambda p: PAPER[p], lower)) for p in EXPONENTS]
    assert verdict("lower-step-irrelevant", lr_search=found) == expected


# Costs and the coordinate-wise problem -------------------------------------------------------------------------------


def test_inner_iterations():
    good = [record(p, noise=1.0, seeds=1) for p in EXPONENTS]
    assert verdict("inner-iterations", runtime=good) == rules.REPRODUCED
    off = [*good[:3], record(8, noise=1.0, seeds=1, lower_calls=78)]
    assert verdict("inner-iterations", runtime=off) == rules.NOT_REPRODUCED


@pytest.mark.parametrize("name", ["running-time-grows"])
def test_what_a_larger_p_costs_by_the_theorem_s_budget_is_not_told_by_a_fixed_one(name):
    found = [record(p, noise=1.0, seeds=1) for p in EXPONENTS]
    outcome, _ = judge(BY_ID[name], study(runtime=found))
    assert outcome.verdict == rules.NOT_TESTABLE
    assert "K was set to 100 and not by Theorem C.5" in outcome.explanation
    assert outcome.numbers["inner_budget"] == [100]


@pytest.mark.slow
def test_noise_robustness():
    def slowed(cell, seed, t):
        return descent({**cell, "upper_step": cell["upper_step"] / (1 + 0.3 * (cell["noise"] > 1))}, seed, t)

    def stuck_by_noise(cell, seed, t):
        return np.where(cell["noise"] > 1, np.maximum(descent(cell, seed, t), 0.4), descent(cell, seed, t))

    for norm, expected in (
        (descent, rules.REPRODUCED),
        (slowed, rules.NOT_REPRODUCED),
        (stuck_by_noise, rules.NOT_REPRODUCED),
    ):
        found = [record(p, LEVELS, norm, dimension=10) for p in EXPONENTS]
        assert verdict("noise-robust-10d", fig1_coordinatewise=found) == expected
        assert verdict("noise-robust-10d-lower", fig1_coordinatewise=found) == expected
    noiseless = [record(p, {"noise": [0.0]}, dimension=10) for p in EXPONENTS]
    assert verdict("noise-robust-10d", fig1_coordinatewise=noiseless) == rules.NOT_RUN


#: Which noises the records of a claim have; what each looks for among them, a test below says.
CONDITIONS = some(["", "-lower", "-second"], lambda condition: condition == "")


def test_conditions_look_at_their_own_noises():
    """The budget matters without noise on second derivatives, and not with it."""

    def mean_of(p, budget, estimator, step):
        return 1 + 0.2 * (budget == 10) + (estimator == "classical")

    found = sensitivity(mean_of)
    for one in found:
        noisy = (one.history["hessian_noise"] > 0) | (one.history["cross_noise"] > 0)
        one.history.loc[noisy, "hypergradient_norm_mean"] = 1.0
    for condition, expected in (("", rules.REPRODUCED), ("-second", rules.NOT_REPRODUCED)):
        assert verdict(f"budget-and-step-10d{condition}", coordinatewise_sensitivity=found) == expected


def sensitivity(mean_of, estimators=("generalised", "classical")):
    def job(p, budget, estimator):
        axes = {"noise": [0.0, 1.0], "upper_noise": [0.0, 1.0], "hessian_noise": [0.0, 0.25]}
        axes |= {"cross_noise": [0.0, 0.25], "neumann_step": [0.1, 1.0]}

        def mean(cell, seed, t):
            return np.full(len(t), mean_of(p, budget, estimator, cell["neumann_step"]))

        return record(p, axes, mean=mean, dimension=10, inner_budget=budget, estimator=estimator)

    return [job(p, budget, estimator) for p in EXPONENTS for budget in (10, 100) for estimator in estimators]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(("effect", "expected"), [(0.2, rules.REPRODUCED), (0.01, rules.NOT_REPRODUCED)])
def test_budget_and_step(effect, expected, condition):
    found = sensitivity(lambda p, budget, estimator, step: 1 + effect * (budget == 10) + (estimator == "classical"))
    assert verdict(f"budget-and-step-10d{condition}", coordinatewise_sensitivity=found) == expected


@pytest.mark.one_in(4)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(
    ("classical", "expected"),
    [
        (lambda p, step: 1 + 0.1 * (p > 2) + (step == 1.0), rules.REPRODUCED),
        (lambda p, step: 1 + 0.1 * (p > 4), rules.NOT_REPRODUCED),  # not for p = 4
        (lambda p, step: 1 + (step == 1.0), rules.NOT_REPRODUCED),  # at a badly chosen step only
        (lambda p, step: 1.2, rules.NOT_REPRODUCED),  # at p = 2 too, where the two are one formula
    ],
)
def test_generalised_estimator(classical, expected, condition):
    found = sensitivity(lambda p, budget, estimator, step: 1.0 if estimator == "generalised" else classical(p, step))
    assert verdict(f"generalised-estimator-10d{condition}", coordinatewise_sensitivity=found) == expected


def test_generalised_estimator_needs_both():
    found = sensitivity(lambda *_: 1.0, estimators=("generalised",))
    assert verdict("generalised-estimator-10d", coordinatewise_sensitivity=found) == rules.NOT_RUN
