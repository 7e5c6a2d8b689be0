"""The first figure: its numbers are the records', its sliders stop at runs, and it is there where its records are."""

from __future__ import annotations

import json

import numpy as np
import pytest

import synthetic
import synthetic_e1
from synthetic import study, whole_study
from unibio.quantiles import quartiles
from unibio.report import argument
from unibio.studies import BY_NAME
from unibio.studies.common.curves import curves, values_of
from unibio.studies.common.evidence import MissingRecordsError, paper_step
from unibio.studies.e1.search import caps_of, ranking, searches
from unibio.studies.hoelder_figures.measures import JUDGED, groups, tuned_step


@pytest.fixture(scope="module")
def given():
    whole = whole_study()
    return study(**{name: whole[name] for name in ("fig1_equal", "hoelder_figures")})


def both(given):
    return argument.steps([BY_NAME[name].tried(given) for name in ("fig1", "hoelder_figures")])["problems"]


def test_every_curve_is_of_a_run_that_was_made(given):
    example, hoelder = both(given)
    records = given.records("fig1_equal")
    assert [group["name"] for group in example["groups"]] == ["p = 2", "p = 4", "p = 6", "p = 8"]
    for record, group in zip(records, example["groups"], strict=True):
        steps = values_of([record], "upper_step")
        assert group["values"] == pytest.approx(steps, rel=1e-2)
        for at, step in enumerate(steps):
            (one,) = curves(record, noise=0.0, upper_noise=0.0, upper_step=step)
            drawn = group["curves"][0][at]
            middle = dict(zip(one.iterations.tolist(), quartiles(one.values)[1], strict=True))
            assert drawn["y"] == pytest.approx([middle[t] for t in drawn["x"]], rel=1e-3)
        own = group["own"][0]
        assert steps[own] == pytest.approx(paper_step(record))
    for p, record in groups(given, JUDGED)[0.0].items():
        (group,) = [one for one in hoelder["groups"] if one["name"] == f"p = {p}"]
        assert group["values"][group["own"][0]] == pytest.approx(tuned_step(record), rel=1e-2)


def test_averages_are_those_of_the_records(given):
    group = both(given)[0]["groups"][0]
    record = given.records("fig1_equal")[0]
    step = values_of([record], "upper_step")[0]
    (one,) = curves(record, "hypergradient_norm_mean", noise=0.0, upper_noise=0.0, upper_step=step)
    assert group["curves"][0][0]["average"] == pytest.approx(np.median(one.values[:, -1]), rel=1e-3)


def test_the_hoelder_problem_is_beside_it_where_it_was_run(given):
    alone = study(fig1_equal=given.records("fig1_equal"))
    (block,) = argument.blocks(alone)
    assert len(json.loads(block.blocks[1].data)["problems"]) == 1
    assert "Hölder" not in block.blocks[0].text
    (block,) = argument.blocks(given)
    assert "Hölder" in block.blocks[0].text
    assert len(block.blocks[1].data) < 400_000


def test_the_caps_are_those_of_the_search():
    given = study(e1=synthetic_e1.study())
    found = BY_NAME["e1"].tried(given).data()
    all_of = searches(given, "e1")
    assert found["caps"] == pytest.approx(caps_of(all_of), rel=1e-2)
    table = ranking(all_of, caps_of(all_of))
    for group in found["groups"]:
        here = table[table["p"] == int(group["name"].split()[-1])]
        (own,) = [one for one in group["methods"] if one["name"] == "UniBiO"]
        mine = here[here["method"] == "unibio"].sort_values("cap")
        assert own["rank"] == mine["rank"].tolist()
        assert own["criterion"] == pytest.approx(mine["criterion"].tolist(), rel=1e-3)
    (block,) = argument.blocks(given)
    assert block.blocks[1].kind == "caps"
    assert json.loads(block.blocks[1].data) == found


def test_records_with_another_axis_leave_the_figure_out():
    given = study(fig1_equal=[equal_record(2, lower_step=(0.1, 0.2)), equal_record(4)])
    assert list(argument.blocks(given)) == []
    assert len(list(argument.blocks(study(fig1_equal=[equal_record(2), equal_record(4)])))) == 1


def equal_record(p, **axes):
    return synthetic.record(p, {"noise": (0.0,), "upper_noise": (0.0,), "upper_step": (0.01, 0.02), **axes})


def test_without_records_there_is_nothing():
    assert list(argument.blocks(study())) == []
    with pytest.raises(MissingRecordsError):
        BY_NAME["fig1"].tried(study())
