"""The rules that judge claims about hyper-cleaning of sentence pairs (see ``claims`` for what a rule is).

Methods are told apart by all seeds of one ending higher than all of the other. An accuracy says something about
*weighting* only where the weights tell clean from flipped pairs, that is where the AUC is above ½ beyond its interval:
otherwise it compares lower-level step sizes. Only SNLI itself can reproduce a figure about SNLI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from unibio.analysis import nli, nli_setting, nli_studies
from unibio.analysis.claims import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.analysis.nli import ACCURACY, AUC, LABELS, OWN, Group
from unibio.analysis.study import Study

Rule = Callable[[Study], Outcome]
#: Fewer seeds tell no two methods apart: of two and two all of one end above the other in every third pair of equals.
LEAST_SEEDS = 3
#: Two validation accuracies, or AUCs, within this are the same for any use.
SAME = 0.02


def in_its_setting(rule: Rule, experiments: Sequence[str]) -> Rule:
    """The rule, whose explanation also says on what data and in which smaller setting than the paper's."""

    def judged(study: Study) -> Outcome:
        found = [record for name in experiments for record in study.records(name)]
        outcome, foreign = rule(study), nli_setting.foreign(found)
        said = [foreign] if foreign and foreign not in outcome.explanation else []
        if departures := nli_setting.departures(found):
            said.append(f"with {', '.join(departures)}")
        return replace(outcome, explanation="; ".join([outcome.explanation, *said])) if said else outcome

    return judged


def _learned(study: Study, experiment: str, rate: float | None = None, p: int | None = None) -> list[Group]:
    return [
        group
        for group in nli.groups(study, experiment)
        if group.weights == "learned" and rate in (None, group.rate) and p in (None, group.exponent)
    ]


def _best(found: Sequence[Group]) -> Group:
    """By validation accuracy, so that the test split chooses nothing."""
    return max(found, key=lambda group: group.middle("valid_accuracy"))


def _order(one: Group, other: Group) -> int:
    """1 where every seed of the first ends above every seed of the second, −1 below, 0 otherwise.

    Fewer than ``LEAST_SEEDS`` tell nothing apart, and a diverged run has no accuracy.
    """
    a, b = (group.final().to_numpy(dtype=float) for group in (one, other))
    if min(len(a), len(b)) < LEAST_SEEDS or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0
    return 1 if a.min() > b.max() else (-1 if a.max() < b.min() else 0)


def _named(found: Sequence[Group]) -> str:
    return ", ".join(group.label for group in found)


def highest_accuracy(experiment: str, rate: float, p: int = 3) -> Rule:
    """The better form of UniBiO ends above every other method in test accuracy, and by its weights."""

    def rule(study: Study) -> Outcome:
        found = _learned(study, experiment, rate, p)
        if absent := set(LABELS) - {group.method for group in found}:
            names = ", ".join(label for name, label in LABELS.items() if name in absent)
            return Outcome(NOT_RUN, f"{experiment} has no records of {names} at noise rate {rate:g}, p = {p}")
        mine, others = _best([g for g in found if g.method in OWN]), [g for g in found if g.method not in OWN]
        orders = {other.label: _order(mine, other) for other in others}
        first = max(others, key=Group.middle)
        low, high = mine.auc_interval()
        numbers = {
            ACCURACY: {g.label: g.final().median() for g in found},
            "own": mine.label,
            "order": orders,
            "auc": {g.label: g.final(AUC).mean() for g in found},
        }
        above = [other for other in others if orders[other.label] < 0]
        unclear = [other for other in others if orders[other.label] == 0]
        text = (
            f"median test accuracy {mine.middle():.3f} for {mine.label}, UniBiO's better form in validation, "
            f"{first.middle():.3f} for {first.label}, the highest of the {len(others)} others; with every seed "
            f"{len(others) - len(above) - len(unclear)} of them end below it and {len(above)} above"
            f"{f' ({_named(above)})' if above else ''}; AUC of {mine.label} in [{low:.3f}, {high:.3f}]"
        )
        if foreign := nli_setting.foreign(record for group in found for record in group.records):
            return Outcome(NOT_TESTABLE, f"{text}; {foreign}", numbers)
        if above:
            return Outcome(NOT_REPRODUCED, text, numbers)
        if unclear:
            return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell it from {_named(unclear)}", numbers)
        if not mine.separates():
            text += "; without separation this compares lower-level steps, not weighting"
            return Outcome(NOT_TESTABLE, text, numbers)
        return Outcome(REPRODUCED, text, numbers)

    return rule


def weights_separate(study: Study) -> Outcome:
    """UniBiO's weights tell clean from flipped pairs, in one of its forms and at every noise rate."""
    found = _learned(study, nli.MAIN) + _learned(study, nli.NOISE)
    own = [g for g in found if g.method in OWN]
    if not own:
        return Outcome(NOT_RUN, f"{nli.MAIN} has no records of UniBiO")
    states, said = {}, []
    for rate in sorted({g.rate for g in own}):
        here = [g for g in own if g.rate == rate]
        states[rate] = any(g.separates(looks=len(here)) for g in here)
        intervals = [(g.label, *g.auc_interval(looks=len(here))) for g in here]
        spans = [f"{label} [{low:.3f}, {high:.3f}]" for label, low, high in intervals]
        others = [g for g in found if g.rate == rate and g.method not in OWN]
        count = sum(g.separates() for g in others)
        said.append(f"noise rate {rate:g}: {', '.join(spans)}; {count} of {len(others)} other methods separate")
    text = f"interval of the mean AUC, of both forms together: {'; '.join(said)}"
    numbers = {"auc": {f"{g.label}, rate {g.rate:g}": g.final(AUC).mean() for g in found}}
    if min(g.final(AUC).count() for g in own) < 2:
        return Outcome(NOT_TESTABLE, f"{text}; one seed that did not diverge tells nothing", numbers)
    return Outcome(REPRODUCED if all(states.values()) else NOT_REPRODUCED, text, numbers)


def weighting_helps(study: Study) -> Outcome:
    """For most methods whose weights separate, every seed ends above its frozen twin in test accuracy."""
    found = nli.groups(study, nli.MAIN)
    learned = [g for g in found if g.weights == "learned"]
    gains = {g.label: nli.gain(g, nli.twin(g, found)) for g in learned}
    if not all(len(values) for values in gains.values()):
        absent = [label for label, values in gains.items() if not len(values)]
        return Outcome(NOT_RUN, f"no frozen twin of {', '.join(absent)}")
    separating = [g for g in learned if g.separates()]
    said = [f"{g.label} {np.median(gains[g.label]):+.3f}" for g in separating]
    medians = {label: float(np.median(values)) for label, values in gains.items()}
    numbers = {"gain": medians, "separating": [g.label for g in separating]}
    if not separating:
        return Outcome(NOT_TESTABLE, "no method's weights tell clean from flipped pairs", numbers)
    helped = [g for g in separating if len(gains[g.label]) >= LEAST_SEEDS and (gains[g.label] > 0).all()]
    harmed = [g for g in separating if len(gains[g.label]) >= LEAST_SEEDS and (gains[g.label] < 0).all()]
    text = (
        f"median gain in test accuracy over the frozen twin, of the {len(separating)} of {len(learned)} methods whose "
        f"weights separate: {', '.join(said)}; {len(helped)} gain with every seed"
    )
    if len(helped) > len(separating) / 2:
        return Outcome(REPRODUCED, text, numbers)
    if max(len(gains[g.label]) for g in separating) < LEAST_SEEDS:
        return Outcome(NOT_TESTABLE, f"{text}; too few seeds", numbers)
    if not helped or harmed:
        return Outcome(NOT_REPRODUCED, text, numbers)
    return Outcome(NOT_TESTABLE, f"{text}; too few to say so of the methods", numbers)


def noise_costs(study: Study) -> Outcome:
    """Plain training ends lower on noisy labels than on clean ones, so that there is something to be gained."""
    by_labels = {group.noise: group for group in nli.groups(study, nli.CONTROLS)}
    if {"once", "none"} - set(by_labels):
        return Outcome(NOT_RUN, f"{nli.CONTROLS} needs plain training on noisy and on clean labels")
    noisy, clean = by_labels["once"], by_labels["none"]
    text = (
        f"median test accuracy of plain training {noisy.final().median():.3f} on noisy labels (rate {noisy.rate:g}), "
        f"{clean.final().median():.3f} on clean ones"
    )
    numbers = {"noisy": noisy.final().median(), "clean": clean.final().median()}
    order = _order(clean, noisy)
    if order == 0:
        return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell them apart", numbers)
    return Outcome(REPRODUCED if order > 0 else NOT_REPRODUCED, text, numbers)


def epoch_sgd_or_plain(study: Study) -> Outcome:
    """With 3 lower steps a period, plain steps end above Epoch-SGD."""
    by_method = {g.method: g for g in _learned(study, nli.MAIN)}
    if set(OWN) - set(by_method):
        return Outcome(NOT_RUN, f"{nli.MAIN} needs both forms of UniBiO")
    averaged, plain = (by_method[name] for name in OWN)
    text = (
        f"median test accuracy {plain.final().median():.3f} with plain steps, {averaged.final().median():.3f} with "
        "Epoch-SGD"
    )
    numbers = {"plain": plain.final().median(), "epoch_sgd": averaged.final().median()}
    order = _order(plain, averaged)
    if order == 0:
        return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell them apart", numbers)
    return Outcome(REPRODUCED if order > 0 else NOT_REPRODUCED, text, numbers)


def floor_matters(study: Study) -> Outcome:
    """The least floor of D, where D acts most, ends elsewhere than the largest in validation accuracy or AUC."""
    table = nli_studies.floor_changes(study)
    if not len(table):
        return Outcome(NOT_RUN, f"{nli.FLOOR} needs two floors")
    said = [
        f"{row['method']} {'validation accuracy' if row['metric'] == nli_studies.VALID else 'AUC'} "
        f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        for _, row in table.iterrows()
    ]
    first = table.iloc[0]
    text = (
        f"change from floor {first['against']:g} to {first['floor']:g}, seed by seed, mean over the seeds and its "
        f"interval (of all {len(table)} together): {', '.join(said)}"
    )
    numbers = {f"{row['method']}, {row['metric']}": row["difference"] for _, row in table.iterrows()}
    if ((table["low"] > 0) | (table["high"] < 0)).any():
        return Outcome(REPRODUCED, text, numbers)
    if table["low"].isna().any():
        return Outcome(NOT_TESTABLE, f"{text}; too few seeds that did not diverge", numbers)
    if ((table["low"] > -SAME) & (table["high"] < SAME)).all():
        return Outcome(NOT_REPRODUCED, f"{text}; every change is smaller than {SAME:g}", numbers)
    return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell a change from none", numbers)


def released_noise_costs_less(study: Study) -> Outcome:
    """Most methods end above their accuracy with labels flipped once where labels are flipped anew at every access."""
    beside = nli_studies.once(study)
    found = [(group, beside.get(nli_studies.without_noise(group))) for group in _learned(study, nli.RELEASED)]
    if absent := [group for group, twin in found if twin is None]:
        rates = ", ".join(f"{rate:g}" for rate in sorted({group.rate for group in absent}))
        return Outcome(NOT_RUN, f"no runs of {_named(absent)} with labels flipped once at noise rate {rates}")
    pairs = [(group, twin, _order(group, twin)) for group, twin in found if twin is not None]
    said = [f"{g.label} {g.final().median():.3f}, once {twin.final().median():.3f}" for g, twin, _ in pairs]
    text = f"median test accuracy with the released noise: {'; '.join(said)}"
    numbers = {ACCURACY: {g.label: g.final().median() for g, _, _ in pairs}}
    numbers["once"] = {twin.label: twin.final().median() for _, twin, _ in pairs}
    orders = [order for _, _, order in pairs]
    if orders.count(1) > len(orders) / 2:
        return Outcome(REPRODUCED, text, numbers)
    if orders.count(-1) >= len(orders) / 2:
        return Outcome(NOT_REPRODUCED, text, numbers)
    return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell most methods' two kinds of noise apart", numbers)
