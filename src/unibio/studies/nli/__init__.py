"""Hyper-cleaning of sentence pairs with a recurrent network: Figure 4 and what was run around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from unibio.studies.common.claim import Claim
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.nli import differences, ends, figures, widths
from unibio.studies.nli.efficiency import HIGH, LOW, efficient, lead_grows
from unibio.studies.nli.further import without_constant_d
from unibio.studies.nli.groups import (
    AUC,
    CONTROLS,
    EXPONENTS,
    FLOOR,
    MAIN,
    NOISE,
    OWN,
    PAPER_METHODS,
    RELEASED,
    SEARCH,
    WIDE,
    WIDTH,
)
from unibio.studies.nli.rules import (
    Rule,
    epoch_sgd_or_plain,
    floor_matters,
    highest_accuracy,
    highest_training_accuracy,
    in_its_setting,
    noise_costs,
    released_noise_costs_less,
    weighting_helps,
    weights_separate,
)
from unibio.studies.nli.section import blocks
from unibio.studies.nli.setting import TWO_EPOCHS, departures

#: What the UniBiO of these figures is; K = 3 is the paper's, the floor is ours.
_UNIBIO = "UniBiO, here with D constant (the classical Neumann sum) and a single epoch whose ball never shrinks,"
#: What the paper means, as far as a network allows it.
_MEANT = "UniBiO with a floor that lets D act and two epochs of Epoch-SGD"
_OTHERS = "StocBiO, TTSA, SABA, MA-SOBA, SUSTAIN and VRBO"
_WHERE = "on noisy SNLI (noise rate 0.1, p = 3)"


def _claim(
    name: str,
    statement: str,
    kind: Kind,
    source: str,
    rule: Rule,
    figure: str,
    *experiments: str,
    exponents: Sequence[int] = (3,),
) -> Claim:
    """A claim about the main comparison, unless other experiments are named, with where they leave the paper."""
    read = experiments or (MAIN,)
    judged = in_its_setting(rule, read)
    return Claim(name, statement, kind, source, judged, read, figure, exponents=exponents, departures=departures)


def _highest(experiment: str, figure: str, rate: float, p: int, source: str) -> Claim:
    """Figure 4 elsewhere."""
    text = f"{_UNIBIO} has the highest test accuracy of all methods on noisy SNLI (noise rate {rate:g}, p = {p})."
    rule = highest_accuracy(experiment, rate, p)
    name = f"nli-highest-{rate:g}-p{p}"
    return _claim(name, text, Kind.EXTENSION, source, rule, figure, experiment, exponents=(p,))


def _efficient(name: str, unit: str, cost: str) -> Claim:
    text = f"{_UNIBIO} is efficient: at equal {unit} it has a higher test accuracy than {_OTHERS} {_WHERE}."
    rule = efficient(MAIN, 0.1, 3, PAPER_METHODS, cost)
    return _claim(
        name, text, Kind.PAPER, "Section 6, Figure 4; what is compared at equal costs is our reading", rule, "fig4"
    )


def _at_equal_calls(name: str, text: str, kind: Kind, source: str, own: str, others: Sequence[str]) -> Claim:
    """One more UniBiO against others, at equal numbers of oracle calls."""
    rule = efficient(MAIN, 0.1, 3, (own, *others), "oracle_calls", (own,))
    return _claim(name, text, kind, source, without_constant_d(rule) if own == TWO_EPOCHS else rule, "nli_differences")


_RIVALS = tuple(name for name in PAPER_METHODS if name not in OWN)

STUDY = Study(
    experiments=(MAIN, NOISE, EXPONENTS, WIDTH, WIDE, CONTROLS, RELEASED, FLOOR, *SEARCH),
    drawings=(*figures.DRAWINGS, differences.DRAWING, *ends.DRAWINGS, widths.DRAWING),
    claims=(
        _claim(
            "nli-highest-0.1-p3",
            f"{_UNIBIO} has a higher test accuracy than {_OTHERS} {_WHERE}.",
            Kind.PAPER,
            "Section 6, Figure 4",
            highest_accuracy(MAIN, 0.1, 3, PAPER_METHODS),
            "fig4",
        ),
        _claim(
            "nli-highest-training",
            f"{_UNIBIO} has a higher training accuracy than {_OTHERS} {_WHERE}.",
            Kind.PAPER,
            "Section 6, Figure 4",
            highest_training_accuracy(MAIN, 0.1, 3, PAPER_METHODS),
            "fig4",
        ),
        _efficient("nli-efficient-calls", "numbers of oracle calls", "oracle_calls"),
        _efficient("nli-efficient-seconds", "running times", "seconds"),
        _claim(
            "nli-cleans-better",
            f"{_UNIBIO} cleans the data better than {_OTHERS} {_WHERE}: its weights have a higher AUC at telling clean "
            "from flipped pairs.",
            Kind.SUMMARY,
            "“The Results: Speed and Accuracy”; that it is meant by AUC is our reading",
            highest_accuracy(MAIN, 0.1, 3, PAPER_METHODS, AUC),
            "nli_cleaning",
        ),
        _claim(
            "nli-especially-high-p",
            f"{_UNIBIO} is better than {_OTHERS} on noisy SNLI especially when p is high: its lead in test accuracy is "
            f"larger at p = {HIGH} than at p = {LOW}.",
            Kind.SUMMARY,
            "“The Results: Speed and Accuracy”",
            lead_grows,
            "fig4_exponents",
            EXPONENTS,
            exponents=(LOW, HIGH),
        ),
        _claim(
            "nli-highest-of-all",
            f"{_UNIBIO} has the highest test accuracy of all methods, BO-REP among them, {_WHERE}.",
            Kind.EXTENSION,
            "Figure 4, against a method added by us",
            highest_accuracy(MAIN, 0.1, 3),
            "fig4",
        ),
        _highest(
            NOISE, "fig4_noise", 0.2, 3, "Figure 4, at the released code's noise rate; Appendix E.2's is lost to us"
        ),
        _highest(NOISE, "fig4_noise", 0.4, 3, "Figure 4, at a noise rate of our choice"),
        _highest(EXPONENTS, "fig4_exponents", 0.1, 2, "Figure 4, at the released code's exponent"),
        _highest(EXPONENTS, "fig4_exponents", 0.1, 4, "Figure 4, at an exponent of our choice"),
        _at_equal_calls(
            "nli-two-epochs-highest",
            f"{_MEANT} has, at equal numbers of oracle calls, a higher test accuracy than {_OTHERS} {_WHERE}.",
            Kind.EXTENSION,
            "Figure 4, with UniBiO as Algorithms 1 and 2 have it and the released code does not",
            TWO_EPOCHS,
            _RIVALS,
        ),
        _at_equal_calls(
            "nli-two-epochs",
            f"{_MEANT} has, at equal numbers of oracle calls, a higher test accuracy than UniBiO with D constant and a "
            f"single epoch {_WHERE}.",
            Kind.QUESTION,
            "what D and shrinking balls are worth on a network",
            TWO_EPOCHS,
            ("unibio",),
        ),
        _at_equal_calls(
            "nli-without-p",
            "UniBiO without p, none of whose steps was searched, has at equal numbers of oracle calls a higher test "
            f"accuracy than {_OTHERS} {_WHERE}.",
            Kind.EXTENSION,
            "Figure 4, with our answer to the paper's limitation",
            "unibio_adaptive",
            _RIVALS,
        ),
        replace(
            _claim(
                "nli-ranking-width",
                "The ranking of methods by test accuracy changes with the width of the network: two of them are in one "
                "order at one width and in the other at another.",
                Kind.QUESTION,
                "the paper's 4096 units are out of a small machine's reach",
                widths.ranking_changes,
                "nli_width",
                WIDTH,
                WIDE,
            ),
            departures=partial(departures, but=("units",)),
        ),
        _claim(
            "nli-separates",
            "UniBiO's weights tell clean from flipped pairs: in one of its two forms the AUC is above ½ beyond its "
            "interval, which allows for the choice of the form, at every noise rate.",
            Kind.QUESTION,
            "without it an accuracy compares lower-level steps",
            weights_separate,
            "nli_cleaning",
            MAIN,
            NOISE,
        ),
        _claim(
            "nli-weighting-helps",
            "Where the weights tell clean from flipped pairs, they raise test accuracy over the frozen twin's, for "
            "most methods.",
            Kind.QUESTION,
            "what hyper-cleaning is for",
            weighting_helps,
            "nli_twins",
        ),
        _claim(
            "nli-noise-costs",
            "Plain training ends lower on the noisy labels than on the clean ones.",
            Kind.QUESTION,
            "whether there is anything to be gained",
            noise_costs,
            "nli_controls",
            CONTROLS,
        ),
        _claim(
            "nli-plain-steps",
            "With 3 lower steps a period, UniBiO with plain steps ends above UniBiO with Epoch-SGD.",
            Kind.QUESTION,
            "the released network loop is not Algorithm 1",
            epoch_sgd_or_plain,
            "fig4",
        ),
        _claim(
            "nli-floor-matters",
            "A floor that lets D act changes UniBiO's validation accuracy or AUC.",
            Kind.QUESTION,
            "with the floor of the other experiments D is 1",
            floor_matters,
            "nli_floor",
            FLOOR,
        ),
        _claim(
            "nli-released-noise",
            "Labels flipped anew at every access, as in the released code, cost less than labels flipped once: most "
            "methods end at a higher test accuracy.",
            Kind.QUESTION,
            "the released noise is not the paper's",
            released_noise_costs_less,
            "nli_released",
            RELEASED,
            NOISE,
        ),
    ),
    blocks=blocks,
)
