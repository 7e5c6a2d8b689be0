"""The network experiments from configuration to verdicts, on generated pairs, in seconds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from given import given
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.conf import conf_dir
from unibio.pipeline.sweep import announce
from unibio.studies import CLAIMS
from unibio.studies.common.claim import judge
from unibio.studies.common.document import markdown
from unibio.studies.common.evidence import Evidence
from unibio.studies.nli import STUDY
from unibio.studies.nli import around as nli_studies
from unibio.studies.nli import groups as nli
from unibio.studies.nli import section as report_nli
from unibio.studies.nli.chosen import chosen, scale_of

pytestmark = pytest.mark.slow

#: Part of every experiment: each kind of method once.
RUN = {
    "nli": ["+experiment/nli=unibio,unibio_plain,unibio_epochs,unibio_adaptive,ma_soba", "seed=0,1", "epochs=12"],
    "nli_width": ["+experiment/nli=unibio_plain,ma_soba", "seed=0,1"],
    "nli_width_256": ["+experiment/nli=unibio_plain,ma_soba"],
    "nli_controls": ["seed=0"],
    "nli_tuning": ["+experiment/nli=unibio_plain,plain"],
    "nli_floor": ["seed=0,1", "+experiment/nli=unibio_plain", "algorithm.floor=0.001,0.5"],
    "nli_released": ["+experiment/nli=unibio_plain", "seed=0"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nli")
    common = ["scale=smoke", f"data.cache={folder}/data", f"records={folder}/runs", "tracker=none", "device=cpu"]
    with composer() as compose_one:
        for name, overrides in RUN.items():
            jobs = expand(given(f"experiment={name}", *common, *overrides), compose_one)
            announce(jobs, f"python -m unibio experiment={name}")
            for job in jobs:
                run_job(job)
    return folder / "runs"


def test_records_of_every_method_with_its_twin(root: Path) -> None:
    found = nli.groups(Evidence(root), "nli")
    assert [(g.method, g.weights, g.seeds) for g in found] == [
        (name, weights, 2)
        for name in ("unibio", "unibio_plain", "unibio epochs", "unibio_adaptive", "ma_soba")
        for weights in ("learned", "frozen")
    ]
    for group in found:
        for history in group.histories:
            points = history["lower_samples"].to_numpy()
            assert points[-1] >= 12 * 120 > points[-2]
            assert len(history) <= 11
        frozen = group.weights == "frozen"
        assert (group.final(nli.SPREAD) < 1e-6).all() == frozen
        assert (group.final(nli.AUC) == 0.5).all() == frozen
    table = nli.summary(found)
    assert len(table) == 5
    assert table["gain"].notna().all()


def test_twins_share_what_the_lower_level_draws(root: Path) -> None:
    found = nli.groups(Evidence(root), "nli")
    for learned, frozen in zip(found[::2], found[1::2], strict=True):
        for one, other in zip(learned.histories, frozen.histories, strict=True):
            columns = ["iteration", "grad_lower", "lower_samples"]
            if learned.method != "unibio_adaptive":  # whose solves take as many products as they need, none at 0
                columns += ["samples", "oracle_calls"]
            pd.testing.assert_frame_equal(one[columns], other[columns])
            assert one["train_accuracy"].iloc[0] == other["train_accuracy"].iloc[0]


def test_tuning_does_not_look_at_the_test_split(root: Path) -> None:
    found = Evidence(root).require("nli_tuning")
    assert {record.config["seed"] for record in found} == {1000, 1001}
    assert not any("test_accuracy" in record.history for record in found)
    assert "test_accuracy" in Evidence(root).require("nli")[0].history


def test_tuning_has_a_choice_for_every_method(root: Path) -> None:
    table = nli_studies.tuning(Evidence(root))
    assert table.groupby("method")["chosen"].sum().to_dict() == {"UniBiO (plain steps)": 1, "plain training": 1}
    assert (table["seeds"] == 2).all()
    plain = table["method"] == "plain training"
    assert table.loc[plain, "upper_step"].isna().all()
    assert (table.loc[plain, nli.SPREAD] < 1e-6).all()
    assert (table.loc[~plain, nli.SPREAD] > 1e-6).all()


def test_sums_of_every_floor_are_stable(root: Path) -> None:
    table = nli_studies.floors(Evidence(root))
    assert table["floor"].tolist() == [0.001, 0.5]
    assert (table["neumann_step"].diff().dropna() > 0).all()
    assert (table["lambda_max_c"] < 2).all()
    assert (table["diverged"] == 0).all()


def test_figures_section_and_verdicts(root: Path) -> None:
    study = Evidence(root)
    for drawing in STUDY.drawings:
        if all(study.records(experiment) for experiment in drawing.experiments):
            assert drawing.draw(study).tables
    text = markdown(list(report_nli.blocks(study)))
    assert "They are not SNLI" in text
    outcomes = {claim.id: judge(claim, study) for claim in CLAIMS if claim.id.startswith("nli-")}
    assert outcomes["nli-highest-0.1-p3"][0].verdict == "not yet run"
    assert "no records of StocBiO, TTSA" in outcomes["nli-highest-0.1-p3"][0].explanation
    assert outcomes["nli-plain-steps"][1] == "smoke"
    assert "8 units (the paper: 4,096)" in outcomes["nli-plain-steps"][0].explanation
    assert "not SNLI" in outcomes["nli-plain-steps"][0].explanation
    assert outcomes["nli-floor-matters"][0].verdict != "not yet run"
    assert outcomes["nli-two-epochs"][0].verdict == "not testable here"  # no claim about SNLI on generated pairs
    assert outcomes["nli-ranking-width"][0].verdict != "not yet run"


def test_configured_steps_are_those_that_the_published_search_chose() -> None:
    evidence = Evidence(Path(__file__).parents[2] / "results" / "published" / "records")
    if absent := [name for name in nli.SEARCH if not evidence.records(name)]:
        pytest.skip(f"{', '.join(absent)} not published: make publish STUDIES=nli RECORDS=...")
    column = OmegaConf.load(conf_dir() / "scale" / f"{scale_of(evidence)}.yaml").nli.steps
    for name, steps in chosen(evidence).items():
        table = OmegaConf.load(conf_dir() / "experiment" / "nli" / f"{name}.yaml").paper
        assert {step: float(table[step][column]) for step in steps} == steps
