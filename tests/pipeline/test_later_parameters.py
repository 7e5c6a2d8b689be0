"""A parameter that joins a class which has records: at its default the records' names stay as they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from unibio import registry
from unibio.algorithms.soba import SOBA
from unibio.cli.main import main
from unibio.core.parameters import PerRun, hyper
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.job import Job
from unibio.pipeline.tracking import curves, flat
from unibio.problems.example3 import Example3
from unibio.store.records import find, record_name


@dataclass(frozen=True)
class Extended(SOBA):
    """SOBA with two more parameters, one of which changes its step."""

    stretch: PerRun = hyper(1.0, "factor of the upper step", above=0, later=True)
    mode: str = hyper("plain", "nothing", choices=("plain", "other"), later=True)
    early: float = hyper(2.0, "in the configuration whatever it is")

    def step(self, oracle: Any, state: Any) -> Any:
        new = super().step(oracle, state)
        return new | {"x": state["x"] + self.stretch * (new["x"] - state["x"])}


@dataclass(frozen=True)
class Wider(Example3):
    """Example 3 with a parameter that decides nothing."""

    tilt: PerRun = hyper(0.0, "nothing", later=True)


def jobs_of(root: Path, *overrides: str) -> list[Job]:
    words = ["algorithm=soba", "steps=4", "tracker=none", f"records={root}", *overrides]
    with composer() as compose_one:
        return expand(words, compose_one)


@pytest.fixture
def names(tmp_path: Path) -> dict[tuple[str, ...], str]:
    """Of records before the parameters are there."""
    asked = [(), ("algorithm.upper_step=0.2", "problem.noise=1"), ("+grid.seed={count: 3}",)]
    return {words: jobs_of(tmp_path, *words)[0].name for words in asked}


@pytest.fixture
def extended(names: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ALGORITHMS, "soba", Extended)
    monkeypatch.setitem(registry.PROBLEMS, "example3", Wider)


@pytest.mark.usefixtures("extended")
def test_names_stay_as_they_were_but_for_parameters_that_say_so(
    names: dict[tuple[str, ...], str], tmp_path: Path
) -> None:
    for words, name in names.items():
        (with_early,) = jobs_of(tmp_path, *words)
        assert with_early.name != name, "a parameter that is not declared so renames every record"
        assert set(with_early.config["algorithm"]) >= {"early"}
        assert not set(with_early.config["algorithm"]) & {"stretch", "mode"}
        config = with_early.config["algorithm"].copy()
        del config["early"]
        assert record_name(with_early.config | {"algorithm": config}) == name
        said = jobs_of(tmp_path, *words, "algorithm.stretch=1", "algorithm.mode=plain", "problem.tilt=0")
        assert said[0].name == with_early.name, "to say the default is to say nothing"


@pytest.mark.usefixtures("extended")
def test_another_value_is_another_record_and_an_axis_is_an_axis(tmp_path: Path) -> None:
    (plain,) = jobs_of(tmp_path)
    swept = jobs_of(tmp_path, "algorithm.stretch=1,2", "algorithm.mode=plain,other")
    assert len({job.name for job in swept}) == 4
    assert plain.name in {job.name for job in swept}
    (grid,) = jobs_of(tmp_path, "+grid.algorithm.stretch=[1,2]", "+grid.problem.tilt=[0]")
    assert grid.axes == {"algorithm.stretch": [1.0, 2.0], "problem.tilt": [0.0]}
    both = run_job(grid).record
    assert find(both.path) is not None
    alone = {job.config["algorithm"].get("stretch", 1.0): run_job(job).record for job in (plain, swept[2])}
    for stretch, record in alone.items():
        mine = both.history[both.history["stretch"] == stretch]["hypergradient_norm"]
        assert mine.tolist() == record.history["hypergradient_norm"].tolist()
    labels = {flat(both.config, curve.values)["stretch"] for curve in curves(both, 8)}
    assert labels == {1.0, 2.0}, "a dashboard names the axis, which the configuration leaves out"


@pytest.mark.usefixtures("extended")
def test_a_record_from_before_is_computed_again_from_its_own_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_job(jobs_of(tmp_path)[0]).record
    text = (record.path / "config.yaml").read_text()
    assert "stretch" not in text
    assert "tilt" not in text
    config = yaml.safe_load(text)
    del config["reproduce_at"]  # a key that came later, too
    (record.path / "config.yaml").write_text(yaml.safe_dump(config))
    main(["rerun", record.name, "--records", str(tmp_path), "--into", str(tmp_path / "again")])
    assert "computed" in capsys.readouterr().out
    again = find(tmp_path / "again" / record.name)
    assert again is not None
    assert again.history.drop(columns="seconds").equals(record.history.drop(columns="seconds"))
