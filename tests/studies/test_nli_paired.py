"""Hyper-cleaning of sentence pairs: comparisons seed by seed, further UniBiOs, widths, and the chosen steps."""

from __future__ import annotations

import itertools
import math
import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import yaml

from synthetic import study, write_study
from synthetic_nli import FIRST, FURTHER, METHODS, OTHERS, everyone, pair, ranked, record, tuning
from unibio.core.epoch_sgd import epochs
from unibio.errors import InputError
from unibio.pipeline.composing import composer
from unibio.pipeline.conf import conf_dir
from unibio.studies import CLAIMS
from unibio.studies.common import methods
from unibio.studies.common import verdicts as rules
from unibio.studies.common.claim import judge
from unibio.studies.common.document import markdown
from unibio.studies.nli import section, widths
from unibio.studies.nli.chosen import FILES, at_ends, chosen, scale_of, with_column
from unibio.studies.nli.differences import differences
from unibio.studies.nli.pairing import POWER, could_be_seen, paired
from unibio.studies.nli.setting import TWO_EPOCHS, method_of

BY_ID = {claim.id: claim for claim in CLAIMS}


def outcome(id, **given):  # noqa: A002
    return judge(BY_ID[id], study(**given))[0]


# Seed by seed --------------------------------------------------------------------------------------------------------
def test_an_interval_of_paired_differences_is_students() -> None:
    rng = np.random.default_rng(0)
    gap = rng.normal(0.01, 0.004, 10)
    seeds = pd.Series(rng.normal(0.6, 0.1, 10))  # far apart, and the same for both
    found = paired(seeds + gap, seeds, looks=3)
    low, high = scipy.stats.t.interval(1 - 0.05 / 3, 9, loc=gap.mean(), scale=scipy.stats.sem(gap))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.order, found.seeds, found.lost) == (1, 10, False)
    assert paired(seeds, seeds + gap).order == -1
    assert paired(seeds, seeds).order == 0


def test_what_could_have_been_seen_is_seen_as_often_as_said() -> None:
    """In 4000 studies whose true difference is that of their spread, to five standard errors."""
    rng, count, zero = np.random.default_rng(1), 10, pd.Series(np.zeros(10))
    unit = np.arange(count) / np.arange(count).std(ddof=1)
    true = paired(pd.Series(unit), zero).detectable
    seen = [paired(pd.Series(rng.normal(true, 1, count)), zero).order > 0 for _ in range(4000)]
    assert np.mean(seen) == pytest.approx(POWER, abs=5 * math.sqrt(POWER * (1 - POWER) / 4000))


def test_false_alarms_are_as_rare_as_said() -> None:
    """Equals are told apart in 5 % of 4000 studies, to four standard errors."""
    rng = np.random.default_rng(2)
    told = [paired(pd.Series(rng.normal(0, 1, 5)), pd.Series(np.zeros(5))).order != 0 for _ in range(4000)]
    assert np.mean(told) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 4000))


@pytest.mark.parametrize(
    "other",
    [pd.Series([0.1, 0.1]), pd.Series([0.1, 0.1, math.nan]), pd.Series([0.1, 0.1, 0.1], index=[0, 1, 7])],
    ids=["fewer seeds", "one diverged", "other seeds"],
)
def test_lost_seeds_tell_nothing(other: pd.Series) -> None:
    found = paired(pd.Series([0.5, 0.6, 0.7]), other)
    assert found.lost
    assert found.order == 0


def test_two_seeds_and_none() -> None:
    assert paired(pd.Series([0.5, 0.6]), pd.Series([0.1, 0.2])).order == 0
    nothing = paired(pd.Series([math.nan]), pd.Series([0.1]))
    assert math.isnan(nothing.mean)
    assert "too few seeds" in could_be_seen([nothing])


def test_differences_of_every_unibio_from_every_other() -> None:
    found = everyone((*FURTHER, *METHODS))
    table = differences(study(nli=found)).set_index(["metric", "unibio", "other"])
    assert len(table) == 4 * 3 * 7
    row = table.loc[("test_accuracy", "unibio_adaptive", "bo_rep")]
    assert row["difference"] == pytest.approx(-0.09)
    assert not row["lost"]
    one = next(one for one in found if one.config["algorithm"]["name"] == "bo_rep")
    one.runs["status"] = "diverged"
    assert (
        differences(study(nli=found)).set_index(["metric", "unibio", "other"])["lost"].groupby("other").all()["bo_rep"]
    )


# Further UniBiOs -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("p", [2, 3, 4])
def test_two_epochs_are_two_and_have_a_name_of_their_own(p: int) -> None:
    """As configured: Epoch-SGD's second epoch fits into K, and at p > 2 D is below 1 at most weights."""
    with composer() as compose_one:
        base = ["experiment=nli", "scale=desk", f"problem.exponent={p}"]
        config, released = (compose_one([*base, f"+experiment/nli={name}"]) for name in ("unibio_epochs", "unibio"))
    algorithm = config.algorithm
    taken = [one.length for one in epochs(algorithm.inner_budget, algorithm.first_length, p)]
    assert len(taken) == 2
    # about as many lower steps an upper one as the released form's three every two iterations
    assert sum(taken) / algorithm.period == pytest.approx(1.5, abs=0.4)
    given = record("unibio epochs", p=p)
    given.config["algorithm"] |= {name: algorithm[name] for name in ("inner_budget", "first_length", "floor")}
    assert method_of(given) == TWO_EPOCHS
    given.config["algorithm"] |= {name: released.algorithm[name] for name in ("inner_budget", "first_length")}
    assert method_of(given) == "unibio"
    if p == 2:
        assert algorithm.neumann_step == released.algorithm.neumann_step
    else:
        assert algorithm.floor < 1 / math.sqrt(config.problem.width) / 10, "of weights up to 1/√units"
        assert algorithm.neumann_step < released.algorithm.neumann_step


def test_further_unibios_are_judged_at_equal_calls() -> None:
    def of(own: float, other: float, cost: float = 1.0) -> list[str]:
        found = [one for name in METHODS for one in pair(name, other)]
        found += [one for name in FURTHER for one in pair(name, own, cost=cost)]
        asked = ("nli-two-epochs-highest", "nli-two-epochs", "nli-without-p")
        return [outcome(name, nli=found).verdict for name in asked]

    assert of(0.60, 0.55) == [rules.REPRODUCED] * 3
    assert of(0.50, 0.55) == [rules.NOT_REPRODUCED] * 3
    assert of(0.60, 0.55, cost=4) == [rules.NOT_REPRODUCED] * 3, "the highest in the end, at four times the calls"
    assert outcome("nli-two-epochs", nli=everyone()).verdict == rules.NOT_RUN


def test_the_better_form_is_none_of_the_further_ones() -> None:
    found = everyone((*METHODS, *FURTHER))
    assert outcome("nli-highest-0.1-p3", nli=found).numbers["own"] == "UniBiO (plain steps)"
    assert outcome("nli-highest-of-all", nli=found).verdict == rules.NOT_REPRODUCED
    assert set(outcome("nli-highest-of-all", nli=found).numbers["test_accuracy"]) == set(map(methods.label, METHODS))


# Widths --------------------------------------------------------------------------------------------------------------
def turned(step: float, **settings):
    return {
        "nli_width": ranked(METHODS, 16, 0.03, **settings) + ranked(METHODS, 64, step, **settings),
        "nli_width_256": ranked(METHODS[1:5], 256, 0.03, seeds=2, **settings),
    }


def test_the_ranking_changes_with_the_width() -> None:
    name = "nli-ranking-width"
    assert outcome(name, **turned(-0.03)).verdict == rules.REPRODUCED
    assert "UniBiO and UniBiO (plain steps) (+0.030 at 16, −0.030 at 64)" in outcome(name, **turned(-0.03)).explanation
    assert outcome(name, **turned(0.03)).verdict == rules.NOT_REPRODUCED
    assert outcome(name, **turned(-0.001, apart=0.02)).verdict == rules.NOT_TESTABLE
    given = turned(0.03)
    given["nli_width"][0].runs["status"] = "diverged"
    assert outcome(name, **given).verdict == rules.NOT_TESTABLE
    one_width = {"nli_width": ranked(METHODS, 64), "nli_width_256": ranked(METHODS, 64)}
    assert outcome(name, **one_width).verdict == rules.NOT_RUN
    assert outcome(name, nli_width=ranked(METHODS, 64)).verdict == rules.NOT_RUN


def test_intervals_of_a_width_have_the_pooled_spread_or_a_pairs_own_larger_one() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.6, 0.01, (5, 3))
    found = [
        record(name, values[seed, k] - 0.001 * seed, seed=seed, width=16)
        for (k, name), seed in itertools.product(enumerate(METHODS[:3]), range(5))
    ]
    table = widths.differences(study(nli_width=found))
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    pooled = math.sqrt(2 * (rest**2).sum() / 8)
    own = [(values[:, i] - values[:, j]).std(ddof=1) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(own) < pooled < max(own)
    assert table["difference"].iloc[0] == pytest.approx((values[:, 0] - values[:, 1]).mean())
    errors = np.maximum(own, pooled) / math.sqrt(5)
    np.testing.assert_allclose((table["high"] - table["low"]) / 2, scipy.stats.t.ppf(1 - 0.05 / 6, 8) * errors)


@pytest.mark.slow
def test_equal_methods_change_no_order_by_chance() -> None:
    """Of equals at three widths an order is said to change in 5 % of studies at most; beyond 13 of 100 in 0.1 %."""
    rng = np.random.default_rng(4)

    def equals(*sizes: int, seeds: int) -> list:
        return [
            record(name, 0.6 + rng.normal(0, 0.01), seed=seed, width=width, points=2)
            for width, name, seed in itertools.product(sizes, METHODS[:3], range(seeds))
        ]

    found = [
        outcome("nli-ranking-width", nli_width=equals(16, 64, seeds=3), nli_width_256=equals(256, seeds=2))
        for _ in range(100)
    ]
    assert sum(one.verdict == rules.REPRODUCED for one in found) <= 13


def test_the_section_ranks_the_methods_of_every_width() -> None:
    text = markdown(list(section.blocks(study(**turned(-0.03)))))
    assert "| 16 | UniBiO | 0.701 [0.700, 0.702] | 1.0 | 9 | 0 of 3 |" in text
    assert "| 64 | UniBiO | 0.701 [0.700, 0.702] | 9.0 | 9 | 0 of 3 |" in text


def test_runs_of_the_width_between_are_those_of_the_comparison() -> None:
    with composer() as compose_one:
        words = ["scale=desk", "+experiment/nli=ma_soba", "seed=3", "problem.weights=learned"]
        one, other = (
            compose_one([f"experiment={name}", *words, *more])
            for name, more in (("nli", []), ("nli_width", ["problem.width=64"]))
        )
    for key in ("problem", "algorithm", "data", "epochs", "log_points", "dtype"):
        assert one[key] == other[key]


# Steps ---------------------------------------------------------------------------------------------------------------
def search(scale: str = "desk"):
    """Of every method that has steps to try, on two seeds."""
    found = [tuning(name, seed=seed, scale=scale) for name in (*FIRST, FURTHER[0]) for seed in (1000, 1001)]
    others = [tuning(name, seed=seed, scale=scale) for name in OTHERS for seed in (1000, 1001)]
    found += [tuning("stocbio", best=1, seed=seed, scale=scale, weights="frozen") for seed in (1000, 1001)]
    saba = [record("saba", upper=upper, seed=seed, scale=scale) for upper in (100.0, 1000.0) for seed in (1000, 1001)]
    return {"nli_tuning": found, "nli_tuning_others": others, "nli_tuning_saba": saba}


def test_what_the_search_chose_goes_into_the_methods_files() -> None:
    evidence = study(**search())
    steps = chosen(evidence)
    assert set(steps) == set(FILES)
    assert steps["unibio_epochs"] == {"upper_step": 1.0, "lower_step": 0.3}
    assert steps["plain"] == {"lower_step": 0.3}
    assert scale_of(evidence) == "desk"
    assert "UniBiO: lower_step 0.3 is at the high end of what was tried (0.1, 0.3)" in at_ends(evidence)
    for name, values in steps.items():
        before = (conf_dir() / "experiment" / "nli" / f"{name}.yaml").read_text()
        once = with_column(before, "found", values)
        assert {key: yaml.safe_load(once)["paper"][key]["found"] for key in values} == values
        assert with_column(once, "found", values) == once, "renewed, not added again"
        rest = with_column(once, "found", dict.fromkeys(values, 7.0))
        assert yaml.safe_load(rest)["paper"]["lower_step"]["found"] == 7.0
        assert yaml.safe_load(rest)["algorithm"] == yaml.safe_load(before)["algorithm"]


def test_one_command_writes_them_and_has_their_scale_use_them(tmp_path: Path, capsys) -> None:
    write_study(tmp_path / "runs", search())
    shutil.copytree(conf_dir(), tmp_path / "conf")
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "choose_steps.py"))["main"]
    words = ["--records", str(tmp_path / "runs"), "--conf", str(tmp_path / "conf")]
    before = (tmp_path / "conf/scale/desk.yaml").read_text()
    script(words)
    assert "unibio_epochs: upper_step 1, lower_step 0.3" in capsys.readouterr().out
    assert (tmp_path / "conf/scale/desk.yaml").read_text() == before, "nothing is written unasked"
    script([*words, "--write"])
    scale = yaml.safe_load((tmp_path / "conf/scale/desk.yaml").read_text())
    assert scale == yaml.safe_load(before) | {"nli": yaml.safe_load(before)["nli"] | {"steps": "desk"}}
    method = yaml.safe_load((tmp_path / "conf/experiment/nli/ma_soba.yaml").read_text())
    assert method["paper"]["upper_step"]["desk"] == 1.0
    with pytest.raises(InputError, match="by --column"):
        script([*words, "--write", "--column", "paper"])


def test_an_unfinished_search_chooses_nothing() -> None:
    given = search()
    with pytest.raises(
        InputError, match="no steps for SABA: nli_tuning, nli_tuning_others, nli_tuning_saba have to be complete"
    ):
        chosen(study(**given | {"nli_tuning_saba": []}))
    mixed = given["nli_tuning"] + search("laptop")["nli_tuning"]
    with pytest.raises(InputError, match="several scales, desk, laptop"):
        scale_of(study(nli_tuning=mixed))
    with pytest.raises(InputError, match="no table of lower_step"):
        with_column("paper: 1\n", "desk", {"lower_step": 0.1})


def test_every_scale_uses_a_column_that_every_method_has() -> None:
    tables = [
        yaml.safe_load((conf_dir() / "experiment" / "nli" / f"{name}.yaml").read_text())["paper"] for name in FILES
    ]
    for path in (conf_dir() / "scale").glob("*.yaml"):
        column = yaml.safe_load(path.read_text())["nli"]["steps"]
        assert all(column in table["lower_step"] for table in tables), f"{path.name} uses the column {column}"


def test_steps_of_another_size_are_told() -> None:
    def text_of(scale: str) -> str:
        return outcome("nli-plain-steps", nli=everyone(scale="desk"), **search(scale)).explanation

    told = "steps for 32 units, 10,000 pairs and 20 epochs were searched with 4,096 units"
    assert told in text_of("paper")
    assert told not in text_of("desk")
    at_paper = everyone(scale="desk")
    for one in at_paper:
        one.config["scale"] = {"name": "desk", "nli": {"steps": "paper"}}  # those of the released code
    assert told not in outcome("nli-plain-steps", nli=at_paper, **search("paper")).explanation
    unsearched = pair("unibio epochs", 0.5, scale="desk") + pair("unibio_adaptive", 0.5, scale="desk")
    given = search()
    given["nli_tuning"] = [one for one in given["nli_tuning"] if "inner_budget" not in one.config["algorithm"]]
    text = markdown(list(section.blocks(study(nli=everyone(scale="desk") + unsearched, **given))))
    assert "Not among what was searched: UniBiO (two epochs)." in text
    assert "No search is among these records" in markdown(list(section.blocks(study(nli=everyone()))))
    assert "**Steps for 32 units" in markdown(
        list(section.blocks(study(nli=everyone(scale="desk"), **search("paper"))))
    )
