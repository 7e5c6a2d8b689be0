"""What the paper says of y*, ∇φ and ĥ as measured numbers, and why no figure on Example 3 can show p."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common import style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column, dimension, exponent
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import fit_power_law
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import (
    CONSISTENT,
    EXPONENTS,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    VIOLATED,
    Outcome,
)

EXPERIMENT = "regularity"
#: {column of a record: what it is}, largest over the pairs of a distance.
CHANGES = {
    "solution_change": "‖y*(x) − y*(x')‖",
    "gradient_change": "‖∇φ(x) − ∇φ(x')‖",
    "estimator_bias": "‖ĥ(x, y) − ∇φ(x)‖",
}
REST = ("descent_remainder", "generalised_least", "generalised_most", "hessian_least", "contraction")
OF = {"hoelder": "Hölder problem", "example3": "Example 3", "coordinatewise": "Example 3 coordinate by coordinate"}

#: Exponents are those of small distances: up to here. Beyond, the problem's own size shows.
SMALL = 0.01
#: Decades of distances that an exponent needs.
LEAST = 3.0
#: How far a measured exponent may be from the stated one.
OFF = 0.03
#: By what factor Eq. (9) may fail, whose constants are of the distances that were measured: the largest change lies
#: between two of them.
SLACK = 1.02
#: The least share of the largest singular value that a generalised Hessian's least may have.
LEAST_SINGULAR = 0.01


def holder(p: float) -> float:
    """1/(p − 1)."""
    return 1 / (p - 1)


def table(evidence: Evidence) -> pd.DataFrame:
    """of, d, p, distance and what was measured at it; not to be changed."""
    return evidence.once(_table)


def _table(evidence: Evidence) -> pd.DataFrame:
    parts = [_part(record) for record in evidence.require(EXPERIMENT)]
    return pd.concat(parts, ignore_index=True).sort_values(["of", "d", "p", "distance"], ignore_index=True)


def _part(record: Record) -> pd.DataFrame:
    names = (*CHANGES, *REST)
    found = pd.DataFrame({name: column(record, name) for name in ("iteration", "distance", *names)})
    last = found[found["iteration"] == found["iteration"].max()].drop(columns="iteration")
    if not bool(np.isfinite(last.to_numpy(dtype=float)).all()) or (record.runs["status"] != "completed").any():
        raise InputError(f"{record.name}: a number is not defined at some distance, or a run did not complete")
    last.insert(0, "p", exponent(record))
    last.insert(0, "d", dimension(record))
    last.insert(0, "of", str(record.config["problem"]["of"]))
    return last


def exponents(evidence: Evidence) -> pd.DataFrame:
    """of, d, p, the exponents of the distance in ``CHANGES``, and 1/(p − 1).

    Raises:
        InputError: small distances that do not span ``LEAST`` decades, or changes that are not positive.
    """
    rows = []
    for (of, d, p), part in table(evidence).groupby(["of", "d", "p"]):
        small = part[part["distance"] <= SMALL * (1 + 1e-9)]
        if len(small) < 3 or small["distance"].max() < 0.99 * 10**LEAST * small["distance"].min():
            raise InputError(f"{of}, p = {p}: distances up to {SMALL:g} do not span {LEAST:g} decades")
        slopes = {name: fit_power_law(small["distance"], small[name]).slope for name in CHANGES}
        rows.append({"of": of, "d": d, "p": p, **slopes, "holder": holder(float(str(p)))})
    return pd.DataFrame(rows)


# Rules ---------------------------------------------------------------------------------------------------------------


def _at_least(evidence: Evidence, name: str, least: Array | float, what: str) -> Outcome:
    """Whether every exponent is at least what is stated; one above is a change that is smaller still."""
    found = exponents(evidence)
    above = found[name] - least
    text = f"exponents of {what} less the stated one: {_span(above)} over {len(found)} problems and p"
    return Outcome(CONSISTENT if every(above >= -OFF) else VIOLATED, text, {"exponents": _by_case(found, name)})


def solution(evidence: Evidence) -> Outcome:
    """Lemma 4.2: the exponent of y* is at least 1/(p − 1)."""
    return _at_least(evidence, "solution_change", exponents(evidence)["holder"], CHANGES["solution_change"])


def gradient(evidence: Evidence) -> Outcome:
    """Eq. (8): the exponent of ∇φ is at least 1/(p − 1)."""
    return _at_least(evidence, "gradient_change", exponents(evidence)["holder"], CHANGES["gradient_change"])


def bias(evidence: Evidence) -> Outcome:
    """Lemma B.4: the exponent of ĥ's bias in ‖y − y*(x)‖ is at least 1."""
    return _at_least(evidence, "estimator_bias", 1.0, CHANGES["estimator_bias"])


def constants(part: pd.DataFrame) -> tuple[float, float]:
    """L_φ1 and L_φ2 with which Eq. (8) holds at every distance of one problem and p: the first from the least."""
    nu = holder(float(part["p"].iloc[0]))
    r, change = part["distance"].to_numpy(dtype=float), part["gradient_change"].to_numpy(dtype=float)
    first = float(change[0] / r[0] ** nu)
    return first, float(np.maximum((change - first * r**nu) / r, 0).max())


def descent(evidence: Evidence) -> Outcome:
    """Eq. (9) with the constants of Eq. (8), at every distance."""
    worst = {}
    for (of, d, p), part in table(evidence).groupby(["of", "d", "p"]):
        nu, (first, second) = holder(float(str(p))), constants(part)
        r = part["distance"].to_numpy(dtype=float)
        allowed = (p - 1) / p * first * r ** (1 + nu) + second / 2 * r**2
        worst[f"{of}, d = {d}, p = {p}"] = float((part["descent_remainder"].to_numpy(dtype=float) / allowed).max())
    text = (
        f"the remainder over what Eq. (9) allows, at most: {_span(pd.Series(worst))} over {len(worst)} problems and p"
    )
    if max(worst.values()) < 0.1:
        return Outcome(NOT_TESTABLE, f"{text}; so little says nothing of the inequality", worst)
    return Outcome(CONSISTENT if every(v <= SLACK for v in worst.values()) else VIOLATED, text, worst)


def hessian(evidence: Evidence) -> Outcome:
    """Lemmas B.2 and B.6: the generalised Hessian's singular values are bounded below, a Neumann term contracts.

    Not testable where the Hessian itself is not nearly singular at p > 2: nothing is gained there.
    """
    found = table(evidence)
    share = found["generalised_least"] / found["generalised_most"]
    plain = float(found.loc[found["p"] > 2, "hessian_least"].max())
    text = (
        f"the generalised Hessian's least singular value is at least {share.min():.3g} of its largest, where the "
        f"Hessian's own falls to {plain:.2g} and below for p > 2; ‖I − J/‖J‖‖ is at most "
        f"{found['contraction'].max():.2g}"
    )
    numbers = {"share": float(share.min()), "hessian": plain, "contraction": float(found["contraction"].max())}
    if not every(share >= LEAST_SINGULAR) or not every(found["contraction"] < 1 - LEAST_SINGULAR):
        return Outcome(VIOLATED, text, numbers)
    return Outcome(CONSISTENT if plain <= LEAST_SINGULAR else NOT_TESTABLE, text, numbers)


def p_shows_only_on_hoelder(evidence: Evidence) -> Outcome:
    """∇φ changes like r^{1/(p−1)} on the Hölder problem and like r for every p on Example 3, whose ∇φ is one function.

    Not testable on either where y* does not change like r^{1/(p−1)}: it is y* that p acts through.
    """
    found = exponents(evidence)
    if not every((found["solution_change"] - found["holder"]).abs() <= OFF):
        return Outcome(NOT_TESTABLE, "y* itself does not change like r^(1/(p−1))", _by_case(found, "solution_change"))
    own, paper = found[found["of"] == "hoelder"], found[found["of"] != "hoelder"]
    curves = table(evidence)
    spread = curves[curves["of"] != "hoelder"].groupby(["of", "d", "distance"])["gradient_change"]
    same = float((spread.max() / spread.min() - 1).max())
    text = (
        "exponents of ∇φ on the Hölder problem less 1/(p−1): "
        f"{_span(own['gradient_change'] - own['holder'])}; on Example 3 less 1: {_span(paper['gradient_change'] - 1)}, "
        f"where the changes differ between p by {same:.1%} at most"
    )
    yes = every((own["gradient_change"] - own["holder"]).abs() <= OFF)
    flat = every((paper["gradient_change"] - 1).abs() <= OFF) and same <= OFF
    verdict = REPRODUCED if yes and flat else NOT_REPRODUCED
    return Outcome(verdict, text, {"exponents": _by_case(found, "gradient_change"), "spread": same})


def _span(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3f} to {high:.3f}".replace("-", "−")


def _by_case(found: pd.DataFrame, name: str) -> dict[str, float]:
    return {f"{row['of']}, d = {row['d']}, p = {row['p']}": float(row[name]) for _, row in found.iterrows()}


# Figure and section --------------------------------------------------------------------------------------------------


def draw(evidence: Evidence) -> Drawn:
    """A row a problem in one dimension, a column a change; a line an exponent p."""
    found = table(evidence)
    names = [name for name in ("hoelder", "example3") if name in set(found["of"])]
    figure, axes = style.panels(len(names), len(CHANGES), 2.1 * len(names) + 0.6, sharex=True, sharey="col")
    for of, line in zip(names, axes, strict=True):
        shown = found[(found["of"] == of) & (found["d"] == 1)]
        for i, (name, panel) in enumerate(zip(CHANGES, line, strict=True)):
            for p, part in shown.groupby("p"):
                x = part["distance"].to_numpy()
                order = EXPONENTS.index(p) if p in EXPONENTS else 0
                markers = style.spread_markers(x, order, log=True)
                panel.plot(x, part[name], markevery=markers, **style.of_exponent(float(str(p))))
            panel.set(xscale="log", yscale="log")
            if i == 0:
                panel.set_ylabel(OF[of])
    for panel, title in zip(axes[0], CHANGES.values(), strict=True):
        panel.set_title(title, loc="left")
    for panel, where in zip(axes[-1], ("‖x − x'‖", "‖x − x'‖", "‖y − y*(x)‖"), strict=True):
        panel.set_xlabel(where)
    handles = [style.handle(f"p = {p}", **style.of_exponent(p)) for p in sorted(found["p"].unique())]
    style.legend_above(figure, handles, len(handles))
    return Drawn(figure, {"regularity": found, "regularity_exponents": exponents(evidence)})


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Exponents at small distances")
    yield Paragraph(
        f"Of the largest change over pairs of points a distance r ≤ {SMALL:g} apart, and of the estimator's bias in "
        "‖y − y*(x)‖. On Example 3 y* is as irregular as on the Hölder problem, and ∇φ does not see it."
    )
    yield frame_table(_named(exponents(evidence)))


def _named(found: pd.DataFrame) -> pd.DataFrame:
    titles = {"of": "problem", "holder": "1/(p − 1)", **CHANGES}
    return found.assign(of=found["of"].map(OF)).rename(columns=titles).round(3)


def _claim(name: str, statement: str, kind: Kind, source: str, rule: object, p: Sequence[int] = EXPONENTS) -> Claim:
    return Claim(f"regularity-{name}", statement, kind, source, rule, exponents=p)  # type: ignore[arg-type]


STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=(
        Drawing(
            "regularity",
            "The largest change of y*, of ∇φ and of the estimator over a distance. On the Hölder "
            "problem ∇φ is as irregular as y*; on Example 3 it is the same smooth function for "
            "every p.",
            draw,
            title="Why Figure 1 could not show p",
        ),
    ),
    claims=(
        _claim(
            "solution",
            "y* is Hölder with exponent 1/(p−1).",
            Kind.PAPER,
            "Section 4, Lemma 4.2",
            solution,
        ),
        _claim(
            "gradient",
            "∇φ changes by at most L_φ1 r^(1/(p−1)) + L_φ2 r over a distance r.",
            Kind.PAPER,
            "Section 4, Eq. (8)",
            gradient,
        ),
        _claim(
            "descent",
            "φ lies below its linear part plus (p−1)/p · L_φ1 r^(p/(p−1)) + L_φ2/2 · r², the constants Eq. (8)'s.",
            Kind.PAPER,
            "Section 4, Eq. (9)",
            descent,
        ),
        _claim(
            "bias",
            "The estimator's bias at an inexact y is at most linear in ‖y − y*(x)‖.",
            Kind.PAPER,
            "Appendix B, Lemma B.4",
            bias,
        ),
        _claim(
            "hessian",
            "The generalised Hessian's singular values are bounded away from 0 where the Hessian's are not.",
            Kind.PAPER,
            "Appendix B, Lemmas B.2 and B.6",
            hessian,
        ),
        _claim(
            "only-there",
            "∇φ is no smoother than Hölder with exponent 1/(p−1) on the Hölder problem, and on Example 3 it is "
            "Lipschitz and the same for every p.",
            Kind.QUESTION,
            "whether anything on Example 3 can depend on p through φ",
            p_shows_only_on_hoelder,
        ),
    ),
    blocks=_blocks,
    caveats=(
        "Largest changes are over pairs that were looked at, half of them near y* = 0: a worse pair may exist, which "
        "could make an exponent smaller and no larger.",
        "On these problems the generalised Hessian is the identity by construction. On Example 2 it does not exist "
        "where a weight is 0; `unibio check problem=lp_regression` shows that.",
    ),
)
