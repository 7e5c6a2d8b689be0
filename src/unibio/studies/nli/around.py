"""Around the comparisons in hyper-cleaning of sentence pairs: controls, search for steps, D's floor, released noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from unibio.store.records import Record
from unibio.studies.common import methods
from unibio.studies.common.curves import Array, last_rows
from unibio.studies.common.evidence import Evidence, setting
from unibio.studies.common.search import Cell, Search, search
from unibio.studies.common.statistics import CONFIDENCE
from unibio.studies.nli.groups import (
    ACCURACY,
    AUC,
    CONTROLS,
    FLOOR,
    RELEASED,
    SEARCH,
    SPREAD,
    Group,
    compared,
    groups,
    learned,
    searched,
    summary,
)
from unibio.studies.nli.setting import method_of, size, size_in_words

VALID = "valid_accuracy"
STEPS = ("upper_step", "lower_step")
PLAIN = "plain training"


def controls(evidence: Evidence) -> pd.DataFrame:
    """Plain training: one row per kind of labels (noisy, clean) with its final accuracies; no weight is learned."""
    rows = []
    for group in groups(evidence, CONTROLS):
        row: dict[str, Any] = {"labels": "noisy" if group.noise == "once" else "clean", "noise_rate": group.rate}
        for column in (ACCURACY, VALID, "train_accuracy"):
            values = group.final(column)
            row |= {column: values.median(), f"{column}_min": values.min(), f"{column}_max": values.max()}
        rows.append(row | {AUC: group.final(AUC).mean(), SPREAD: group.final(SPREAD).median(), "seeds": group.seeds})
    return pd.DataFrame(rows)


def _ends(record: Record, *parameters: str) -> pd.DataFrame:
    """One row a run: seed, parameters (axes of the batch, or the job's), status, and where the run ended.

    What a diverged run ended at is NaN.
    """
    last = last_rows(record.history).reindex(range(len(record.runs)))
    table = pd.DataFrame({"status": record.runs["status"].to_numpy()})
    for name in (VALID, AUC, SPREAD):
        values = last[name].to_numpy(dtype=float) if name in last else np.full(len(table), math.nan)
        table[name] = np.where(table["status"] == "completed", values, math.nan)
    for name in parameters:
        table[name] = record.runs[name].to_numpy() if name in record.runs else setting(record, name)
    table["seed"] = record.runs["seed"].to_numpy() if "seed" in record.runs else record.config["seed"]
    frozen = record.config["problem"]["weights"] == "frozen"
    return table.assign(method=PLAIN if frozen else methods.label(method_of(record)))


def tuning(evidence: Evidence) -> pd.DataFrame:
    """Every pair of steps that was tried, over the tuning seeds, and which was chosen.

    Columns: method, both steps (plain training has no upper one), ``valid_least`` and ``valid_median`` over the seeds
    (NaN where a run diverged), AUC and spread of σ(λ) (medians), seeds, diverged, and ``chosen``: the pair of highest
    least validation accuracy, of those the highest median; none while no pair has been tried with every seed.
    ``upper_edge`` and ``lower_edge`` tell at which end of its range a chosen step lies.
    """
    runs, rows = evidence.once(_tried), []
    for (method, upper, lower), here in runs.groupby(["method", *STEPS], dropna=False, sort=False):
        row = {"method": method, "upper_step": upper, "lower_step": lower}
        row |= {"valid_least": here[VALID].min(skipna=False), "valid_median": here[VALID].median(skipna=False)}
        row |= {AUC: here[AUC].median(), SPREAD: here[SPREAD].median()}
        rows.append(row | {"seeds": here["seed"].nunique(), "diverged": int((here["status"] != "completed").sum())})
    table = pd.DataFrame(rows).assign(chosen=False, upper_edge="", lower_edge="")
    for method, (found, at) in evidence.once(_searches).items():
        if at is None:
            continue
        same = np.logical_and.reduce([table[name] == step for name, step in found.at(at).items()])
        chosen = (table["method"] == method) & same
        table.loc[chosen, "chosen"] = True
        for name, end in found.ends(at).items():
            table.loc[chosen, f"{name.removesuffix('_step')}_edge"] = end
    return table


def _tried(evidence: Evidence) -> pd.DataFrame:
    """One row a run of the search."""
    runs = pd.concat([_ends(record, *STEPS) for record in searched(evidence) or evidence.require(SEARCH[0])])
    runs.loc[runs["method"] == PLAIN, "upper_step"] = math.nan
    return runs


def _searches(evidence: Evidence) -> dict[str, tuple[Search, Cell | None]]:
    """{method: its search by validation error, and the cell that it chose}."""
    found = {}
    for method, here in evidence.once(_tried).groupby("method"):
        tried = [name for name in STEPS if here[name].notna().all()]
        error = np.nan_to_num(-here[VALID].to_numpy(dtype=float), nan=np.inf)
        # A pair that lacks a seed would be judged by an easier least, and so counts as diverged.
        one = search(str(method), here, error, tried, middle=_worst, whole=False)
        found[str(method)] = one, one.best(ties=np.median(one.values, axis=-1))
    return found


def _worst(values: Array) -> Array:
    return values.max(axis=-1)


def gains_at_ends(evidence: Evidence, found: Iterable[Group]) -> dict[str, float]:
    """{label: validation accuracy that the last grid step outwards gained}, of groups whose steps the search chose at
    an end of what it tried: one more step outwards might gain as much again. {} without a search."""
    searches = evidence.once(_searches) if searched(evidence) else {}
    gains = {}
    for group in found:
        one, at = searches.get(group.label, (None, None))
        if one is not None and at is not None and uses(group, one.at(at)) and one.ends(at):
            gains[group.label] = one.gain_at_ends(at)
    return gains


def uses(group: Group, steps: Mapping[str, float]) -> bool:
    """Whether a group was run with these steps."""
    used = group.records[0].config["algorithm"]
    return all(float(used[name]) == value for name, value in steps.items() if not math.isnan(value))


def unlike_the_search(evidence: Evidence, found: Iterable[Record]) -> str | None:
    """That steps were searched at another size than some records have, as a clause; None where they were not.

    At scale=paper they are the released code's. Where no search is among the evidence nothing is known of it.
    """
    there = {size(record) for name in SEARCH for record in evidence.known(name)}
    sizes = dict.fromkeys(size(record) for record in found if not _paper_steps(record))
    if not there or not (other := [one for one in sizes if one not in there]):
        return None
    used, tried = (" or ".join(map(size_in_words, some)) for some in (other, sorted(there)))
    return f"steps for {used} were searched with {tried}"


def _paper_steps(record: Record) -> bool:
    scale = record.config.get("scale") or {}
    return (scale.get("nli") or {}).get("steps") == "paper"


def _floor_runs(evidence: Evidence) -> pd.DataFrame:
    """One row a run of the experiment with D's floor."""
    tables = [
        _ends(record, "floor", "neumann_step").assign(lambda_max=record.runs["neumann_lambda_max"].to_numpy())
        for record in evidence.require(FLOOR)
    ]
    return pd.concat(tables, ignore_index=True)


def floors(evidence: Evidence) -> pd.DataFrame:
    """What D's floor does, by form of UniBiO, floor and Neumann step.

    Columns: λ_max(D⁻¹∇²_yy g) at the start (median over the seeds) and its product with the Neumann step c, which is
    stable below 2; final validation accuracy and AUC (median, least, largest); spread of σ(λ) (median).
    """
    rows = []
    for key, here in _floor_runs(evidence).groupby(["method", "floor", "neumann_step"]):
        row: dict[str, Any] = dict(zip(("method", "floor", "neumann_step"), key, strict=True))
        row["lambda_max"] = here["lambda_max"].median()
        row["lambda_max_c"] = row["lambda_max"] * row["neumann_step"]
        for name in (VALID, AUC):
            values = here[name]
            row |= {name: values.median(), f"{name}_min": values.min(), f"{name}_max": values.max()}
        row |= {SPREAD: here[SPREAD].median(), "seeds": here["seed"].nunique()}
        rows.append(row | {"diverged": int((here["status"] != "completed").sum())})
    return pd.DataFrame(rows)


def floor_changes(evidence: Evidence) -> pd.DataFrame:
    """Least floor against largest, seed by seed: one row a form of UniBiO and metric.

    Columns: method, metric, the two floors, mean difference (least minus largest floor) with its Student interval over
    the seeds, seeds, and how many more are lost because they diverged at one of the two. The intervals of all rows hold
    together (Bonferroni). Where several Neumann steps were run at a floor, the differences are of their means. Rows of
    fewer than two seeds have no interval.
    """
    runs, rows = _floor_runs(evidence), []
    forms = list(runs.groupby("method"))
    for method, here in forms:
        low, high = here["floor"].min(), here["floor"].max()
        if low == high:
            continue
        for metric in (VALID, AUC):
            by_seed = here.pivot_table(index="seed", columns="floor", values=metric, aggfunc="mean")
            by_seed = by_seed.reindex(columns=[low, high])  # a floor at which every run diverged is not among them
            values = (by_seed[low] - by_seed[high]).dropna().to_numpy(dtype=float)
            mean, width = float(values.mean()) if len(values) else math.nan, math.nan
            if len(values) > 1:
                level = 1 - (1 - CONFIDENCE) / (2 * 2 * len(forms))
                width = float(stdtrit(len(values) - 1, level) * values.std(ddof=1) / math.sqrt(len(values)))
            row = {"method": method, "metric": metric, "floor": low, "against": high, "difference": mean}
            row |= {"low": mean - width, "high": mean + width, "seeds": len(values)}
            rows.append(row | {"lost": here["seed"].nunique() - len(values)})
    return pd.DataFrame(rows)


def once(evidence: Evidence) -> Mapping[tuple[Any, ...], Group]:
    """The groups of the comparisons, whose labels were flipped once, by :func:`without_noise`."""
    return {without_noise(group): group for group in compared(evidence)}


def released(evidence: Evidence) -> pd.DataFrame:
    """The runs with the released noise, as :func:`unibio.studies.nli.groups.summary` has them, beside noise drawn once.

    No pair stays flipped, so that there is no AUC. ``once_test_accuracy`` is that of the same method, rate and p with
    labels flipped once; NaN where no comparison has it.
    """
    found = groups(evidence, RELEASED)
    table, beside = summary(found), once(evidence)
    others = [beside.get(without_noise(group)) for group in learned(found)]
    values = [pd.Series([math.nan]) if other is None else other.final() for other in others]
    name = f"once_{ACCURACY}"
    return table.assign(
        **{name: [v.median() for v in values]},
        **{f"{name}_min": [v.min() for v in values], f"{name}_max": [v.max() for v in values]},
    )


def without_noise(group: Group) -> tuple[Any, ...]:
    """What a group shares with one that differs in its noise and seeds alone."""
    return group.method, group.width, group.exponent, group.rate, group.weights, group.source, group.pairs
