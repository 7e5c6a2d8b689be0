"""Hyper-cleaning of sentence pairs: groups and their intervals, every rule's every verdict, figures and section."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from synthetic import study
from synthetic_nli import METHODS, PAIRS, controls, everyone, floor, pair, record, tuning, whole
from unibio.analysis import claims as rules
from unibio.analysis import nli
from unibio.analysis.statements import CLAIMS, judge
from unibio.document import markdown
from unibio.figures import FIGURES
from unibio.report import nli as report_nli

BY_ID = {claim.id: claim for claim in CLAIMS}
MAIN = "nli-highest-0.2-p3"


def outcome(id, **given):  # noqa: A002
    result, _ = judge(BY_ID[id], study(**given))
    assert result.explanation
    return result


def verdict(id, **given):  # noqa: A002
    return outcome(id, **given).verdict


def first(found):
    return nli.groups(study(nli=found), "nli")[0]


# Groups --------------------------------------------------------------------------------------------------------------
def test_groups_hold_the_seeds_and_find_their_twins() -> None:
    found = nli.groups(study(nli=everyone()), "nli")
    assert len(found) == 2 * len(METHODS)
    assert [g.method for g in found[::2]] == list(METHODS)
    for group in found[::2]:
        assert group.weights == "learned"
        assert list(group.last.index) == [0, 1, 2]
        assert nli.twin(group, found).method == group.method
        np.testing.assert_allclose(nli.gain(group, nli.twin(group, found)), 0.02)
    row = nli.summary(found).set_index("method").loc["UniBiO"]
    assert row["test_accuracy"] == pytest.approx(0.501)
    assert (row["gain"], row["frozen_test_accuracy"]) == (pytest.approx(0.02), pytest.approx(0.481))


def test_an_epoch_on_the_axis_is_n_lower_samples() -> None:
    curve = first(pair("unibio", 0.5)).curve("test_accuracy", "epoch")
    assert curve["x"].iloc[-1] == 10
    assert curve["max"].iloc[-1] - curve["min"].iloc[-1] == pytest.approx(0.002)


def test_interval_of_the_mean_auc() -> None:
    group = first(pair("unibio", 0.5, auc=0.55))
    low, high = group.auc_interval()
    # Mann–Whitney without ties near ½: variance (n + m + 1) / (12 n m), for a mean over three seeds a third of it.
    wrong = PAIRS // 5
    error = math.sqrt((PAIRS + 1) / (12 * wrong * (PAIRS - wrong)) / 3)
    assert (low + high) / 2 == pytest.approx(0.55)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.03)
    spread = first([record("unibio", auc=auc, seed=seed) for seed, auc in enumerate((0.4, 0.5, 0.75))])
    assert np.diff(spread.auc_interval())[0] > 3 * (high - low)
    assert not spread.separates()
    clean = first([record("unibio", noise="none")])
    assert all(math.isnan(end) for end in clean.auc_interval())
    assert not clean.separates()


def test_a_diverged_seed_has_no_accuracy() -> None:
    group = first([record("unibio", 0.6), record("unibio", 0.6, seed=1, status="diverged")])
    assert group.final().isna().tolist() == [False, True]
    assert nli.summary([group])["diverged"].item() == 1


# Rules ---------------------------------------------------------------------------------------------------------------
def rivals(own: float, other: float, **settings):
    return pair("unibio", own - 0.05, **settings) + pair("unibio_plain", own, **settings) + pair("saba", other)


def test_highest_accuracy() -> None:
    assert verdict(MAIN, nli=rivals(0.60, 0.55)) == rules.REPRODUCED
    assert verdict(MAIN, nli=rivals(0.50, 0.55)) == rules.NOT_REPRODUCED
    assert verdict(MAIN, nli=rivals(0.55, 0.5505)) == rules.NOT_TESTABLE  # seeds overlap
    assert verdict(MAIN, nli=pair("unibio", 0.6)) == rules.NOT_RUN
    assert verdict(MAIN) == rules.NOT_RUN
    without = outcome(MAIN, nli=rivals(0.60, 0.55, auc=0.5))
    assert without.verdict == rules.NOT_TESTABLE
    assert "not weighting" in without.explanation


def test_generated_pairs_say_nothing_about_snli() -> None:
    found = [one for k, name in enumerate(METHODS) for one in pair(name, 0.6 - 0.01 * k, source="generated")]
    result = outcome(MAIN, nli=found)
    assert result.verdict == rules.NOT_TESTABLE
    assert "not SNLI" in result.explanation
    assert verdict(MAIN, nli=rivals(0.60, 0.55, source="directory")) == rules.REPRODUCED


def test_the_form_and_the_rival_are_chosen_in_validation() -> None:
    found = pair("unibio", 0.50, valid=0.7) + pair("unibio_plain", 0.60, valid=0.5) + pair("saba", 0.55)
    result = outcome(MAIN, nli=found)
    assert result.numbers["own"] == "UniBiO"
    assert result.verdict == rules.NOT_REPRODUCED


@pytest.mark.parametrize(
    ("rate", "p", "experiment"),
    [(0.1, 3, "nli_noise"), (0.4, 3, "nli_noise"), (0.2, 2, "nli_exponents"), (0.2, 4, "nli_exponents")],
)
def test_siblings_are_judged_by_their_own_records(rate: float, p: int, experiment: str) -> None:
    name = f"nli-highest-{rate:g}-p{p}"
    good = pair("unibio", 0.6, rate=rate, p=p) + pair("ma_soba", 0.5, rate=rate, p=p)
    assert verdict(name, **{experiment: good}) == rules.REPRODUCED
    other = pair("unibio", 0.6, rate=0.3, p=p) + pair("ma_soba", 0.5, rate=0.3, p=p)
    assert verdict(name, **{experiment: other}) == rules.NOT_RUN


def test_weights_separate() -> None:
    assert verdict("nli-separates", nli=pair("unibio", 0.5, auc=0.6)) == rules.REPRODUCED
    chance = pair("unibio", 0.5, auc=0.505)
    assert verdict("nli-separates", nli=chance) == rules.NOT_REPRODUCED
    assert verdict("nli-separates", nli=chance + pair("unibio_plain", 0.5, auc=0.7)) == rules.REPRODUCED
    other = pair("unibio", 0.5, auc=0.5, rate=0.4)
    assert verdict("nli-separates", nli=pair("unibio", 0.5), nli_noise=other) == rules.NOT_REPRODUCED
    assert verdict("nli-separates", nli=pair("saba", 0.5)) == rules.NOT_RUN


def test_weighting_helps() -> None:
    name = "nli-weighting-helps"
    assert verdict(name, nli=everyone()) == rules.REPRODUCED
    assert verdict(name, nli=everyone(gain=-0.02)) == rules.NOT_REPRODUCED
    assert verdict(name, nli=everyone(auc=0.5)) == rules.NOT_TESTABLE
    some = pair("unibio", 0.5) + pair("saba", 0.5, gain=0.0) + pair("vrbo", 0.5, gain=0.0)
    assert verdict(name, nli=some) == rules.NOT_TESTABLE
    assert verdict(name, nli=[record("unibio")]) == rules.NOT_RUN


def test_noise_costs() -> None:
    name = "nli-noise-costs"
    assert verdict(name, nli_controls=controls(0.5, 0.55)) == rules.REPRODUCED
    assert verdict(name, nli_controls=controls(0.55, 0.5)) == rules.NOT_REPRODUCED
    assert verdict(name, nli_controls=controls(0.55, 0.551)) == rules.NOT_TESTABLE
    assert verdict(name, nli_controls=controls()[:3]) == rules.NOT_RUN


def test_plain_steps() -> None:
    name = "nli-plain-steps"
    assert verdict(name, nli=pair("unibio", 0.5) + pair("unibio_plain", 0.6)) == rules.REPRODUCED
    assert verdict(name, nli=pair("unibio", 0.6) + pair("unibio_plain", 0.5)) == rules.NOT_REPRODUCED
    assert verdict(name, nli=pair("unibio", 0.5) + pair("unibio_plain", 0.5)) == rules.NOT_TESTABLE
    assert verdict(name, nli=pair("unibio", 0.5)) == rules.NOT_RUN


def test_a_reduced_scale_is_said() -> None:
    claim, given = BY_ID[MAIN], study(nli=everyone(scale="laptop"))
    assert judge(claim, given)[1] == "laptop"


# Figures and section -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", report_nli.SECTION.figures)
def test_figures_and_tables(name: str) -> None:
    drawn = FIGURES[name].draw(study(**whole()))
    assert all(len(table) for table in drawn.tables.values())
    if name == "fig4":
        assert len(drawn.figure.axes) == 6
        table = drawn.tables["fig4"]
        assert set(table["against"]) == {"epoch", "oracle_calls", "seconds"}
        ends = table[(table["metric"] == "test_accuracy") & (table["against"] == "epoch")].groupby("method").last()
        assert ends.loc["BO-REP", "median"] == pytest.approx(0.581)


def test_tuning_names_one_best_pair_and_whether_it_is_at_an_end() -> None:
    alone = [record("saba", valid=valid, upper=upper, seed=1000) for upper, valid in ((100.0, 0.5), (1000.0, 0.4))]
    table = nli.tuning(study(nli_tuning=[tuning("unibio", best=3)], nli_tuning_saba=alone))
    assert table.groupby("method")["chosen"].sum().tolist() == [1, 1]
    best = report_nli._best_and_range(table).set_index("method")
    assert best.loc["UniBiO", ["upper_step", "lower_step"]].tolist() == [1.0, 0.3]
    assert best.loc["UniBiO", ["upper_step_at_end", "lower_step_at_end"]].tolist() == ["", "high"]
    assert best.loc["SABA", ["upper_step", "upper_step_at_end", "tried"]].tolist() == [100.0, "low", 2]


def test_floors_are_medians_over_seeds() -> None:
    table = nli.floors(study(nli_floor=[floor(0.001, 0.01), floor(0.5, 0.01)]))
    assert isinstance(table, pd.DataFrame)
    assert table.set_index("floor")["lambda_max"].to_dict() == {0.001: 3000.0, 0.5: 6.0}


def test_the_section_says_what_the_data_are_and_copes_with_parts() -> None:
    text = markdown(list(report_nli.blocks(study(**whole()))))
    assert text.startswith("Data: SNLI (hash abababababab")
    assert "p = 3, noise rate 0.4" in text
    assert "made up" not in text
    generated = markdown(list(report_nli.blocks(study(nli=everyone(source="generated")))))
    assert "They are not SNLI" in generated
    for name in set(whole()) - {"nli_tuning_saba"}:  # which is part of another
        assert list(report_nli.blocks(study(**{name: whole()[name]})))


def test_what_may_mislead_is_said() -> None:
    collapsed = pair("unibio", 0.5) + pair("ttsa", 0.335, auc=0.5)
    text = markdown(list(report_nli.blocks(study(nli=collapsed))))
    assert "no better than chance at the end: TTSA." in text
    assert "not above ½ beyond its interval somewhere: TTSA." in text
    fine = markdown(list(report_nli.blocks(study(nli=pair("unibio", 0.5)))))
    assert "chance at the end" not in fine
    assert "beyond its interval somewhere" not in fine


def test_where_vectors_lie_is_not_told() -> None:
    found = everyone()
    for one in found:
        one.config["data"]["vectors"] = "/somewhere/private/vectors.txt"
    assert "private" not in markdown(list(report_nli.blocks(study(nli=found))))
