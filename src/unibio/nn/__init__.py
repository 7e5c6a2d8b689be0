"""Torch modules and data sets as bilevel problems, and update rules: ``docs/your-own-model.md`` shows how.

This room turns an ``nn.Module`` a level, and a map-style data set a level, into an ordinary
:class:`~unibio.core.problem.Problem`, which every algorithm takes. It imports the core only, whose update rules and
schedules are named here for those who write models.
"""

from unibio.core.rules import SGD, Adam, AdamW, Update, constant, cosine, power, warm_up
from unibio.nn.batch import Batch
from unibio.nn.problem import module_problem

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Batch",
    "Update",
    "constant",
    "cosine",
    "module_problem",
    "power",
    "warm_up",
]
