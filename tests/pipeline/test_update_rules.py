"""Update rules in configurations: from the command line and files to records, names, sweeps, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from unibio import Coordinatewise, InputError, solve
from unibio.cli.main import main
from unibio.core.rule_settings import RULES, rules_of, settings_of
from unibio.nn import SGD, Adam, AdamW, constant, cosine, power, warm_up
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.conf import including
from unibio.pipeline.job import Job, job_from
from unibio.store.records import find
from unibio.store.show import curves, differences

BASE = ["problem=coordinatewise", "algorithm=soba", "steps=6", "log_points=5"]
RULE = "algorithm.lower_update={name: sgd, step: 0.1, momentum: 0.9, schedule: {name: cosine, steps: 500}}"


def jobs(*overrides: str) -> list[Job]:
    with composer() as compose:
        return expand([*BASE, *overrides], compose)


@pytest.mark.slow
def test_from_the_command_line_to_the_numbers_of_solve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep over an update's own number: a record for every value, equal to the bit to what Python gives."""
    where = [f"records={tmp_path}", "progress=false"]
    rules = [RULE.replace(" step: 0.1,", ""), "algorithm.upper_update={name: adam}"]
    swept = ["sweep", *BASE, *where, *rules, "+algorithm.lower_update.step=0.1,0.2"]
    main(swept)
    assert "2 to run" in capsys.readouterr().out
    records = [record for record in map(find, tmp_path.glob("coordinatewise-*")) if record is not None]
    found = sorted(records, key=lambda record: record.config["algorithm"]["lower_update"]["step"])
    for record, step in zip(found, (0.1, 0.2), strict=True):
        rule = SGD(step, momentum=0.9, schedule=cosine(500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = solve(Coordinatewise(), "soba", steps=6, log_points=5, lower_update=rule, upper_update=Adam())
        told = [one.drop(columns="seconds") for one in (record.history, alone.history)]
        pd.testing.assert_frame_equal(*told, check_exact=True)
    assert differences(*found) == [("algorithm.lower_update.step", 0.1, 0.2)]
    main(swept)
    assert "2 already recorded" in capsys.readouterr().out


def test_a_file_says_them_too_and_its_numbers_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "ruled.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /problem: coordinatewise\n  - override /algorithm: soba\n"
        "steps: 6\nalgorithm:\n  auxiliary_update: {name: adamw, step: 0.1, betas: [0.8, 0.9]}\n"
    )
    with including([tmp_path / "conf"]), composer() as compose:
        found = expand(["experiment=ruled", "algorithm.auxiliary_update.step=0.1,0.3"], compose)
    assert [job.algorithm.auxiliary_update for job in found] == [AdamW(step, betas=(0.8, 0.9)) for step in (0.1, 0.3)]


def test_an_axis_of_a_rules_number_is_a_batch_of_the_single_records(tmp_path: Path) -> None:
    rule = "algorithm.lower_update={name: sgd, momentum: 0.9}"
    where = f"records={tmp_path}"
    base = ["problem=example3", *BASE[1:], rule, where]  # whose metrics, too, are computed of every run for itself
    with composer() as compose:
        (batch,) = expand([*base, "+grid.algorithm.lower_update.step=[0.1,0.2]"], compose)
        singles = [expand([*base, f"+algorithm.lower_update.step={step}"], compose)[0] for step in (0.1, 0.2)]
    assert job_from(batch.portable()).name == batch.name
    history = run_job(batch).record.history
    for step, single in zip((0.1, 0.2), singles, strict=True):
        part = history[history["lower_update.step"] == step].drop(columns=["run", "lower_update.step", "seconds"])
        alone = run_job(single).record.history.drop(columns=["run", "seconds"])
        pd.testing.assert_frame_equal(part.reset_index(drop=True), alone, check_exact=True)
    assert list(curves(find(batch.path))["lower_update.step"].unique()) == [0.1, 0.2]


def test_names_are_as_they_were_without_and_one_for_one_rule() -> None:
    (plain,), (null,) = jobs(), jobs("algorithm.lower_update=null")
    assert plain.name == null.name
    assert not [key for key in plain.config["algorithm"] if key.endswith("_update")]
    (ruled,) = jobs(RULE)
    spelled = RULE.replace("500", "500.0").replace("momentum: 0.9", "momentum: 0.9, nesterov: false, clip: null")
    (again,) = jobs(spelled)
    (other,) = jobs(RULE.replace("500", "400"))
    assert ruled.name == again.name
    assert len({plain.name, ruled.name, other.name}) == 3
    assert job_from(ruled.portable()).name == ruled.name
    assert job_from(ruled.portable()).algorithm == ruled.algorithm
    assert plain.algorithm.lower_update is None


@pytest.mark.parametrize(
    "rule",
    [
        SGD(0.1, momentum=0.5, nesterov=True, clip=2.0),
        Adam(schedule=warm_up(10, then=power(0.5, offset=3.0))),
        AdamW(0.1, weight_decay=0.2, betas=(0.5, 0.6), schedule=warm_up(5)),
        SGD(schedule=constant()),
    ],
    ids=repr,
)
def test_a_rule_is_what_is_written(rule: Any) -> None:
    assert rules_of({"upper_update": settings_of(rule)}) == {"upper_update": rule}
    assert settings_of(rule)["name"] in RULES


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["algorithm.lower_update=sgd"], r"lower_update = 'sgd' is not accepted: .* a mapping, .*{name: sgd}"),
        (["algorithm.lower_update={step: 0.1}"], "lower_update has no name: give algorithm.lower_update.name, one of"),
        (["algorithm.lower_update={name: sdg}"], "unknown name in algorithm.lower_update, 'sdg'. Did you mean 'sgd'"),
        (["algorithm.lower_update={name: sgd, stepp: 1}"], r"key in algorithm.lower_update \(of sgd\), 'stepp'"),
        (["algorithm.lower_update={name: sgd, step: -1}"], "algorithm.lower_update: SGD: step must be a number > 0"),
        (["algorithm.lower_update={name: sgd, step: a}"], "SGD: step must be a number > 0, got 'a'"),
        (["algorithm.lower_update={name: sgd, nesterov: 1}"], "SGD: nesterov must be True or False, got 1"),
        (["algorithm.lower_update={name: sgd, schedule: cosine}"], "lower_update.schedule = 'cosine' is not accepted"),
        (
            ["algorithm.lower_update={name: sgd, schedule: {name: cosine}}"],
            "algorithm.lower_update.schedule.steps is missing: cosine needs it",
        ),
        (
            ["algorithm.lower_update={name: adam, betas: 0.9}"],
            "algorithm.lower_update: Adam: betas must be two numbers",
        ),
        (
            ["algorithm.lower_update={name: sgd, step: [0.1, 0.2]}"],
            r"step has several values: \+grid\..* is an axis",
        ),
        ([RULE, "+grid.algorithm.lower_update.steps=[0.1]"], "'lower_update.steps'.*Did you mean 'lower_update.step'"),
        (["+grid.algorithm.lower_update.step=[0.1]"], "unknown parameter of algorithm soba, 'lower_update.step'"),
        ([RULE, "algorithm.lower_step=0.2"], "lower_step and lower_update=SGD.* both say what the step is"),
        ([RULE, "algorithm.lower_step=0.1"], "lower_step and lower_update=SGD.* both say what the step is"),
        ([RULE, "+grid.algorithm.lower_step=[0.1,0.2]"], "lower_step and lower_update=SGD.* both say"),
        ([RULE.replace(" step: 0.1,", ""), "algorithm.lower_update.step=0.1"], r"a plus adds it: \+algorithm"),
    ],
    ids=range(17),
)
def test_what_is_no_rule_is_one_line(given: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        jobs(*given)
    assert "\n" not in str(refused.value)


def test_what_takes_no_rule_refuses_it_before_it_has_a_record() -> None:
    with composer() as compose, pytest.raises(InputError, match="lower_update: algorithm unibio takes none: Ep"):
        expand(["problem=coordinatewise", "algorithm=unibio", RULE], compose)
