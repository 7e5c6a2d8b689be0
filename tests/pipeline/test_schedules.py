"""The two schedules: the powers of ε that their theorems state, one and the same for p = 2, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unibio.core.schedules import scheduled
from unibio.errors import InputError
from unibio.pipeline.composing import composer, expand

EXPONENTS = [2, 2.5, 3, 4, 6]
#: Two small ε for each, so that whole numbers are nearly real ones, but no more than can be counted.
ENDS = {2: (1e-2, 1e-3), 2.5: (0.02, 0.005), 3: (0.02, 0.01), 4: (0.1, 0.05), 6: (0.25, 0.125)}


def slope(quantity: str, name: str, p: float) -> float:
    """The power of ε of a setting."""
    ends = ENDS[p]
    values = []
    for epsilon in ends:
        found = scheduled(name, epsilon=epsilon, exponent=p, gap=1.0)
        values.append(1 - found.momentum if quantity == "1 − β" else getattr(found, quantity))
    return math.log(values[1] / values[0]) / math.log(ends[1] / ends[0])


@pytest.mark.parametrize("p", EXPONENTS)
def test_powers_of_epsilon(p: float) -> None:
    powers = {
        "paper": {"upper_step": 3 * p - 3, "period": -2, "steps": -3 * p + 2},
        "sharp": {"upper_step": p + 1, "period": -2, "steps": -p - 2},
    }
    for name, expected in powers.items():
        for quantity, power in (expected | {"1 − β": 2, "inner_budget": -2 * p + 2}).items():
            assert slope(quantity, name, p) == pytest.approx(power, abs=0.06), (name, quantity)


@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("epsilon", [0.5, 0.3, 0.2])
def test_the_constants_mean_what_is_said(p: float, epsilon: float) -> None:
    root, given = p - 1, {"epsilon": epsilon, "exponent": p, "gap": 3.0, "momentum": 0.5, "step": 0.25, "lower": 0.4}
    paper, sharp = scheduled("paper", **given), scheduled("sharp", **given)
    for found in (paper, sharp):
        assert 1 - found.momentum == pytest.approx(0.5 * epsilon**2)
        assert found.inner_budget == math.ceil((0.4 * epsilon) ** (-2 * root) * (1 - 1e-9))
        assert found.steps == math.ceil(3.0 / (found.upper_step * epsilon) * (1 - 1e-9))
    assert paper.upper_step == pytest.approx(0.25 * epsilon ** (3 * root))
    assert sharp.upper_step == pytest.approx(0.25 * 0.5 * epsilon**2 * epsilon**root)
    # the drift of y*: what is added up step by step, and what a whole period can bring
    assert paper.period * paper.upper_step ** (1 / root) <= 0.4 * epsilon * (1 + 1e-6) or paper.period == 1
    assert sharp.period * sharp.upper_step <= (0.4 * epsilon) ** root * (1 + 1e-6) or sharp.period == 1


@pytest.mark.parametrize("epsilon", [1.0, 0.5, 0.1])
def test_they_are_one_for_strong_convexity(epsilon: float) -> None:
    given = {"epsilon": epsilon, "exponent": 2, "gap": 2.0, "lower": 0.5}
    assert scheduled("paper", **given) == scheduled("sharp", **given)
    wider = given | {"exponent": 4}
    assert scheduled("paper", **wider) != scheduled("sharp", **wider) or epsilon == 1


def test_calls_as_the_theorems_count_them() -> None:
    """(T/I)·K lower gradients and T upper ones: powers of ε −5p + 6 and −3p + 2."""
    for p in (2, 3, 4):
        for name, power in (("paper", -5 * p + 6), ("sharp", -3 * p + 2)):
            calls = []
            for epsilon in ENDS[p]:
                s = scheduled(name, epsilon=epsilon, exponent=p, gap=1.0)
                calls.append(s.steps / s.period * s.inner_budget + s.steps)
            assert np.log(calls[1] / calls[0]) / np.log(ENDS[p][1] / ENDS[p][0]) == pytest.approx(power, abs=0.05)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epsilon": 0.0}, r"schedule\.epsilon must be a finite number above 0"),
        ({"epsilon": 1.5}, r"schedule\.epsilon must be at most 1"),
        ({"exponent": 1.5}, r"schedule\.exponent at least 2"),
        ({"gap": math.inf}, r"schedule\.gap"),
        ({"momentum": -1}, r"schedule\.momentum"),
        ({"step": "large"}, r"schedule\.step"),
        ({"lower": True}, r"schedule\.lower"),
        ({"epsilon": 1e-9}, "more than 2⁵³ steps .* give a larger epsilon"),
        ({"epsilon": 1e-300}, "more than 2⁵³ steps"),
    ],
)
def test_what_means_nothing_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scheduled("sharp", **({"epsilon": 0.3, "exponent": 4, "gap": 1.0} | wrong))
    with pytest.raises(InputError, match="unknown schedule"):
        scheduled("fast", epsilon=0.3, exponent=4, gap=1.0)


# In the configuration -----------------------------------------------------------------------------------------------


def job(*overrides: str):
    with composer() as compose_one:
        (found,) = expand(list(overrides), compose_one)
    return found


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", ["paper", "sharp"])
def test_a_configuration_takes_its_settings_from_a_schedule(name: str) -> None:
    """And its record is the one of the same numbers written by hand: the schedule itself decides nothing."""
    words = ["problem=hoelder", "problem.exponent=3", "problem.dimension=2", "tracker=none"]
    made = job(*words, f"schedule={name}", "schedule.epsilon=0.4", "schedule.gap=2", "schedule.lower=0.7")
    wanted = scheduled(name, epsilon=0.4, exponent=3.0, gap=2.0, lower=0.7)
    for key in ("upper_step", "momentum", "period", "inner_budget"):
        assert made.config["algorithm"][key] == getattr(wanted, key)
    assert made.config["steps"] == wanted.steps
    by_hand = job(
        *words, f"steps={wanted.steps}", f"algorithm.upper_step={wanted.upper_step!r}",
        f"algorithm.momentum={wanted.momentum!r}", f"algorithm.period={wanted.period}",
        f"algorithm.inner_budget={wanted.inner_budget}",
    )  # fmt: skip
    assert by_hand.name == made.name
    assert job(*words, f"schedule={name}", "steps=7").config["steps"] == 7, "what is said on top of it counts"


def test_an_epoch_is_taken_at_least() -> None:
    assert job("schedule=sharp", "schedule.epsilon=1", "problem.exponent=2").config["algorithm"]["inner_budget"] == 5


def test_accuracies_and_exponents_are_swept() -> None:
    with composer() as compose_one:
        jobs = expand(["schedule=sharp", "problem.exponent=2", "schedule.epsilon=0.5,0.25"], compose_one)
    assert [one.config["steps"] for one in jobs] == [16, 256]
    with composer() as compose_one:
        jobs = expand(["schedule=sharp", "schedule.epsilon=0.5", "problem.exponent=2,4", "seed=0,1"], compose_one)
    assert [one.config["steps"] for one in jobs] == [16, 16, 64, 64]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule=sharp", "schedule.epsilon=-1"], r"schedule\.epsilon must be a finite number above 0"),
        (["schedule=sharp", "schedule.epsilon=abc"], r"schedule\.epsilon must be a finite number"),
        (["schedule=sharp", "schedule.epsilom=1"], "Did you mean 'epsilon'"),
        (["schedule.epsilon=1"], "no schedule is chosen; add schedule=paper or schedule=sharp"),
        (["schedule=fast"], "unknown schedule 'fast'"),
        (["schedule=sharp", "algorithm=soba"], r"conf/schedule/sharp\.yaml: there is no key algorithm\.momentum"),
        (["schedule=sharp", "problem=noisy_quadratic"], r"schedule\.exponent .* give schedule\.exponent=VALUE"),
    ],
)
def test_a_schedule_that_cannot_be_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        job(*overrides)


# The study's experiments --------------------------------------------------------------------------------------------


def jobs(*overrides: str):
    with composer() as compose_one:
        return expand(list(overrides), compose_one)


def settings(one) -> dict[str, object]:
    """What a schedule sets of a job."""
    names = ("upper_step", "momentum", "period", "inner_budget")
    return {"steps": one.config["steps"]} | {name: one.config["algorithm"][name] for name in names}


@pytest.mark.parametrize("experiment", ["schedules", "schedules_paper"])
@pytest.mark.slow
def test_runs_that_follow_a_schedule_do_so_over_four_decades_and_twins_leave_it_in_one_point(experiment: str) -> None:
    name = "sharp" if experiment == "schedules" else "paper"
    calls: dict[float, list[float]] = {}
    by_place: dict[tuple[float, int], dict[str, dict[str, object]]] = {}
    for one in jobs(f"experiment={experiment}", "problem.dimension=4"):
        problem, paper, schedule = (one.config[key] for key in ("problem", "paper", "schedule"))
        assert schedule["exponent"] == problem["exponent"]
        assert schedule["epsilon"] == paper["epsilon"]
        where = problem["exponent"], paper["place"]
        by_place.setdefault(where, {})[paper["twin"]] = settings(one)
        if paper["twin"] == "none":
            known = {key: value for key, value in schedule.items() if key != "name"}
            wanted = scheduled(name, **known)
            epoch = {"inner_budget": max(5, wanted.inner_budget)}
            assert settings(one) == {key: getattr(wanted, key) for key in settings(one)} | epoch
            assert one.axes["algorithm.momentum"] == [wanted.momentum, 0]
            spent = wanted.steps * (4 + epoch["inner_budget"] / wanted.period)
            calls.setdefault(where[0], []).append(spent)
    for p, spent in calls.items():
        assert max(spent) / min(spent) > 10**3.3, p
    for where, found in by_place.items():
        own = found["none"]
        left = {twin: {key for key in own if found[twin][key] != own[key]} for twin in found}
        assert left["stale"] == {"period"}, where
        assert found["stale"]["period"] == own["steps"]
        assert left["one epoch"] <= {"inner_budget"}, where
        assert left["long step"] <= {"upper_step", "period", "steps"}, where
        assert "upper_step" in left["long step"], where
        assert found["long step"]["upper_step"] == pytest.approx(1 - float(own["momentum"]), rel=1e-9)


def test_both_schedules_of_the_study_are_one_at_p_2() -> None:
    sharp = jobs("experiment=schedules", "problem.exponent=2.0", "+experiment/schedules=followed")
    epsilons = [one.config["paper"]["epsilon"] for one in sharp]
    by_paper = [
        scheduled("paper", epsilon=e, exponent=2.0, gap=one.config["schedule"]["gap"], momentum=0.5, step=0.5)
        for e, one in zip(epsilons, sharp, strict=True)
    ]
    assert [one.config["steps"] for one in sharp] == [one.steps for one in by_paper]
    assert [one.config["algorithm"]["upper_step"] for one in sharp] == [one.upper_step for one in by_paper]


def test_steps_of_the_study_share_a_total_and_the_way_of_a_period() -> None:
    found = jobs("experiment=schedules_step")
    assert len({one.config["budget"] for one in found}) == 1
    for one in found:
        algorithm, q, p = one.config["algorithm"], one.config["paper"]["power"], one.config["problem"]["exponent"]
        assert algorithm["upper_step"] == pytest.approx(0.5 * 0.25**q)
        assert algorithm["upper_step"] * algorithm["period"] == pytest.approx(0.25 ** (p - 1), rel=1e-6)
    assert {one.config["paper"]["power"] for one in found} >= {3, 4, 6}, "ε^p, ε^(p+1) and ε^(3p−3)"
