"""Theorem 5.1's schedule at p = 2: the final averaged norm against T."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from unibio.analysis.curves import final, quartiles
from unibio.analysis.rates import bound_exponent, fit_sweep
from unibio.analysis.study import Study, exponent
from unibio.figures import style
from unibio.figures.drawing import Drawn


def draw(study: Study) -> Drawn:
    """Mean over the seeds with the interquartile band, the fitted power law and the bound's slope."""
    found = [record for record in study.require("theorem_schedule") if exponent(record) == 2]
    horizons = np.array([float(record.config["steps"]) for record in found])
    samples = [final(record, "hypergradient_norm_mean") for record in found]
    means = np.array([sample.mean() for sample in samples])
    bands = np.array([quartiles(sample) for sample in samples])
    figure, ((panel,),) = style.panels(1, 1, 3.3, width=4.6)
    panel.set(xscale="log", yscale="log", xlabel="horizon T", ylabel="mean of |∇φ| over iterates 0 … T−1")
    look = style.of_exponent(2)
    panel.fill_between(horizons, bands[:, 0], bands[:, 2], color=look["color"], alpha=0.25, linewidth=0)
    panel.plot(horizons, means, **look | {"linestyle": ""}, label="UniBiO, theorem's η(T), β(T), I, K; p = 2")
    table: dict[str, Any] = {
        "T": horizons,
        "mean": means,
        "q25": bands[:, 0],
        "median": bands[:, 1],
        "q75": bands[:, 2],
    }
    for name in ("upper_step", "momentum", "period", "inner_budget"):
        table[name] = [record.config["algorithm"][name] for record in found]
    tables = {"theorem_schedule": pd.DataFrame(table)}
    if len(horizons) >= 3 and np.isfinite(means).all():
        fit = fit_sweep(list(horizons), samples)
        text = f"fit: slope {fit.slope:.3f} ± {fit.error:.3f}".replace("-", "−")
        panel.plot(horizons, fit(horizons), color="black", linewidth=1.0, label=text)
        names = ["slope", "error", "interval_low", "interval_high", "bound"]
        row = [fit.slope, fit.error, *fit.interval, bound_exponent(2)]
        tables["theorem_schedule_fit"] = pd.DataFrame([row], columns=names)
    reference = 1.12 * means[0] * (horizons / horizons[0]) ** bound_exponent(2)
    panel.plot(horizons, reference, color=style.VERMILION, linestyle=":", label="slope −1/4, the bound's")
    ticks = [v for v in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if 0.7 * means.min() <= v <= 1.4 * means.max()]
    if ticks:
        panel.set_yticks(ticks, labels=[f"{v:g}" for v in ticks])
        panel.minorticks_off()
    panel.legend(loc="lower left")
    return Drawn(figure, tables)
