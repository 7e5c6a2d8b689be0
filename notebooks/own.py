# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own
#
# A model, a method and a sweep of your own, from two Python files to a figure, a table and a dashboard, without a line
# changed in unibio. `docs/plugins.md` says how the same becomes a package that is installed; `unibio new algorithm
# NAME` writes one.
#
# This page is `notebooks/own.py` and `notebooks/own.ipynb` at once. After changing the script:
# `jupytext --sync notebooks/own.py && jupyter execute --inplace notebooks/own.ipynb`.

# %%
import os
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import display

from unibio import compare, plot, solve
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.pool import run_pool
from unibio.registry import algorithm_class, problem_class

torch.set_num_threads(1)  # the tensors below are small
plt.rcParams.update({"figure.dpi": 72})
folder = tempfile.TemporaryDirectory()
home = Path(folder.name)

# %% [markdown]
# ## 1. A model
#
# A ridge regression whose weights of single points are learned, on data of which a third is wrong: the upper level
# looks at clean targets, the lower level at the wrong ones. Losses are functions of rows of a batch; derivatives come
# from autograd, and what is wrong with a loss is said before the first iteration.

# %%
model = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from unibio import Problem, ProblemSpec, hyper


@dataclass(frozen=True)
class Weighted(ProblemSpec):
    """Ridge regression with a weight a point, chosen by the loss on clean points."""

    name: ClassVar[str] = "weighted"

    points: int = hyper(30, "training points, a third of them wrong", at_least=3)
    ridge: float = hyper(0.1, "weight of the regulariser", symbol="λ", above=0)

    def build(self):
        made = torch.Generator().manual_seed(0)
        a = torch.randn(self.points, 3, generator=made, dtype=torch.float64)
        b = a @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        wrong = b.clone()
        wrong[: self.points // 3] *= -1

        def lower(x, y):
            residuals = y @ a.T - wrong
            fit = (torch.sigmoid(x) * residuals**2).mean(-1)
            return 0.5 * fit + 0.5 * self.ridge * (y**2).sum(-1)

        return Problem(
            upper=lambda x, y: 0.5 * ((y @ a.T - b) ** 2).mean(-1) + 0 * x.sum(-1),
            lower=lower,
            start=(torch.zeros(self.points, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)),
            batched=True,
            name=self.name,
        )
'''

# %% [markdown]
# ## 2. A method
#
# A few lower steps, a conjugate-gradient hypergradient, and a step with momentum. Fields made by `hyper` are the
# hyper-parameters; a state is a dict, and all derivatives come from the oracle, which counts them.

# %%
method = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from unibio import Algorithm, PerRun, conjugate_gradient, hyper


@dataclass(frozen=True)
class Heavy(Algorithm):
    """Lower gradient steps, then a step along a moving average of conjugate-gradient hypergradients."""

    name: ClassVar[str] = "heavy"

    upper_step: PerRun = hyper(1.0, "upper-level step", symbol="η", above=0)
    lower_step: PerRun = hyper(0.5, "lower-level step", symbol="ρ", above=0)
    momentum: PerRun = hyper(0.5, "weight of the old direction", symbol="β", at_least=0, below=1)
    lower_iterations: int = hyper(5, "lower steps per iteration", symbol="N", at_least=1)

    def init(self, oracle, x, y):
        return {"x": x, "y": y, "direction": torch.zeros_like(x)}

    def step(self, oracle, state):
        x, y = state["x"], state["y"]
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(y - self.lower_step * oracle.grad_lower(x, y))
        new = conjugate_gradient(oracle, x, y)
        direction = self.momentum * state["direction"] + (1 - self.momentum) * new
        return {"x": oracle.project_upper(x - self.upper_step * direction), "y": y, "direction": direction}
'''

# %% [markdown]
# The two become modules in a directory on Python's path, and `UNIBIO_PLUGINS` names them. From now on they are called
# by name like everything else, here and on the command line (`UNIBIO_PLUGINS=… unibio list heavy`).

# %%
for name, text in {"my_model": model, "my_method": method}.items():
    (home / f"{name}.py").write_text(text.lstrip(), encoding="utf-8")
sys.path.insert(0, str(home))
os.environ["UNIBIO_PLUGINS"] = "my_model,my_method"

Weighted, Heavy = problem_class("weighted"), algorithm_class("heavy")
result = solve(Weighted(), Heavy(), steps=100)
result

# %% [markdown]
# Beside methods of the project, everyone on one budget of oracle calls, with steps tuned for everyone alike:

# %%
comparison = compare(
    Weighted(),
    {"heavy": Heavy(), "soba": "soba", "stocbio": "stocbio"},
    budget=1500,
    tune={"upper_step": [0.3, 3.0], "lower_step": [0.1, 0.5]},
)
display(comparison.summary)
plot(comparison, y="upper_value")

# %% [markdown]
# ## 3. A sweep
#
# The same words as on the command line, where this is
#
#     unibio sweep --name momentum problem=weighted algorithm=heavy algorithm.momentum=0,0.5,0.9 \
#         "+grid.algorithm.upper_step=[0.3,1,3]" steps=200
#
# Every value of β is a job, the steps of a job are one batch. Each job leaves a record; the same call a second time
# finds them, and after a change of `my_method.py` it would compute their beginnings again and compare.

# %%
words = ["problem=weighted", "algorithm=heavy", "algorithm.momentum=0,0.5,0.9", "steps=200"]
words += ["+grid.algorithm.upper_step=[0.3,1,3]", "tracker=none", "progress=false", f"records={home / 'runs'}"]
with composer() as compose_one:
    jobs = expand(words, compose_one)
records = [run_job(job).record for job in jobs]
print(len(records), "records of", jobs[0].runs, "runs each")

# %% [markdown]
# ## 4. Its figure and its report
#
# A line is a median over seeds; whatever else differs tells lines apart. On the command line: `unibio plot momentum --x
# iteration --by momentum --panel upper_step`, and `unibio report momentum` for a page with tables, rates and LaTeX.

# %%
plot(records, x="iteration", y="upper_value", by="momentum", panel="upper_step")

# %% [markdown]
# ## 5. Its records, by pandas
#
# A record is a directory: `config.yaml`, `summary.json` and two tables in Parquet, which any reader of Parquet reads.

# %%
ends = []
for record in records:
    history = pd.read_parquet(record.path / "history.parquet")
    last = history.groupby("run").tail(1)
    ends.append(last.assign(momentum=record.config["algorithm"]["momentum"]))
table = pd.concat(ends)
display(table.pivot(index="momentum", columns="upper_step", values="upper_value").round(4))

# %% [markdown]
# ## 6. Its dashboard
#
# With `tracker=offline`, the default, or `online`, wandb shows every curve: a job that takes longer than a checkpoint
# while it runs, a short one at its end. `docs/dashboards.md` says how methods are compared there.

# %%
shown = [word for word in words if not word.startswith(("tracker=", "algorithm.momentum="))]
with composer() as compose_one:
    tracked = expand([*shown, "algorithm.momentum=0.7", "tracker=offline"], compose_one)
failures = run_pool(tracked, 1)
files = sorted((home / "runs" / "wandb").glob("offline-run-*/*.wandb"))
print(len(failures), "jobs failed;", len(files), "curves for `wandb sync`")

# %% [markdown]
# And away with it: what stays of such a page is what it has printed.

# %%
os.environ.pop("UNIBIO_PLUGINS")
sys.path.remove(str(home))
folder.cleanup()
