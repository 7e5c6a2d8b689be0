"""How figures name a metric, a noise level and an exponent."""

from __future__ import annotations

from matplotlib.lines import Line2D

from unibio.store.records import Record
from unibio.studies.common import style
from unibio.studies.common.evidence import dimension, paper_step, setting


def norm_label(record: Record) -> str:
    """The metric as the axis names it: an absolute value in one dimension, a norm in several."""
    return "hypergradient norm |∇φ(xₜ)|" if dimension(record) == 1 else "hypergradient norm ‖∇φ(xₜ)‖"


def noise_title(record: Record, noise: float, upper: float | None = None, second: float = 0.0) -> str:
    """A panel's title: the noise level in the record's reading, and which gradients have it.

    Args:
        record: whose noise it is.
        noise: of the lower level.
        upper: of the upper level; None where the record's problem, or its algorithm, knows none.
        second: of the generalised second derivatives.
    """
    reading = {"variance": "variance", "std": "standard deviation"}[setting(record, "noise_reading") or "variance"]
    more = f", second derivatives {second:g}" if second else ""
    if not noise and not upper:
        return f"no noise{more}"
    if upper is None:
        return f"noise of {reading} {noise:g}{more}"
    if upper == noise:
        return f"{reading} {noise:g}, both levels{more}"
    if not upper:
        return f"{reading} {noise:g}, lower level only{more}"
    return f"{reading} {noise:g} and {upper:g}, lower and upper{more}"


def exponent_handles(found: list[Record], with_step: bool = True) -> list[Line2D]:
    """Legend entries p = …, with the paper's η."""
    handles = {}
    for record in found:
        p, step = int(record.config["problem"]["exponent"]), paper_step(record)
        label = f"p = {p}, η = {step:.3g}" if with_step and step is not None else f"p = {p}"
        handles[p] = style.handle(label, **style.of_exponent(p) | {"linestyle": "-"})
    return list(handles.values())
