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
# # A tour of unibio
#
# The problem of the paper, one run, a figure from records, a problem and an algorithm of your own, and what it looks
# like when something is wrong. Everything here is a call into the library; the whole page runs in well under a minute.
#
# This page is `notebooks/tour.py` and `notebooks/tour.ipynb` at once. After changing the script:
# `jupytext --sync notebooks/tour.py && jupyter execute --inplace notebooks/tour.ipynb`.

# %%
import math
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import torch
from IPython.display import display
from PIL import Image

from unibio import (
    Algorithm,
    Coordinatewise,
    Example3,
    InputError,
    PerRun,
    Problem,
    compare,
    conjugate_gradient,
    hyper,
    hypergradient,
    solve,
)
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.pool import run_pool
from unibio.pipeline.sweep import announce
from unibio.quantiles import quartiles
from unibio.report.pictures import draw_all
from unibio.store.lists import load_experiment
from unibio.studies.common.curves import curves

torch.set_num_threads(1)  # the tensors below are small: more threads would only get into each other's way
plt.rcParams.update({"figure.dpi": 72, "axes.grid": True, "grid.color": "#dddddd", "axes.axisbelow": True})

# %% [markdown]
# ## 1. The problem
#
# A bilevel problem minimises $\varphi(x) = f(x, y^*(x))$ where $y^*(x)$ minimises $g(x, \cdot)$. The paper asks of $g$
# not strong but *uniform* convexity with an exponent $p \ge 2$. Its Example 3, for even $p$, is
#
# $$g(x, y) = \tfrac1p\, y^p - y \sin x, \qquad f(x, y) = \sin(y^{p-1}) \text{ for } |y^{p-1}| \le \pi/2
# \text{, and } \pm 1 \text{ beyond.}$$
#
# Hence $y^*(x)$ is the signed $(p-1)$-th root of $\sin x$, and $\varphi(x) = \sin(\sin x)$ whatever $p$ is. From
# $x_0 = 1$ every method has to walk left to the minimiser $-\pi/2$. On the way it crosses $x = 0$, where $y^* = 0$ and
# the lower level's Hessian $(p-1)\,y^{p-2}$ vanishes for $p > 2$.

# %%
x = torch.linspace(-math.pi, math.pi, 401, dtype=torch.float64)[:, None]
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for p in (2, 4, 8):
    problem = Example3(exponent=p).build()
    y = problem.closed_form.solution(x)
    hessian = problem.derivatives["hvp"](x, y, torch.ones_like(y), None)
    middle.plot(x, y, label=f"p = {p}")
    right.plot(x, hessian, label=f"p = {p}")
left.plot(x, problem.closed_form.value(x), color="black")
left.plot([1, -math.pi / 2], problem.closed_form.value(torch.tensor([[1.0], [-math.pi / 2]])), "o", color="black")
left.annotate("start", (1, 0.75), xytext=(-1.2, 0.7))
left.annotate("minimiser", (-math.pi / 2, -0.84), xytext=(-0.9, -0.87))
left.set(title="φ, the same for every p", xlabel="x")
middle.set(title="y*(x): steeper and steeper at x = 0", xlabel="x")
right.set(title="lower-level Hessian at y*(x)", xlabel="x")
middle.legend()
plt.show()

# %% [markdown]
# At the singular point the classical formula for $\nabla\varphi$ is $0/0$, and the classical Neumann sum makes 0 of it,
# a stationary point that is none: the true value is $\cos 0 \cdot \cos(\sin 0) = 1$. Theorem 4.1 differentiates with
# respect to $[y]^{p-1}$ instead of $y$, which amounts to preconditioning the linear system by
# $D(y) = \operatorname{diag}((p-1)|y|^{p-2})$:

# %%
for estimator in ("generalised_neumann", "neumann"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimate = hypergradient(Example3(exponent=4), 0.0, 0.0, estimator=estimator, neumann_terms=50)
    print(f"{estimator:>20}: {estimate.item():.4f}", *(warning.message for warning in caught), sep="\n    ")

# %% [markdown]
# ## 2. One run
#
# `solve` takes a problem, an algorithm by its name, and the algorithm's hyper-parameters. Without anything else it
# starts where the problem says, here at $(1, 1)$.

# %%
result = solve(Example3(exponent=4, noise=1.0), "unibio", steps=500, seed=0, upper_step=0.03)
print(result.status, " x =", round(result.x.item(), 4), " −π/2 =", round(-math.pi / 2, 4))

# %% [markdown]
# The history has one row per logged iteration: exact counts of every kind of oracle call, and the problem's metrics.
# Cost is counted in oracle calls first: a gradient, a Hessian-vector and a Jacobian-vector product are one each.

# %%
columns = ["iteration", "oracle_calls", "grad_upper", "grad_lower", "hvp", "jvp", "hypergradient_norm", "value"]
result.history[columns].iloc[[0, 1, 2, 50, 100, -1]]

# %% [markdown]
# Several seeds, or several values of a hyper-parameter, make a grid, computed as one batch. A run's numbers do not
# depend on what else is in its batch: seed 0 below is the run above.

# %%
grid = solve(Example3(exponent=4, noise=1.0), "unibio", steps=500, seed=range(20), upper_step=[0.01, 0.03])
print(len(grid.runs), "runs; seed 0 unchanged:", bool((grid.x[1] - result.x).abs() < 1e-12))
medians = grid.history.groupby(["upper_step", "iteration"])["hypergradient_norm"].median()
ax = medians.unstack(level=0).plot(
    logy=True, figsize=(6, 3.2), ylabel="|∇φ(x)|, median of 20 seeds", xlabel="iteration"
)

# %% [markdown]
# In one dimension the normalised step of UniBiO sees nothing but a sign, so the curve says little about the estimator:
# η decides the pace down, and the height at which the iterates rattle around the minimiser.
#
# ## 3. A figure from records
#
# Studies are described in `conf/experiment/` and leave *records*: a folder per job with its configuration, history and
# summary. `make reproduce` fills `runs/` and draws every figure from there; nothing downstream looks anywhere else.
# Here we run one experiment, Figure 1 of the paper, with 10 seeds instead of 100, in a folder of our own.

# %%
place = tempfile.TemporaryDirectory()
os.chdir(place.name)  # where you stand, runs/ is the one that make reproduce fills

with composer() as compose:
    jobs = expand(["experiment=fig1", "scale.seeds=0.1", "tracker=none"], compose)
plan = announce(jobs, "python -m unibio experiment=fig1 scale.seeds=0.1 tracker=none")
failures = run_pool(plan.pending, workers=1)

# %% [markdown]
# On a command line, this is `python -m unibio experiment=fig1 scale.seeds=0.1 tracker=none`. Run it again and nothing
# is computed: the records are there. They are plain tables:

# %%
found = load_experiment(Path("runs"), "fig1")
for record in found:
    print(record.name, record.summary["statuses"])
found[1].runs[["noise", "seed", "status", "stopped_at", "neumann_lambda_max"]].head(3)

# %% [markdown]
# The figure as the report has it, drawn from these records:

# %%
written = draw_all(Path("runs"), Path("results"), ["fig1"])
picture = Image.open("results/figures/fig1.png").convert("RGB")
picture.thumbnail((800, 800))
display(picture.quantize(32))

# %% [markdown]
# Or draw something of your own. "Larger p is slower" in the figure above, but each p has an η of its own. Over the
# distance walked, η times the iteration, the four curves are one curve, down to the minimiser:

# %%
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for record in found:
    (curve,) = curves(record, noise=0.0, upper_noise=0.0)
    step = record.config["algorithm"]["upper_step"]
    ax.plot(curve.iterations * step, quartiles(curve.values)[1], label=f"p = {curve.exponent}, η = {step}", alpha=0.7)
ax.set(yscale="log", ylim=(1e-3, 2), xlabel="distance walked, η × iteration", ylabel="|∇φ(x)|", xlim=(0, 5))
ax.legend()
plt.show()

# %% [markdown]
# ## 4. Your own problem
#
# Two losses are enough. This one chooses penalties: $y$ are the weights of a linear model under a quartic penalty,
# which makes the lower level uniformly convex with $p = 4$; $x$ are the logarithms of the penalties, one per weight,
# judged on validation data. The lower Hessian is not diagonal, and lower-level samples are minibatches. Losses are
# plain scalar functions of vectors; derivatives come from autograd.

# %%
gaussian = torch.Generator().manual_seed(0)
A = torch.randn(80, 5, generator=gaussian, dtype=torch.float64)
A[:, 1:] += 0.5 * A[:, :-1]  # neighbouring features are correlated
b = A @ torch.tensor([1.5, -1.0, 0.0, 0.0, 0.5], dtype=torch.float64)
b += torch.randn(80, generator=gaussian, dtype=torch.float64)


def lower(x, y, rows):
    return ((A[rows] @ y - b[rows]) ** 2).mean() / 2 + (x.exp() * y**4).sum() / 4


def upper(x, y):
    return ((A[40:] @ y - b[40:]) ** 2).mean() / 2


penalties = Problem(upper, lower, exponent=4, sample_lower=lambda draw: draw.minibatch(40), size_lower=40)

# %% [markdown]
# A sampler turns a `Draw` into a sample; here, into the indices of a minibatch of the 40 training rows. `batch_size`
# says how many. Such a Hessian is *regular*: it does not vanish where $y_i = 0$, only $D(y)$ does, so $D$ is floored.
# `floor` says where; with few Neumann terms it should not be much smaller than the weights themselves.

# %%
settings = {"upper_step": 0.1, "lower_step": 0.1, "neumann_terms": 10, "neumann_step": 0.2, "floor": 0.5}
chosen = solve(
    penalties, "unibio", [-2.0] * 5, [1.0] * 5, steps=150, seed=range(5), batch_size=10, log_points=60, **settings
)
print("penalties:", chosen.x.exp().median(0).values.round(decimals=2).tolist())
print("weights:  ", chosen.y.median(0).values.round(decimals=2).tolist())
medians = chosen.history.groupby("oracle_calls")[["upper_value", "hypergradient_norm"]].median()
axes = medians.plot(subplots=True, figsize=(6, 4), xlabel="oracle calls")

# %% [markdown]
# ## 5. Your own algorithm
#
# A frozen dataclass whose fields are its hyper-parameters, with `init` and `step`. It never sees the losses, only the
# oracle, which counts its calls. Arrays have a leading axis of runs, so the same lines serve one run and a thousand.


# %%
@dataclass(frozen=True)
class Alternating(Algorithm):
    """A few lower steps, then one step along a hypergradient by preconditioned conjugate gradient."""

    name: ClassVar[str] = "alternating"

    upper_step: PerRun = hyper(0.1, "upper-level step", above=0)
    lower_step: PerRun = hyper(0.1, "lower-level step", above=0)
    lower_iterations: int = hyper(10, "lower steps per iteration", at_least=1)

    def init(self, oracle, x, y):
        return {"x": x, "y": y}

    def step(self, oracle, state):
        x, y = state["x"], state["y"]
        for _ in range(self.lower_iterations):
            y = y - self.lower_step * oracle.grad_lower(x, y)
        return {"x": x - self.upper_step * conjugate_gradient(oracle, x, y), "y": y}


# %% [markdown]
# `compare` gives everyone the same starts, the same seeds and the same budget of oracle calls. With `tune`, everyone's
# steps are chosen first, on other seeds but with the same budget; under a label stands what only that algorithm has.
# The problem is the coordinate-wise Example 3 in ten dimensions, whose mixed derivative is not diagonal.

# %%
comparison = compare(
    Coordinatewise(exponent=4, noise=1.0, upper_noise=0.09),
    ["unibio", "stocbio", Alternating()],
    budget=6_000,
    seed=range(5),
    tune={
        "upper_step": [0.03, 0.1, 0.3],
        "lower_step": [0.1, 0.3, 1.0],
        "unibio": {"inner_budget": [10, 100]},
    },
)
axes = comparison.plot()
comparison.summary.drop(columns=["seconds", "diverged"])

# %% [markdown]
# One budget, one problem and a coarse grid: read it as a demonstration of `compare`, not as a verdict on the methods.
#
# ## 6. When something is wrong
#
# Input that cannot work is refused before anything runs, and the message says what would:

# %%
for attempt in (
    {"upper_stepp": 0.03, "steps": 10},
    {"upper_step": -0.03, "steps": 10},
    {"period": [1, 2], "steps": 10},
    {"x0": [1.0, 2.0], "steps": 10},
    {},
):
    try:
        solve(Example3(exponent=4), "unibio", **attempt)
    except InputError as error:
        print(f"{attempt}\n    {error}\n")

# %% [markdown]
# A Neumann sum grows with its terms when its step is not below $2/\lambda_{\max}$. That is measured at the start and
# said as a warning, with a step that would do. Here, the problem of section 4 with the default floor:

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    solve(penalties, "unibio", [-2.0] * 5, [0.01] * 5, steps=1, **settings | {"floor": 1e-3})
print(caught[0].message)

# %% [markdown]
# A run *diverges* when an iterate or a metric is not finite or is huger than $10^{10}$. It is stopped and says so; the
# other runs of its batch go on, and `compare` counts it as infinitely bad.

# %%
steps = [0.1, 1.0, 10.0]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    mixed = solve(Example3(exponent=4), Alternating(), y0=2.0, steps=50, lower_step=steps)
print(caught[0].message)
mixed.runs[["lower_step", "status", "stopped_at", "grad_lower"]]

# %% [markdown]
# ## Where to go from here
#
# `docs/your-own-problem.md` and `docs/your-own-algorithm.md` say what more a problem and an algorithm can have,
# `unibio list` prints every algorithm, problem and parameter, `python -m unibio --help` what can be configured.
