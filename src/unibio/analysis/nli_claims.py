"""The rules that judge claims about hyper-cleaning of sentence pairs (see ``claims`` for what a rule is).

Methods are told apart by all seeds of one ending higher than all of the other. An accuracy says something about
*weighting* only where the weights tell clean from flipped pairs, that is where the AUC is above ½ beyond its interval:
otherwise it compares lower-level step sizes. Only SNLI itself can reproduce a figure about SNLI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from unibio.analysis import nli
from unibio.analysis.claims import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.analysis.nli import ACCURACY, AUC, OWN, SOURCES, Group
from unibio.analysis.study import Study


def _learned(study: Study, experiment: str, rate: float | None = None, p: int | None = None) -> list[Group]:
    return [
        group
        for group in nli.groups(study, experiment)
        if group.weights == "learned" and rate in (None, group.rate) and p in (None, group.exponent)
    ]


def _best(found: Sequence[Group]) -> Group:
    """By validation accuracy, so that the test split chooses nothing."""
    return max(found, key=lambda group: group.final("valid_accuracy").median())


def _order(one: Group, other: Group) -> int:
    """1 where every seed of the first ends above every seed of the second, −1 below, 0 otherwise."""
    a, b = (group.final().to_numpy(dtype=float) for group in (one, other))
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0
    return 1 if a.min() > b.max() else (-1 if a.max() < b.min() else 0)


def _foreign(found: Sequence[Group]) -> str | None:
    """Why these data say nothing about SNLI; None where they do."""
    sources = sorted({group.source for group in found} - {"snli", "directory"})
    return f"the data are {SOURCES.get(sources[0], sources[0])}" if sources else None


def highest_accuracy(experiment: str, rate: float, p: int = 3) -> Callable[[Study], Outcome]:
    """The better form of UniBiO ends above the best other method in test accuracy, and by its weights."""

    def rule(study: Study) -> Outcome:
        found = _learned(study, experiment, rate, p)
        own, others = [g for g in found if g.method in OWN], [g for g in found if g.method not in OWN]
        if not own or not others:
            return Outcome(NOT_RUN, f"{experiment} needs UniBiO and another method at noise rate {rate:g}, p = {p}")
        mine, rival = _best(own), _best(others)
        above = sum(g.final().median() > mine.final().median() for g in others)
        low, high = mine.auc_interval()
        numbers = {
            ACCURACY: {g.label: g.final().median() for g in found},
            "own": mine.label,
            "rival": rival.label,
            "auc": {g.label: g.final(AUC).mean() for g in found},
        }
        text = (
            f"median test accuracy {mine.final().median():.3f} for {mine.label}, {rival.final().median():.3f} for "
            f"{rival.label} (each the best of its kind in validation); {above} of {len(others)} other methods end "
            f"higher; AUC of {mine.label} in [{low:.3f}, {high:.3f}]"
        )
        foreign, order = _foreign(found), _order(mine, rival)
        if foreign:
            return Outcome(NOT_TESTABLE, f"{text}; {foreign}", numbers)
        if order < 0:
            return Outcome(NOT_REPRODUCED, text, numbers)
        if order == 0:
            return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell the two apart", numbers)
        if not mine.separates():
            text += "; without separation this compares lower-level steps, not weighting"
            return Outcome(NOT_TESTABLE, text, numbers)
        return Outcome(REPRODUCED, text, numbers)

    return rule


def weights_separate(study: Study) -> Outcome:
    """UniBiO's weights tell clean from flipped pairs, in a form and at every noise rate."""
    found = _learned(study, nli.MAIN)
    if study.records(nli.NOISE):
        found += _learned(study, nli.NOISE)
    own = [g for g in found if g.method in OWN]
    if not own:
        return Outcome(NOT_RUN, f"{nli.MAIN} has no records of UniBiO")
    states, said = {}, []
    for rate in sorted({g.rate for g in own}):
        here = [g for g in own if g.rate == rate]
        states[rate] = any(g.separates() for g in here)
        spans = [f"{g.label} [{g.auc_interval()[0]:.3f}, {g.auc_interval()[1]:.3f}]" for g in here]
        others = [g for g in found if g.rate == rate and g.method not in OWN]
        count = sum(g.separates() for g in others)
        said.append(f"noise rate {rate:g}: {', '.join(spans)}; {count} of {len(others)} other methods separate")
    text = f"interval of the mean AUC: {'; '.join(said)}"
    numbers = {"auc": {f"{g.label}, rate {g.rate:g}": g.final(AUC).mean() for g in found}}
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
    helped = [g for g in separating if len(gains[g.label]) > 1 and (gains[g.label] > 0).all()]
    harmed = [g for g in separating if len(gains[g.label]) > 1 and (gains[g.label] < 0).all()]
    text = (
        f"median gain in test accuracy over the frozen twin, of the {len(separating)} of {len(learned)} methods whose "
        f"weights separate: {', '.join(said)}; {len(helped)} gain with every seed"
    )
    if len(helped) > len(separating) / 2:
        return Outcome(REPRODUCED, text, numbers)
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
