"""Configurations: every file composes, wrong ones end in one error that names the key, axes are what they say."""

from __future__ import annotations

import pytest
import yaml

from unibio import sweep
from unibio.config import conf_dir, job_from
from unibio.errors import InputError
from unibio.parameters import declared
from unibio.records import record_name
from unibio.registry import ALGORITHMS, PROBLEMS
from unibio.sweep import composer, expand, is_multirun


def jobs_of(*overrides: str):
    with composer() as compose_one:
        return expand(list(overrides), compose_one)


def files(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


@pytest.mark.parametrize("group", ["problem", "algorithm", "tracker", "scale", "launcher"])
def test_every_file_of_a_group_composes(group: str) -> None:
    with composer() as compose_one:
        for name in files(group):
            assert len(expand([f"{group}={name}"], compose_one)) == 1


@pytest.mark.parametrize("name", files("experiment"))
def test_every_experiment_composes_and_is_a_complete_command(name: str) -> None:
    with composer() as compose_one:
        overrides = [f"experiment={name}", "scale=smoke"]
        assert is_multirun(overrides, compose_one)
        jobs = expand(overrides, compose_one)
    assert len(jobs) > 1
    assert {job.config["experiment"] for job in jobs} == {name}
    assert len({record_name(job.config) for job in jobs}) == len(jobs)


@pytest.mark.parametrize("scale", sorted({*files("scale")} - {"smoke"}))
def test_every_experiment_composes_at_every_other_scale(scale: str) -> None:
    """Before its sweep: what is swept does not ask for the scale. At smoke the test above composes all jobs."""
    with composer() as compose_one:
        for name in files("experiment"):
            composed = compose_one([f"experiment={name}", f"scale={scale}"])
            assert (composed.experiment, composed.scale.name) == (name, scale)


@pytest.mark.parametrize(("group", "table"), [("algorithm", ALGORITHMS), ("problem", PROBLEMS)])
def test_every_registered_name_has_a_file_with_every_parameter(group: str, table: dict) -> None:
    assert sorted(table) == files(group)
    for name, cls in table.items():
        content = yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text())
        given = content.get(group, content)
        wanted = {field.name for field in declared(cls)}
        assert wanted <= set(given), f"{group}/{name}.yaml leaves out {wanted - set(given)}"


def test_paper_settings_of_figure_1() -> None:
    """Paper, Section 6 and released code: the settings that the figure is defined by."""
    jobs = {job.config["problem"]["exponent"]: job for job in jobs_of("experiment=fig1")}
    assert {p: job.config["algorithm"]["upper_step"] for p, job in jobs.items()} == {2: 0.05, 4: 0.03, 6: 0.02, 8: 0.01}
    for job in jobs.values():
        a = job.config["algorithm"]
        assert (a["momentum"], a["period"], a["inner_budget"], a["first_length"], a["first_radius"]) == (
            0.9,
            2,
            100,
            5,
            1,
        )
        assert a["lower_step"] == 1
        assert job.config["steps"] == 500
        assert job.config["grid"]["problem.noise"] == [0, 0.01, 1, 10]
        assert job.config["grid"]["seed"] == list(range(100))
        assert job.config["problem"]["noise_reading"] == "variance"


def test_paper_settings_of_figure_4() -> None:
    """Paper, Section 6 and released code: sizes, lengths and the steps (upper, lower) of every method."""
    jobs = jobs_of(
        "experiment=nli", "scale=paper", "seed=0", "problem.weights=learned",
        "data.train=60", "data.valid=30", "data.test=30",
    )  # fmt: skip
    found = {job.config["algorithm"]["name"]: job.config for job in jobs}
    steps = {name: (c["algorithm"]["upper_step"], c["algorithm"]["lower_step"]) for name, c in found.items()}
    assert steps == {
        "stocbio": (1e-2, 2e-3), "ttsa": (1e-3, 2e-2), "saba": (5e-2, 2e-2), "ma_soba": (1e-2, 1e-2),
        "sustain": (5e-2, 5e-2), "vrbo": (1e-1, 5e-2), "unibio": (5e-2, 2e-2), "unibio_plain": (5e-2, 2e-2),
        "bo_rep": (5e-2, 2e-2),
    }  # fmt: skip
    for config in found.values():
        assert (config["epochs"], config["problem"]["width"], config["problem"]["exponent"]) == (20, 4096, 3)
        assert (config["problem"]["regulariser"], config["algorithm"]["batch_size"]) == (1e-4, 128)
        assert config["algorithm"].get("neumann_terms", 3) == 3
        assert config["algorithm"].get("neumann_step", 0.01) == config["algorithm"].get("auxiliary_step", 0.01) == 0.01
    assert found["vrbo"]["algorithm"]["checkpoint_batch_size"] == 256
    assert found["sustain"]["algorithm"]["momentum"] == pytest.approx(0.1)


def test_theorem_schedule_follows_the_horizon() -> None:
    for job in jobs_of("experiment=theorem_schedule"):
        steps, a = job.config["steps"], job.config["algorithm"]
        assert a["upper_step"] == pytest.approx(steps**-0.75)
        assert 1 - a["momentum"] == pytest.approx(steps**-0.5)
        assert a["period"] == a["inner_budget"] == -int(-(steps**0.5) // 1)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["algorithm.uper_step=0.1"], ["uper_step", "upper_step"]),
        (["algorithm.upper_step=abc"], ["algorithm.upper_step=abc", "Float"]),
        (["algorithm.upper_step=-1"], ["algorithm.upper_step", "> 0"]),
        (["algorithm.momentum=1"], ["algorithm.momentum", "< 1"]),
        (["algorithm.period=2.5"], ["algorithm.period"]),
        (["algorithm.average=middle"], ["algorithm.average", "first, last"]),
        (["algorithm=unibo"], ["unibo", "unibio"]),
        (["problem=example33"], ["example33", "example3"]),
        (["problem.exponent=3"], ["problem.exponent", "even"]),
        (["problem.exponent=1"], ["problem.exponent", "≥ 2"]),
        (["problem.noise=-1"], ["problem.noise", "≥ 0"]),
        (["problem.noise_reading=sd"], ["problem.noise_reading", "variance"]),
        (["stesp=3"], ["stesp", "steps"]),
        (["steps=0"], ["steps"]),
        (["steps=null"], ["steps", "budget"]),
        (["log_points=1"], ["log_points"]),
        (["dtype=float16"], ["dtype", "float64"]),
        (["device=tpu"], ["device", "cuda"]),
        (["threads=0"], ["threads"]),
        (["repeats=0"], ["repeats"]),
        (["+targets.value=[0.1]"], ["targets", "'value'", "hypergradient_norm"]),
        (["tracker.mode=live"], ["tracker.mode", "offline"]),
        (["launcher=slrum"], ["launcher", "slurm"]),
        (["launcher=joblib", "launcher.workers=0"], ["launcher.workers", "positive"]),
        (["launcher.workers=2"], ["workers"]),
        (["launcher=slurm", "launcher.timeout_min=soon"], ["launcher.timeout_min", "soon"]),
        (["launcher=slurm", "+launcher.gpu=1"], ["launcher.gpu"]),
        (["+grid.algorithm.period=[1,2]"], ["algorithm.period", "cannot be a grid axis"]),
        (["+grid.algorithm.upper_step=[0.1,-1]"], ["algorithm.upper_step", "> 0"]),
        (["+grid.algorithm.upper_stp=[0.1]"], ["upper_stp", "upper_step"]),
        (["+grid.algorithm.upper_step=[]"], ["upper_step", "empty"]),
        (["+grid.seed=three"], ["grid.seed", "count"]),
        (["+grid.problem.noise={cubic: [1, 2, 3]}"], ["grid.problem.noise", "log"]),
        (["+grid.sed=[1]"], ["sed", "seed"]),
        (["problem.exponent=2,x"], ["problem.exponent"]),
        (["steps"], ["steps"]),
    ],
)
def test_wrong_configurations_are_refused_by_key(overrides: list[str], says: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        jobs_of(*overrides)
    message = str(caught.value)
    assert "\n" not in message
    for words in says:
        assert words in message


def test_several_values_without_a_multirun_are_refused() -> None:
    with composer() as compose_one, pytest.raises(InputError, match="add -m"):
        is_multirun(["problem.exponent=2,4"], compose_one)


def test_a_command_line_sweep_replaces_the_experiments_own() -> None:
    jobs = jobs_of("experiment=fig1", "problem.exponent=2,6")
    assert [job.config["problem"]["exponent"] for job in jobs] == [2, 6]


def test_one_method_of_a_comparison_on_the_command_line() -> None:
    jobs = jobs_of("experiment=lp_regression", "+experiment/lp_regression=soba")
    assert {job.config["algorithm"]["name"] for job in jobs} == {"soba"}
    assert [job.config["problem"]["exponent"] for job in jobs] == [2, 3, 4, 6]


@pytest.mark.parametrize("name", ["theorem_schedule", "discrepancies"])
def test_values_set_after_composing_are_what_hydra_composes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep composes once per choice of files and sets values on it; composing every job gives the same."""
    short = [job.config for job in jobs_of(f"experiment={name}")]
    monkeypatch.setattr(sweep, "_is_group", lambda override: True)
    assert [job.config for job in jobs_of(f"experiment={name}")] == short


def test_axes_are_a_product_with_seeds_fastest() -> None:
    (job,) = jobs_of("+grid.seed={count: 2}", "+grid.algorithm.upper_step={log: [0.01, 1, 3]}", "seed=5")
    assert job.axes == {"algorithm.upper_step": [0.01, 0.1, 1.0], "seed": [5, 6]}
    assert job.runs == 6
    assert job.table["seed"].tolist() == [5, 6] * 3


def test_a_resolved_configuration_is_a_fixed_point() -> None:
    """What a record stores can be run again, and is the same run."""
    (job,) = jobs_of("+grid.seed={count: 2}", "+grid.problem.noise=[0,1]", "algorithm.upper_step=0.2")
    again = job_from(job.portable())
    assert again.config == job.config
    assert record_name(again.config) == record_name(job.config)
