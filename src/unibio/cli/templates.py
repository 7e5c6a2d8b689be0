"""What ``unibio new`` writes. NAME stands for the name of the package, CLASS for that of its class."""

from __future__ import annotations

PROJECT = """\
[build-system]
requires = ["hatchling>=1.26,<2"]
build-backend = "hatchling.build"

[project]
name = "NAME"
version = "0.1.0"
description = "WHAT for unibio"
requires-python = ">=3.11"
dependencies = ["unibio"]

[project.entry-points."GROUP"]
NAME = "TARGET"

[tool.hatch.build.targets.wheel]
packages = ["NAME"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""

README = """\
# NAME

WHAT for unibio.

```bash
python -m pytest      # it works
pip install -e .      # from now on unibio knows it
COMMAND
```
"""

INIT = '''\
"""WHAT for unibio."""
'''

ALGORITHM = '''\
"""An algorithm: what its iterations are, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unibio import Algorithm, Oracle, PerRun, State, generalised_neumann, hyper


@dataclass(frozen=True)
class CLASS(Algorithm):
    """Lower gradient steps, then one upper step along the generalised Neumann hypergradient.

    An iteration costs N lower gradients, an upper gradient, some Hessian-vector products and a Jacobian-vector product.
    """

    name: ClassVar[str] = "NAME"

    upper_step: PerRun = hyper(0.05, "upper-level step", symbol="η", above=0)
    lower_step: PerRun = hyper(0.1, "lower-level step", symbol="ρ", above=0)
    lower_iterations: int = hyper(5, "lower steps per iteration", symbol="N", at_least=1)
    neumann_terms: int = hyper(3, "terms of the Neumann sum", symbol="Q", at_least=1)
    neumann_step: float = hyper(1.0, "step of the Neumann sum", symbol="c", above=0)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def init(self, oracle: Oracle, x, y) -> State:
        return {"x": x, "y": y}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y = state["x"], state["y"]
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(y - self.lower_step * oracle.grad_lower(x, y))
        direction = generalised_neumann(oracle, x, y, terms=self.neumann_terms, step=self.neumann_step)
        return {"x": oracle.project_upper(x - self.upper_step * direction), "y": y}
'''

ALGORITHM_YAML = """\
# Lower gradient steps, then one along the hypergradient. What is left out has the default of the class.
defaults:
  - schema_NAME
upper_step: 0.05
lower_step: 0.1
"""

ALGORITHM_TEST = '''\
"""It descends, and unibio can be told to run it."""

from NAME.method import CLASS

from unibio import Example3, solve
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job


def test_it_descends():
    result = solve(Example3(exponent=4), CLASS(), steps=100)
    norms = result.history["hypergradient_norm"]
    assert result.status == "completed"
    assert norms.iloc[-1] < norms.iloc[0]


def test_a_configuration_runs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIBIO_PLUGINS", "NAME.method")
    with composer() as compose:
        words = ["algorithm=NAME", "algorithm.upper_step=0.03", "steps=20", "tracker=none", f"records={tmp_path}"]
        (job,) = expand(words, compose)
    record = run_job(job).record
    assert record.config["algorithm"]["name"] == "NAME"
    assert record.history["iteration"].max() == 20
'''

PROBLEM = '''\
"""A problem: its two losses, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from unibio import ClosedForm, PerRun, Problem, ProblemSpec, hyper


@dataclass(frozen=True)
class CLASS(ProblemSpec):
    """y follows x with a pull to 0: f = ‖y − 1‖²/2, g = (‖y − x‖² + λ‖y‖²)/2, so that y*(x) = x/(1 + λ)."""

    name: ClassVar[str] = "NAME"

    dimension: int = hyper(3, "d_x = d_y", at_least=1)
    pull: float = hyper(1.0, "weight of the pull to 0", symbol="λ", at_least=0)
    noise: PerRun = hyper(0.0, "standard deviation of the noise on g_y", symbol="σ", at_least=0)

    def build(self) -> Problem:
        def lower(x, y, noise):
            return 0.5 * ((y - x) ** 2 + self.pull * y**2).sum(-1) + (noise * y).sum(-1)

        scale = 1 / (1 + self.pull)
        start = torch.zeros(self.dimension, dtype=torch.float64)
        return Problem(
            upper=lambda x, y: 0.5 * ((y - 1) ** 2).sum(-1) + 0 * x.sum(-1),
            lower=lower,
            sample_lower=lambda draw: self.noise * draw.normal(self.dimension),
            closed_form=ClosedForm(
                lambda x: scale * x,
                lambda x: 0.5 * ((scale * x - 1) ** 2).sum(-1),
                lambda x: scale * (scale * x - 1),
            ),
            start=(start, start),
            batched=True,
            name=self.name,
        )
'''

PROBLEM_YAML = """\
# y follows x with a pull to 0. What is left out has the default of the class.
defaults:
  - schema_NAME
dimension: 3
noise: 0.0
"""

PROBLEM_TEST = '''\
"""Its closed forms are those of its losses, and unibio can be told to run on it."""

import torch
from NAME.problem import CLASS

from unibio import hypergradient, solve
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job


def test_the_hypergradient_is_the_closed_form():
    problem = CLASS(pull=0.5).build()
    x = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    y = x / 1.5
    assert torch.allclose(hypergradient(problem, x, y, estimator="cg"), (x / 1.5 - 1) / 1.5)


def test_a_method_solves_it():
    norms = solve(CLASS(), "stocbio", steps=200).history["hypergradient_norm"]
    assert norms.iloc[-1] < 0.1 * norms.iloc[0]


def test_a_configuration_runs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIBIO_PLUGINS", "NAME.problem")
    with composer() as compose:
        words = ["problem=NAME", "algorithm=soba", "steps=20", "tracker=none", f"records={tmp_path}"]
        (job,) = expand(words, compose)
    assert run_job(job).record.config["problem"]["name"] == "NAME"
'''

EXPERIMENT_YAML = """\
# @package _global_
# How near UniBiO and SOBA come to a stationary point of Example 3 in the same number of oracle calls.
defaults:
  - override /problem: example3
experiment: NAME
steps: null
budget: ${times:4000,${scale.steps}}
grid:
  seed: {count: '${times:10,${scale.seeds}}'}
  problem: {noise: [0, 1]}
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      algorithm: unibio,soba
      problem.exponent: 2,4
"""

EXPERIMENT = '''\
"""What is made of the records of NAME: a figure, and a claim that can fail."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.curves import curves
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, TAIL, Outcome


def levels(evidence: Evidence) -> pd.DataFrame:
    """method, p, noise and level, the mean of |∇φ| over the last part of all runs; one row a cell of the grid."""
    rows = []
    for record in evidence.require("NAME"):
        for curve in curves(record, "hypergradient_norm"):
            late = curve.values[:, curve.iterations >= (1 - TAIL) * curve.iterations[-1]]
            row = {"method": record.config["algorithm"]["name"], "p": curve.exponent, "noise": curve.cell["noise"]}
            rows.append({**row, "first": float(curve.values[:, 0].mean()), "level": float(late.mean())})
    return pd.DataFrame(rows)


def verdict(table: pd.DataFrame) -> Outcome:
    """Whether UniBiO ends below where it starts, everywhere."""
    mine = table[table["method"] == "unibio"]
    if mine.empty or not np.isfinite(mine["level"]).all():
        return Outcome(NOT_TESTABLE, "runs of UniBiO are missing or have diverged")
    ratio = float((mine["level"] / mine["first"]).max())
    text = f"at most {ratio:.2g} of the first |∇φ| is left"
    return Outcome(REPRODUCED if ratio < 1 else NOT_REPRODUCED, text, {"ratio": ratio})


def rule(evidence: Evidence) -> Outcome:
    return verdict(evidence.once(levels))


def draw(evidence: Evidence) -> Drawn:
    """A panel a noise level, a line a method, against p."""
    table = evidence.once(levels)
    figure, (axes,) = style.panels(1, table["noise"].nunique(), 2.8, sharey=True)
    names = list(dict.fromkeys(table["method"]))
    for panel, (noise, shown) in zip(axes, table.groupby("noise"), strict=True):
        for name, part in shown.groupby("method"):
            panel.plot(part["p"], part["level"], **methods.look(str(name)))
        panel.set(yscale="log", xlabel="p", title=f"noise variance {noise:g}")
    axes[0].set_ylabel("level of |∇φ|")
    style.legend_above(figure, [style.handle(methods.label(name), **methods.look(name)) for name in names], 2)
    return Drawn(figure, {"NAME": methods.labelled(table)})


STUDY = Study(
    experiments=("NAME",),
    drawings=(Drawing("NAME", "The level of |∇φ| at which methods end.", draw),),
    claims=(
        Claim(
            "NAME-descends",
            "UniBiO ends nearer to a stationary point than it starts.",
            Kind.QUESTION,
            "the least that a method has to do",
            rule,
        ),
    ),
)
'''

EXPERIMENT_TEST = '''\
"""It runs, its figure is drawn, and its rule says yes and no where it should."""

import pandas as pd
from NAME.study import STUDY, verdict

from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.sweep import announce
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED


def test_it_runs_and_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("UNIBIO_PLUGINS", "NAME.study")
    with composer() as compose:
        jobs = expand(["experiment=NAME", "scale=smoke", "tracker=none", f"records={tmp_path / 'runs'}"], compose)
    announce(jobs, "test")
    for job in jobs:
        run_job(job)
    evidence = Evidence(tmp_path / "runs")
    written = STUDY.drawings[0].write(evidence, tmp_path)
    assert [path.suffix for path in written] == [".png", ".pdf", ".json", ".csv"]
    assert STUDY.claims[0].rule(evidence).verdict in (REPRODUCED, NOT_REPRODUCED)


def test_the_rule_can_say_no():
    sound = pd.DataFrame([{"method": "unibio", "p": p, "noise": 0.0, "first": 1.0, "level": 0.1} for p in (2, 4)])
    assert verdict(sound).verdict == REPRODUCED
    assert verdict(sound.assign(level=1.5)).verdict == NOT_REPRODUCED
    assert verdict(sound.assign(level=float("inf"))).verdict == NOT_TESTABLE
'''
