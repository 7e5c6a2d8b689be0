"""The two readings of "Gaussian noise on the gradients": on those of both levels, or on the lower level's only.

The text says "on the gradients", so both levels are the main reading. The released script has the lower one's only; ĥ
is then a function of y, and nothing but y is random. Records hold both: ``noise`` and ``upper_noise`` are axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unibio.studies.common.curves import values_of
from unibio.studies.common.evidence import Evidence, MissingRecordsError


@dataclass(frozen=True)
class Reading:
    """Which upper-level noise belongs to a noise level.

    Attributes:
        suffix: of names of claims, figures and tables; "" for the main reading.
        where: on which gradients, for sentences: "noise on …".
        short: the same for titles.
    """

    suffix: str
    where: str
    short: str

    @property
    def main(self) -> bool:
        """Whether it is the paper's text."""
        return not self.suffix

    @property
    def levels_named(self) -> str:
        """Which levels it is on, for headings: "noise on …"."""
        return "both levels" if self.main else "the lower level only"

    def upper(self, noise: float) -> float:
        """The upper-level noise beside a lower-level one of this level."""
        return noise if self.main else 0.0

    def holds(self, cell: Mapping[str, Any]) -> bool:
        """Whether a cell's noises belong to this reading; no upper noise where it names none."""
        return bool(np.isclose(cell.get("upper_noise", 0.0), self.upper(cell["noise"])))

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table with columns ``noise`` and ``upper_noise`` that belong to this reading.

        A table without ``upper_noise`` comes from records of a problem without such noise.
        """
        keep = [self.holds(cell) for cell in table.filter(["noise", "upper_noise"]).to_dict("records")]
        return table[np.array(keep, dtype=bool)]

    def levels(self, evidence: Evidence, experiment: str) -> list[float]:
        """The lower-level noises, ascending, at which an experiment has runs of this reading.

        Raises:
            MissingRecordsError: no records, or none of this reading with noise although there are others with noise.
        """
        found = evidence.require(experiment)
        upper, noises = values_of(found, "upper_noise"), values_of(found, "noise")
        here = [noise for noise in noises if self.upper(noise) in upper]
        if not here or (max(here) == 0 < max(noises)):
            raise MissingRecordsError(
                f"{experiment}, noise on {self.where}", evidence.command(experiment), evidence.root
            )
        return here


BOTH = Reading("", "the gradients of both levels", "both levels")
LOWER = Reading("_lower", "the lower level's gradient only", "lower level only")
READINGS = (BOTH, LOWER)
