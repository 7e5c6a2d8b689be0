"""Configurations: every file composes, wrong ones end in one error that names the key, axes are what they say."""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose

from unibio.core.parameters import declared
from unibio.errors import InputError
from unibio.pipeline import conf
from unibio.pipeline.composing import composer, expand, is_multirun
from unibio.pipeline.conf import conf_dir
from unibio.pipeline.hydra_internals import combinations
from unibio.pipeline.job import Job, job_from
from unibio.pipeline.overrides import read
from unibio.registry import ALGORITHMS, PROBLEMS
from unibio.store.records import record_name
from wording import check_message


def jobs_of(*overrides: str):
    with composer() as compose_one:
        return expand(list(overrides), compose_one)


def files(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


@pytest.mark.slow
def test_every_file_of_a_group_composes() -> None:
    """The first of every group together, the second of every group, and so on."""
    groups = {group: files(group) for group in ("problem", "algorithm", "tracker", "scale", "launcher")}
    with composer() as compose_one:
        for k in range(max(map(len, groups.values()))):
            assert (
                len(expand([f"{group}={names[k % len(names)]}" for group, names in groups.items()], compose_one)) == 1
            )


def first_files(name: str) -> list[str]:
    """An experiment's sweeps over files, cut to the first of them, or to two where it has no other sweep.

    What a scale chooses is cut by the scale.
    """
    content = yaml.safe_load((conf_dir() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8"))
    params = content.get("hydra", {}).get("sweeper", {}).get("params", {})
    over_files = [key for key in params if (conf_dir() / key.lstrip("+").split("@")[0]).is_dir()]
    over_files = [key for key in over_files if not str(params[key]).startswith("${")]
    few = 1 if len(over_files) < len(params) else 2
    return [f"{key}={','.join(str(params[key]).split(',')[:few])}" for key in over_files]


#: Experiments that compare methods, each of them at the best of as many configurations as any other.
COMPARING = (
    "corrupted_labels", "e1", "e1_coordinatewise", "e1_noise", "first_order_example3", "first_order_lp", "nasty",
)  # fmt: skip


def shortened() -> dict[str, list[str]]:
    """The other experiments with few files each."""
    return {name: first_files(name) for name in files("experiment") if name not in COMPARING}


def check_complete(name: str, scale: str, *overrides: str) -> list[Job]:
    words = [f"experiment={name}", f"scale={scale}"]
    with composer() as compose_one:
        assert is_multirun(words, compose_one)
        jobs = expand([*words, *overrides], compose_one)
    assert len(jobs) > 1
    assert {job.config["experiment"] for job in jobs} == {name}
    assert len({record_name(job.config) for job in jobs}) == len(jobs)
    return jobs


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARING)
def test_an_experiment_composes_and_gives_every_method_the_same(name: str) -> None:
    """As configured: configurations of a method on one problem at one penalty, over all its variants."""
    tried: Counter[str] = Counter()
    for job in check_complete(name, "paper"):
        algorithm = job.config["algorithm"]
        where = (job.config["problem"].get(key) for key in ("exponent", "dimension", "corruption_rate"))
        method = f"{algorithm['name']} {algorithm.get('update')} {algorithm.get('batch_size')} {tuple(where)}"
        searched = {key: values for key, values in job.axes.items() if key not in ("seed", "problem.start_x")}
        if name == "nasty":  # a penalty is part of the claim there, not of the search
            searched.pop("algorithm.penalty", None)
        tried[method] += math.prod(len(values) for values in searched.values())
    assert len(tried) > 1
    assert len(set(tried.values())) == 1, tried


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shortened())[::6])
def test_an_experiment_is_a_complete_command(name: str) -> None:
    """Of some; a long test composes all of them, every file that is swept over, and all jobs."""
    check_complete(name, "smoke", *shortened()[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("unknown_exponent", ["problem=coordinatewise", "problem.exponent=4"]),
        ("unknown_exponent_hoelder", ["problem.exponent=4.0", "problem.dimension=1", "problem.shape=asymmetric"]),
        ("unknown_exponent_lp", ["problem.exponent=3"]),
        ("unknown_exponent_labels", []),
        ("unknown_exponent_parts", ["problem=example3", "problem.exponent=4"]),
    ],
)
def test_what_runs_at_other_scales_only_composes(name: str, cell: list[str]) -> None:
    """In one cell; every p' that the fair baseline is told has its settings to choose from, and every file is used."""
    jobs = check_complete(name, "paper", *cell)
    tried: Counter[float | None] = Counter()
    for job in jobs:
        if job.config["algorithm"]["name"] == "unibio_windows":
            axes = {key: values for key, values in job.axes.items() if key != "seed"}
            tried[job.config["algorithm"].get("assumed_exponent")] += math.prod(len(values) for values in axes.values())
    if name != "unknown_exponent_parts":
        assert len(tried) > 2
        assert set(tried.values()) == {9}
    if name in ("unknown_exponent", "unknown_exponent_parts"):
        assert len(jobs) == len(list((conf_dir() / "experiment" / name).iterdir()))


@pytest.mark.slow
@pytest.mark.parametrize("name", files("experiment"))
def test_every_job_of_every_experiment_composes(name: str) -> None:
    check_complete(name, "smoke")
    with composer() as compose_one:
        for scale in files("scale"):
            composed = compose_one([f"experiment={name}", f"scale={scale}"])
            assert (composed.experiment, composed.scale.name) == (name, scale)


def leaves(section: Mapping[str, Any], path: str = "scale") -> dict[str, Any]:
    """The values below a section by their dotted keys."""
    found = {}
    for key, value in section.items():
        found |= leaves(value, f"{path}.{key}") if isinstance(value, dict) else {f"{path}.{key}": value}
    return found


def test_scales_are_interchangeable() -> None:
    """What composes at one scale does at the others: the same keys, values of the same kinds, and what is asked for."""
    scales = {name: yaml.safe_load((conf_dir() / "scale" / f"{name}.yaml").read_text()) for name in files("scale")}
    kinds = {
        name: {key: "number" if isinstance(value, (int, float)) else "text" for key, value in leaves(content).items()}
        for name, content in scales.items()
    }
    assert all(content["name"] == name for name, content in scales.items())
    assert all(kind == kinds["paper"] for kind in kinds.values())
    whole = {key for key, value in leaves(scales["paper"]).items() if isinstance(value, int)}
    assert all(isinstance(leaves(content)[key], int) for content in scales.values() for key in whole)
    text = "".join(path.read_text(encoding="utf-8") for path in conf_dir().rglob("*.yaml"))
    asked = set(re.findall(r"\$\{(scale\.[\w.]+)\}", text))
    assert len(asked) > 10
    assert asked <= set(kinds["paper"])


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


@pytest.mark.slow
def test_paper_settings_of_figure_4() -> None:
    """Paper, Section 6 and released code: sizes, lengths and the steps (upper, lower) of every method."""
    jobs = jobs_of(
        "experiment=nli", "scale=paper", "seed=0", "problem.weights=learned",
        "+experiment/nli=unibio,unibio_plain,stocbio,ttsa,saba,ma_soba,sustain,vrbo,bo_rep",
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


@pytest.mark.one_in(7)
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["algorithm.uper_step=0.1"], ["uper_step", "upper_step"]),
        (["algorithm.upper_step=abc"], ["algorithm.upper_step=abc", "a number"]),
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
        (["launcher=processes", "launcher.workers=0"], ["launcher.workers", "positive"]),
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
        (["seed=1,1.5"], ["seed=1.5", "an integer"]),
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


@pytest.mark.parametrize("name", ["schedules_step", "penalty_rates"])
@pytest.mark.slow
def test_values_set_after_composing_are_what_hydra_composes(name: str) -> None:
    """A sweep composes once per choice of files and sets values on it; composing every job gives the same."""
    with composer() as compose_one:
        params = compose_one([f"experiment={name}"]).hydra.sweeper.params
        whole = [
            compose(
                "config",
                [f"experiment={name}", *(str(one.input_line) for one in combination)],
                return_hydra_config=True,
            )
            for combination in combinations(read([f"{key}={value}" for key, value in params.items()]))
        ]
        jobs = expand([f"experiment={name}"], compose_one)
    assert [job.config for job in jobs] == [job_from(one).config for one in whole]


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


HEAD = "# @package _global_\n# Mine: an experiment that somebody writes.\nexperiment: mine\n"
#: {what a file of conf/experiment holds: what is said of it}.
FAULTY = {
    HEAD + "algorithm:\n  upper_step: abc\n": "conf/experiment/mine.yaml: algorithm.upper_step must be a number",
    HEAD + "algorithm:\n  uper_step: 1\n": "conf/experiment/mine.yaml: there is no key algorithm.uper_step",
    HEAD + "stepps: 3\n": "conf/experiment/mine.yaml: there is no key stepps",
    HEAD + "steps: 1\nsteps: 2\n": "mine.yaml, line 5 is not YAML: found duplicate key steps",
    HEAD + "algorithm:\n\tupper_step: 1\n": "mine.yaml, line 5 is not YAML",
    HEAD + "defaults:\n  - override /problem: nosuch\n": "asks for problem/nosuch, which conf/ does not have",
    HEAD + "defaults:\n  - override /probem: nasty\n": "its defaults override probem, which conf/config.yaml does not",
    HEAD + "algorithm:\n  upper_step: ${nowhere}\n": "algorithm.upper_step = ${nowhere} cannot be computed",
    HEAD + "algorithm:\n  upper_step: ${at:${paper.upper_step}\n": "algorithm.upper_step has a ${…} that cannot be",
    HEAD + "hydra:\n  sweeper:\n    params:\n      seed: 0,1,\n": "seed=0,1,: a comma with no value beside it",
    HEAD + "hydra:\n  sweeper:\n    params:\n      seed: ${nowhere}\n": "hydra.sweeper.params.seed = ${nowhere} cannot",
    HEAD + "hydra:\n  sweeper:\n    params: 3\n": "hydra.sweeper.params must be a mapping",
    HEAD + "grid: {seed: [0, 0.5]}\n": "grid.seed must be an integer",
    "experiment: mine\n": "the first line of an experiment must be '# @package _global_'",
    "": "the first line of an experiment must be '# @package _global_'",
}


@pytest.mark.one_in(15)
@pytest.mark.parametrize("content", FAULTY)
def test_a_file_of_conf_that_is_wrong_is_named(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "conf"
    shutil.copytree(conf_dir(), own)
    (own / "experiment" / "mine.yaml").write_text(content, encoding="utf-8")
    monkeypatch.setattr(conf, "conf_dir", lambda: own)
    with pytest.raises(InputError) as refused:
        jobs_of("experiment=mine")
    check_message(str(refused.value))
    assert FAULTY[content] in str(refused.value)
