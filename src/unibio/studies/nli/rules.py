"""The rules that judge claims about hyper-cleaning of sentence pairs.

Methods are told apart seed by seed, by intervals of their mean difference. An accuracy says something about *weighting*
only where the weights tell clean from flipped pairs, that is where the AUC is above ½ beyond its interval: otherwise it
compares lower-level step sizes. Only SNLI itself can reproduce a figure about SNLI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from unibio.errors import InputError
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.nli.around import VALID, floor_changes, once, unlike_the_search, without_noise
from unibio.studies.nli.comparing import rivals
from unibio.studies.nli.groups import (
    ACCURACY,
    AUC,
    COMPARED_METHODS,
    CONTROLS,
    FLOOR,
    MAIN,
    NOISE,
    OWN,
    RELEASED,
    Group,
    groups,
    learned,
    named,
    twin,
)
from unibio.studies.nli.pairing import LEAST_SEEDS, Paired, could_be_seen, paired, rounded
from unibio.studies.nli.setting import departures, foreign

Rule = Callable[[Evidence], Outcome]

#: Two validation accuracies, or AUCs, within this are the same for any use.
SAME = 0.02


def in_its_setting(rule: Rule, experiments: Sequence[str]) -> Rule:
    """The rule, whose explanation also says on what data, in which smaller setting than the paper's, and whether its
    steps were searched in another."""

    def judged(evidence: Evidence) -> Outcome:
        found = [record for name in experiments for record in evidence.known(name)]
        outcome, elsewhere = rule(evidence), foreign(found)
        said = [elsewhere] if elsewhere and elsewhere not in outcome.explanation else []
        if unlike := departures(found):
            said.append(f"with {', '.join(unlike)}")
        if otherwise := unlike_the_search(evidence, found):
            said.append(otherwise)
        return replace(outcome, explanation="; ".join([outcome.explanation, *said])) if said else outcome

    return judged


def _learned(evidence: Evidence, experiment: str, rate: float | None = None, p: int | None = None) -> list[Group]:
    found = learned(groups(evidence, experiment))
    return [group for group in found if rate in (None, group.rate) and p in (None, group.exponent)]


def _by(found: Sequence[Group], key: str, experiment: str) -> dict[str, Group]:
    """The groups by an attribute that tells them apart.

    Raises:
        InputError: two of them have the same, of which one would be overlooked.
    """
    by_key = {str(getattr(group, key)): group for group in found}
    if len(by_key) < len(found):
        raise InputError(f"{experiment} has several groups of the same {key}; which is meant?")
    return by_key


#: What may be highest, as explanations name it.
_SAID = {
    ACCURACY: "test accuracy",
    "train_accuracy": "training accuracy against the true labels",
    "noisy_accuracy": "training accuracy against the labels trained on",
    AUC: "cleaning AUC",
}


def highest_accuracy(
    experiment: str, rate: float, p: int = 3, among: Sequence[str] = COMPARED_METHODS, metric: str = ACCURACY
) -> Rule:
    """The better form of UniBiO ends above every other method in an accuracy or in AUC, and by its weights."""

    def rule(evidence: Evidence) -> Outcome:
        compared = rivals(evidence, experiment, rate, p, among)
        if isinstance(compared, Outcome):
            return compared
        mine, others, found, called, _ = compared
        by = {other.label: paired(mine.final(metric), other.final(metric), len(others)) for other in others}
        first = max(others, key=lambda group: group.middle(metric))
        low, high = mine.auc_interval()
        numbers = {
            metric: {g.label: g.final(metric).median() for g in found},
            "own": mine.label,
            "difference": {label: one.numbers for label, one in by.items()},
            "auc": {g.label: g.final(AUC).mean() for g in found},
        }
        above = [other for other in others if by[other.label].order < 0]
        unclear = [other for other in others if by[other.label].order == 0]
        text = (
            f"median {_SAID[metric]} {mine.middle(metric):.3f} for {called}, {first.middle(metric):.3f} for "
            f"{first.label}, the highest of the {len(others)} others, which it exceeds seed by seed by "
            f"{rounded(by[first.label])}; beyond such intervals {len(others) - len(above) - len(unclear)} of them end "
            f"below it and {len(above)} above{f' ({named(above)})' if above else ''}; {could_be_seen(by.values())}; "
            f"AUC of {mine.label} in [{low:.3f}, {high:.3f}]"
        )
        if compared.elsewhere:
            return Outcome(NOT_TESTABLE, f"{text}; {compared.elsewhere}", numbers)
        leads = {label: one.mean for label, one in by.items()}
        # What the search maximised was an accuracy; it says nothing of how far an AUC could go.
        may_turn = None if metric == AUC else compared.unsettled(leads, [other.label for other in above])
        if above and not may_turn:
            return Outcome(NOT_REPRODUCED, text, numbers)
        if unclear and not above:
            return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell it from {named(unclear)}", numbers)
        if may_turn:
            return Outcome(NOT_TESTABLE, f"{text}; {may_turn}", numbers)
        if not mine.separates():
            text += "; without separation this compares lower-level steps, not weighting"
            return Outcome(NOT_TESTABLE, text, numbers)
        return Outcome(REPRODUCED, text, numbers)

    return rule


def highest_training_accuracy(experiment: str, rate: float, p: int, among: Sequence[str]) -> Rule:
    """As :func:`highest_accuracy` in training, where accuracy against the true labels and against those trained on must
    agree: the paper does not say which it counts."""

    def rule(evidence: Evidence) -> Outcome:
        kinds = ("train_accuracy", "noisy_accuracy")
        true, trained = (highest_accuracy(experiment, rate, p, among, metric)(evidence) for metric in kinds)
        if true.verdict == NOT_RUN:
            return true
        text = f"{true.explanation}; {trained.explanation}"
        numbers = dict(zip(kinds, (true.numbers, trained.numbers), strict=True))
        if true.verdict == trained.verdict:
            return Outcome(true.verdict, text, numbers)
        text += "; the two disagree, and the paper does not say which of them it counts"
        return Outcome(NOT_TESTABLE, text, numbers)

    return rule


def weights_separate(evidence: Evidence) -> Outcome:
    """UniBiO's weights tell clean from flipped pairs, in one of its forms and at every noise rate."""
    found = _learned(evidence, MAIN) + _learned(evidence, NOISE)
    own = [g for g in found if g.method in OWN]
    if not own:
        return Outcome(NOT_RUN, f"{MAIN} has no records of UniBiO")
    states, said = {}, []
    for rate in sorted({g.rate for g in own}):
        here = [g for g in own if g.rate == rate]
        states[rate] = any(g.separates(looks=len(here)) for g in here)
        intervals = [(g.label, *g.auc_interval(looks=len(here))) for g in here]
        spans = [f"{label} [{low:.3f}, {high:.3f}]" for label, low, high in intervals]
        told = 0.5 + max((high - low) / 2 for _, low, high in intervals)
        others = [g for g in found if g.rate == rate and g.method in COMPARED_METHODS and g.method not in OWN]
        count = sum(g.separates() for g in others)
        said.append(
            f"noise rate {rate:g}: {', '.join(spans)}, which tell AUCs above {told:.3f} from ½; {count} of "
            f"{len(others)} other methods separate"
        )
    text = f"interval of the mean AUC, of both forms together: {'; '.join(said)}"
    numbers = {"auc": {f"{g.label}, rate {g.rate:g}": g.final(AUC).mean() for g in found}}
    if min(g.final(AUC).count() for g in own) < 2:
        return Outcome(NOT_TESTABLE, f"{text}; one seed that did not diverge tells nothing", numbers)
    return Outcome(REPRODUCED if all(states.values()) else NOT_REPRODUCED, text, numbers)


def weighting_helps(evidence: Evidence) -> Outcome:
    """Most methods whose weights separate end above their frozen twin in test accuracy."""
    found = groups(evidence, MAIN)
    taught = learned(found)
    separating = [g for g in taught if g.separates()]
    gains: dict[str, Paired] = {}
    for group in taught:
        frozen = twin(group, found)
        if frozen is not None:
            gains[group.label] = paired(group.final(), frozen.final(), max(len(separating), 1))
    if absent := [g.label for g in taught if g.label not in gains or not gains[g.label].seeds]:
        return Outcome(NOT_RUN, f"no frozen twin of {', '.join(absent)}")
    numbers: dict[str, Any] = {"gain": {label: one.numbers for label, one in gains.items()}}
    numbers["separating"] = [g.label for g in separating]
    if not separating:
        return Outcome(NOT_TESTABLE, "no method's weights tell clean from flipped pairs", numbers)
    helped, harmed = ([g for g in separating if gains[g.label].order == sign] for sign in (1, -1))
    said = ", ".join(f"{g.label} {rounded(gains[g.label])}" for g in separating)
    text = (
        f"mean gain in test accuracy over the frozen twin, seed by seed, and its interval (of all together), of the "
        f"{len(separating)} of {len(taught)} methods whose weights separate: {said}; {len(helped)} gain beyond it; "
        f"{could_be_seen(gains[g.label] for g in separating)}"
    )
    if len(helped) > len(separating) / 2:
        return Outcome(REPRODUCED, text, numbers)
    if max(gains[g.label].seeds for g in separating) < LEAST_SEEDS:
        return Outcome(NOT_TESTABLE, f"{text}; too few seeds", numbers)
    if not helped or harmed:
        return Outcome(NOT_REPRODUCED, text, numbers)
    return Outcome(NOT_TESTABLE, f"{text}; too few to say so of the methods", numbers)


def noise_costs(evidence: Evidence) -> Outcome:
    """Plain training ends lower on noisy labels than on clean ones, so that there is something to be gained."""
    by_labels = _by(groups(evidence, CONTROLS), "noise", CONTROLS)
    if {"once", "none"} - set(by_labels):
        return Outcome(NOT_RUN, f"{CONTROLS} needs plain training on noisy and on clean labels")
    noisy, clean = by_labels["once"], by_labels["none"]
    text = (
        f"median test accuracy of plain training {noisy.final().median():.3f} on noisy labels (rate {noisy.rate:g}), "
        f"{clean.final().median():.3f} on clean ones"
    )
    numbers = {"noisy": noisy.final().median(), "clean": clean.final().median()}
    return _of_two(paired(clean.final(), noisy.final()), text, numbers)


def _of_two(difference: Paired, text: str, numbers: dict[str, Any]) -> Outcome:
    """Whether the first of two is above."""
    text += f", a difference of {rounded(difference)} seed by seed; {could_be_seen([difference])}"
    numbers |= {"difference": difference.numbers}
    if difference.order == 0:
        return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell them apart", numbers)
    return Outcome(REPRODUCED if difference.order > 0 else NOT_REPRODUCED, text, numbers)


def epoch_sgd_or_plain(evidence: Evidence) -> Outcome:
    """With 3 lower steps a period, plain steps end above Epoch-SGD."""
    by_method = _by(_learned(evidence, MAIN), "method", MAIN)
    if set(OWN) - set(by_method):
        return Outcome(NOT_RUN, f"{MAIN} needs both forms of UniBiO")
    averaged, plain = (by_method[name] for name in OWN)
    text = (
        f"median test accuracy {plain.final().median():.3f} with plain steps, {averaged.final().median():.3f} with "
        "Epoch-SGD"
    )
    numbers = {"plain": plain.final().median(), "epoch_sgd": averaged.final().median()}
    return _of_two(paired(plain.final(), averaged.final()), text, numbers)


def floor_matters(evidence: Evidence) -> Outcome:
    """The least floor of D, where D acts most, ends elsewhere than the largest in validation accuracy or AUC."""
    table = floor_changes(evidence)
    if not len(table):
        return Outcome(NOT_RUN, f"{FLOOR} needs two floors")
    said = [
        f"{row['method']} {'validation accuracy' if row['metric'] == VALID else 'AUC'} "
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
        if table["lost"].any():
            return Outcome(NOT_TESTABLE, f"{text}; seeds that diverged are not in it", numbers)
        return Outcome(REPRODUCED, text, numbers)
    if table["low"].isna().any():
        return Outcome(NOT_TESTABLE, f"{text}; too few seeds that did not diverge", numbers)
    if ((table["low"] > -SAME) & (table["high"] < SAME)).all():
        return Outcome(NOT_REPRODUCED, f"{text}; every change is smaller than {SAME:g}", numbers)
    return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell a change from none", numbers)


def released_noise_costs_less(evidence: Evidence) -> Outcome:
    """Most methods end above their accuracy with labels flipped once where labels are flipped anew at every access."""
    beside = once(evidence)
    found = [(group, beside.get(without_noise(group))) for group in _learned(evidence, RELEASED)]
    if absent := [group for group, other in found if other is None]:
        rates = ", ".join(f"{rate:g}" for rate in sorted({group.rate for group in absent}))
        return Outcome(NOT_RUN, f"no runs of {named(absent)} with labels flipped once at noise rate {rates}")
    pairs = [(g, other, paired(g.final(), other.final(), len(found))) for g, other in found if other is not None]
    said = [f"{g.label} {g.final().median():.3f}, {rounded(one)} to once" for g, _, one in pairs]
    text = f"median test accuracy with the released noise, and its mean difference seed by seed: {'; '.join(said)}"
    text += f"; {could_be_seen(one for _, _, one in pairs)}"
    numbers = {ACCURACY: {g.label: g.final().median() for g, _, _ in pairs}}
    numbers["once"] = {other.label: other.final().median() for _, other, _ in pairs}
    orders = [one.order for _, _, one in pairs]
    if orders.count(1) > len(orders) / 2:
        return Outcome(REPRODUCED, text, numbers)
    if orders.count(-1) >= len(orders) / 2:
        return Outcome(NOT_REPRODUCED, text, numbers)
    return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell most methods' two kinds of noise apart", numbers)
