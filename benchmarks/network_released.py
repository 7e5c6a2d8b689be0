"""Whether the released network loop, written anew, computes what ours does where the two can be compared."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd import grad

from batched import Disagreement
from measure import Row

#: The largest difference of derivatives in float64, relative to their largest entry.
TOLERANCE = 1e-9


def agree(width: int) -> Row:
    """How far its derivatives are from ours, with three classes and sentences of one length, so that nothing is padded.

    Raises:
        Disagreement: too far.
    """
    from network_data import pairs, problem
    from rivals.released import SECOND_BIASES, Released, flat

    data = pairs(40, 10, (6.0, 6.0), (6, 6))
    data = replace(data, vectors=data.vectors.double())
    theirs = Released(data, width, 8, classes=3, flipped=0.0)
    v = [torch.randn_like(w) for w in theirs.weights]
    with torch.no_grad():
        for place in SECOND_BIASES:
            theirs.weights[place].zero_()
            v[place].zero_()
    trained, checked = theirs.fresh(theirs.train), theirs.fresh(theirs.valid)
    slopes = theirs.slopes(trained)
    found = {
        "gradient": flat(slopes),
        "HVP": flat(theirs.product(slopes, v)),
        "JVP": theirs.mixed(trained, v),
        "upper gradient": flat(grad(theirs.upper(checked), theirs.weights)),
    }
    own = problem(width, data, torch.float64).derivatives
    x, y, direction = theirs.x.detach()[None], flat(theirs.weights).detach()[None], flat(v)[None]
    lower, upper = ((batch[0][None], batch[3][None]) for batch in (trained, checked))
    ours = {
        "gradient": own["grad_lower"](x, y, lower),
        "HVP": own["hvp"](x, y, direction, lower),
        "JVP": own["jvp"](x, y, direction, lower),
        "upper gradient": own["grad_upper"](x, y, upper)[1],
    }
    worst = max(_difference(name, found[name], ours[name], width) for name in found)
    note = "gradients, HVP and JVP, three classes, sentences of one length; relative to the largest entry"
    return Row(worst, "largest difference", TOLERANCE, f"network/{width}/iteration", True, note)


def _difference(name: str, theirs: Tensor, ours: Tensor, width: int) -> float:
    difference = float((theirs.detach() - ours[0]).abs().max() / ours.abs().max())
    if not difference <= TOLERANCE:
        raise Disagreement(f"released loop, {name} at {width} units: differs from ours by {difference}")
    return difference
