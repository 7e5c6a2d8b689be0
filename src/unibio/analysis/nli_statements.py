"""What is claimed about hyper-cleaning of sentence pairs: by the paper, and by us where its reading depends on it."""

from __future__ import annotations

from unibio.analysis import nli
from unibio.analysis.claim import Claim
from unibio.analysis.nli_claims import (
    Rule,
    epoch_sgd_or_plain,
    floor_matters,
    highest_accuracy,
    in_its_setting,
    noise_costs,
    released_noise_costs_less,
    weighting_helps,
    weights_separate,
)


def _nli(
    id: str,  # noqa: A002
    statement: str,
    source: str,
    rule: Rule,
    figure: str,
    *experiments: str,
    p: int = 3,
) -> Claim:
    names = experiments or (nli.MAIN,)
    return Claim(id, statement, source, names, figure, in_its_setting(rule, names), (p,))


def _nli_highest(experiment: str, figure: str, rate: float, p: int, source: str) -> Claim:
    text = f"UniBiO has the highest test accuracy of all methods on noisy SNLI, noise rate {rate:g}, p = {p}."
    rule = highest_accuracy(experiment, rate, p)
    return _nli(f"nli-highest-{rate:g}-p{p}", text, source, rule, figure, experiment, p=p)


NLI_CLAIMS: tuple[Claim, ...] = (
    _nli_highest(nli.MAIN, "fig4", 0.1, 3, "Figure 4, at the main text's noise rate"),
    _nli_highest(
        nli.NOISE, "fig4_noise", 0.2, 3, "Appendix E.2, whose noise rate we do not have; this is the released code's"
    ),
    _nli_highest(nli.NOISE, "fig4_noise", 0.4, 3, "ours: Figure 4 at a noise rate of our choice"),
    _nli_highest(nli.EXPONENTS, "fig4_exponents", 0.1, 2, "ours: Figure 4 at the released code's exponent"),
    _nli_highest(nli.EXPONENTS, "fig4_exponents", 0.1, 4, "ours: Figure 4 at an exponent of our choice"),
    _nli(
        "nli-separates",
        "UniBiO's weights tell clean from flipped pairs: in one of its two forms the AUC is above ½ beyond its "
        "interval, which allows for the choice of the form, at every noise rate.",
        "ours: without it an accuracy compares lower-level steps",
        weights_separate,
        "nli_cleaning",
        nli.MAIN,
        nli.NOISE,
    ),
    _nli(
        "nli-weighting-helps",
        "Where the weights tell clean from flipped pairs, they raise test accuracy over the frozen twin's, for most "
        "methods and every seed.",
        "ours: what hyper-cleaning is for",
        weighting_helps,
        "nli_twins",
    ),
    _nli(
        "nli-noise-costs",
        "Plain training ends lower on the noisy labels than on the clean ones.",
        "ours: whether there is anything to be gained",
        noise_costs,
        "nli_controls",
        nli.CONTROLS,
    ),
    _nli(
        "nli-plain-steps",
        "With 3 lower steps a period, UniBiO with plain steps ends above UniBiO with Epoch-SGD.",
        "ours: the released network loop is not Algorithm 1",
        epoch_sgd_or_plain,
        "fig4",
    ),
    _nli(
        "nli-floor-matters",
        "A floor that lets D act changes UniBiO's validation accuracy or AUC.",
        "ours: with the floor of the other experiments D is 1",
        floor_matters,
        "nli_floor",
        nli.FLOOR,
    ),
    _nli(
        "nli-released-noise",
        "Labels flipped anew at every access, as in the released code, cost less than labels flipped once: most "
        "methods end at a higher test accuracy.",
        "ours: the released noise is not the paper's",
        released_noise_costs_less,
        "nli_released",
        nli.RELEASED,
        nli.NOISE,
    ),
)
