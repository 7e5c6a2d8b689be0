"""Hyper-cleaning of sentence pairs: whether the methods' ranking changes with the network's width.

At a width every method has run with the same seeds, a randomised block design: differences of two methods' means have
an interval whose spread is pooled over all methods of that width, after the means of methods and of seeds are taken
away. With few seeds that tells more than each pair alone. It holds if methods spread alike; since they may not, a pair
whose own differences spread more has the interval of its own spread.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from unibio.studies.common import methods, style
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.statistics import CONFIDENCE
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.nli.groups import ACCURACY, WIDE, WIDTH, Group, groups, learned
from unibio.studies.nli.pairing import POWER
from unibio.studies.nli.rules import SAME


def _by_width(evidence: Evidence) -> dict[int, dict[str, Group]]:
    """{width: {method: group}} of both experiments, ascending."""
    evidence.require(WIDTH)
    found: dict[int, dict[str, Group]] = {}
    for name in (WIDTH, WIDE):
        for group in learned(groups(evidence, name)) if evidence.records(name) else ():
            found.setdefault(group.width, {})[group.method] = group
    return dict(sorted(found.items()))


def accuracies(evidence: Evidence) -> pd.DataFrame:
    """One row a width and method: final test accuracy (median, least, largest), mean rank over the seeds, seeds.

    Rank 1 is the highest; it counts seeds that all methods of the width completed, and is NaN without one.
    """
    rows = []
    for width, here in _by_width(evidence).items():
        table = pd.DataFrame({name: group.final() for name, group in here.items()})
        ranks = table.dropna().rank(axis=1, ascending=False).mean()
        for name, group in here.items():
            values = group.final()
            row = {"width": width, "method": group.label, ACCURACY: values.median()}
            row |= {f"{ACCURACY}_min": values.min(), f"{ACCURACY}_max": values.max()}
            row |= {"rank": float(ranks[name]), "of": len(here)}
            rows.append(row | {"seeds": group.seeds, "diverged": int(values.isna().sum())})
    return pd.DataFrame(rows)


def differences(evidence: Evidence) -> pd.DataFrame:
    """One row a width and pair of methods: mean difference of final test accuracies over the seeds, and its interval.

    Columns: width, one, other, difference, low, high, detectable (as of a
    :class:`~unibio.studies.nli.pairing.Paired`), seeds. The intervals of all rows hold together (Bonferroni). A method
    that diverged on a seed, or lacks one, is not compared at that width.
    """
    tables = {}
    for width, here in _by_width(evidence).items():
        table = pd.DataFrame({group.label: group.final() for group in here.values()})
        tables[width] = table.loc[:, table.notna().all()]
    pairs = {width: list(itertools.combinations(table.columns, 2)) for width, table in tables.items()}
    level = 1 - (1 - CONFIDENCE) / (2 * max(sum(map(len, pairs.values())), 1))
    rows = []
    for width, table in tables.items():
        values = table.to_numpy(dtype=float)
        count, freedom = len(values), (len(values) - 1) * (values.shape[1] - 1)
        pooled = beyond = power = math.nan
        if freedom > 0:
            rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
            pooled = math.sqrt(2 * float((rest**2).sum()) / freedom)
            beyond, power = float(stdtrit(freedom, level)), float(stdtrit(freedom, POWER))
        for one, other in pairs[width]:
            gap = table[one] - table[other]
            mean, error = float(gap.mean()), max(pooled, float(gap.std())) / math.sqrt(count)
            row = {"width": width, "one": one, "other": other, "difference": mean}
            row |= {"low": mean - beyond * error, "high": mean + beyond * error}
            rows.append(row | {"detectable": (beyond + power) * error, "seeds": count})
    columns = ["width", "one", "other", "difference", "low", "high", "detectable", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def ranking_changes(evidence: Evidence) -> Outcome:
    """Two methods are told apart one way at one width and the other way at another."""
    found = _by_width(evidence)
    if len(found) < 2:
        return Outcome(NOT_RUN, f"{WIDTH} needs two widths")
    table = differences(evidence)
    told = np.sign(table["low"]).where((table["low"] > 0) | (table["high"] < 0), 0.0)
    alike = (table["low"] > -SAME) & (table["high"] < SAME)
    table = table.assign(told=told, settled=(told != 0) | alike)
    changed = [
        f"{one} and {other} ({', '.join(f'{row.difference:+.3f} at {row.width}' for row in here.itertuples())})"
        for (one, other), here in table.groupby(["one", "other"], sort=False)
        if {-1.0, 1.0} <= set(here["told"])
    ]
    by_width = table.groupby("width")
    said = [f"{int((here['told'] != 0).sum())} of {len(here)} at {width} units" for width, here in by_width]
    seen = [f"{here['detectable'].max():.3f} at {width}" for width, here in by_width]
    text = (
        f"pairs of methods whose test accuracies are told apart, beyond intervals of all pairs and widths together: "
        f"{', '.join(said)}; a difference of {', '.join(seen)} could have been seen in {POWER:.0%} of such studies"
    )
    numbers = {
        "rank": {f"{row.method}, {row.width}": row.rank for row in accuracies(evidence).itertuples()},
        "told": {str(width): int((here["told"] != 0).sum()) for width, here in by_width},
        "changed": len(changed),
    }
    if changed:
        return Outcome(REPRODUCED, f"{text}; the order changes of {'; '.join(changed)}", numbers)
    lost = any(group.final().isna().any() for here in found.values() for group in here.values())
    if len(table) and table["settled"].all() and not lost:
        return Outcome(NOT_REPRODUCED, f"{text}; no order changes, and others are within {SAME:g}", numbers)
    return Outcome(NOT_TESTABLE, f"{text}; no order is seen to change, and not all are told", numbers)


def draw_width(evidence: Evidence) -> Drawn:
    """Test accuracy and mean rank against the width, for every method."""
    table = accuracies(evidence)
    names = list(dict.fromkeys(name for here in _by_width(evidence).values() for name in here))
    figure, axes = style.panels(1, 2, 3.6)
    for order, name in enumerate(names):
        here, look = table[table["method"] == methods.label(name)], methods.look(name)
        at = here["width"].to_numpy(dtype=float) * 2 ** ((order - (len(names) - 1) / 2) * 0.03)  # beside each other
        low, high = here[f"{ACCURACY}_min"], here[f"{ACCURACY}_max"]
        axes[0, 0].vlines(at, low, high, color=look["color"], linewidth=1.0)
        axes[0, 0].plot(at, here[ACCURACY], **look)
        axes[0, 1].plot(at, here["rank"], **look)
    widths = sorted(set(table["width"]))
    for panel, title in zip(axes[0], ("test accuracy", "mean rank (1: highest)"), strict=True):
        panel.set_xscale("log", base=2)
        panel.set_xticks(widths, labels=[str(width) for width in widths])
        panel.minorticks_off()
        panel.set_xlabel("units of a recurrent layer")
        panel.set_ylabel(title)
    axes[0, 1].invert_yaxis()
    style.legend_above(figure, [style.handle(methods.label(name), **methods.look(name)) for name in names], 4)
    return Drawn(figure, {"nli_width": table, "nli_width_differences": differences(evidence)})


DRAWING = Drawing(
    "nli_width",
    "Figure 4's final test accuracy against the width of the network: median with the range over the seeds, and the "
    "mean over the seeds of the rank. The widest network has fewer methods, so that its ranks are among these.",
    draw_width,
    (WIDTH, WIDE),
    title="Whether the ranking of methods changes with the network's width",
)
