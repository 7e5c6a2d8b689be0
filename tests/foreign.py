"""Packages from outside the tree, as tests write them: sources and what an installer would leave beside them."""

from __future__ import annotations

from pathlib import Path

#: An algorithm that needs nothing but gradients. NAME and STEP are replaced.
METHOD = '''\
"""Somebody's method."""

from dataclasses import dataclass
from typing import ClassVar

from unibio import Algorithm, PerRun, hyper


@dataclass(frozen=True)
class Mine(Algorithm):
    """Lower and upper gradient steps in turn."""

    name: ClassVar[str] = "NAME"

    upper_step: PerRun = hyper(0.1, "upper-level step", symbol="η", above=0)
    lower_step: PerRun = hyper(0.1, "lower-level step", symbol="ρ", above=0)

    def init(self, oracle, x, y):
        return {"x": x, "y": y}

    def step(self, oracle, state):
        x, y = state["x"], state["y"]
        y = oracle.project_lower(y - self.lower_step * oracle.grad_lower(x, y))
        first, _ = oracle.grad_upper(x, y)
        return {"x": oracle.project_upper(x - self.upper_step * (first + STEP)), "y": y}
'''

#: An experiment with it.
EXPERIMENT = """\
# @package _global_
# Somebody's question.
defaults:
  - override /problem: example3
  - override /algorithm: NAME
experiment: EXPERIMENT
steps: 12
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      problem.exponent: 2,4
"""

#: A study of it with a figure and a claim.
STUDY = '''\
"""Somebody's study."""

from unibio.studies.common import style
from unibio.studies.common.claim import Claim
from unibio.studies.common.curves import curves
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import CONSISTENT, Outcome


def draw(evidence):
    figure, ((panel,),) = style.panels(1, 1, 2.4)
    tables = [curve.table() for record in evidence.require("EXPERIMENT") for curve in curves(record)]
    for table in tables:
        panel.plot(table["iteration"], table["median"], **style.of_exponent(table["p"].iloc[0]))
    return Drawn(figure, {"EXPERIMENT": tables[0]})


def rule(evidence):
    return Outcome(CONSISTENT, f"{len(evidence.require('EXPERIMENT'))} records were looked at")


STUDY = Study(
    experiments=("EXPERIMENT",),
    drawings=(Drawing("EXPERIMENT", "Somebody's curves.", draw),),
    claims=(Claim("EXPERIMENT-claim", "It runs.", Kind.QUESTION, "why not", rule),),
)
'''


def package(root: Path, name: str, **modules: str) -> Path:
    """A package of some modules in ``root``; returns its directory."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for module, text in {"__init__": f'"""{name}."""\n', **modules}.items():
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return folder


def installed(root: Path, distribution: str, **points: dict[str, str]) -> None:
    """What an installer leaves of a distribution's entry points: algorithms={"mine": "package.module:Mine"}."""
    folder = root / f"{distribution.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8")
    lines = [
        line
        for group, named in points.items()
        for line in (f"[unibio.{group}]", *(f"{name} = {value}" for name, value in named.items()), "")
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def method(name: str, step: str = "x") -> str:
    """The source of the algorithm."""
    return METHOD.replace("NAME", name).replace("STEP", step)


def experiment(name: str, algorithm: str) -> str:
    """The file of the experiment."""
    return EXPERIMENT.replace("NAME", algorithm).replace("EXPERIMENT", name)


def study(name: str) -> str:
    """The source of its study."""
    return STUDY.replace("EXPERIMENT", name)
