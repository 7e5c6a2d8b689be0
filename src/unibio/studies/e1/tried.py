"""What the reader of the page may try of Appendix E.1: the cap on η."""

from __future__ import annotations

from unibio.studies.common import methods
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.trials import Caps
from unibio.studies.e1.search import SMALL_CAP, caps_of, place, ranking, searches


def tried(evidence: Evidence) -> Caps:
    """Criteria and ranks by the cap, on Example 3 without noise.

    Raises:
        MissingRecordsError: ``e1`` was not run.
        InputError: a record that is not a full grid of both steps.
    """
    found = searches(evidence, "e1")
    table = ranking(found, caps := caps_of(found))
    columns = {key: rows.sort_values("cap") for key, rows in table.groupby(["p", "method"])}
    groups = {
        f"p = {p}": [
            {
                "name": methods.label(name),
                "colour": methods.look(name)["color"],
                "criterion": columns[p, name]["criterion"].to_numpy(dtype=float),
                "rank": columns[p, name]["rank"].tolist(),
            }
            for name in sorted(here["method"].unique(), key=place)
        ]
        for p, here in table.groupby("p")
    }
    about = (
        "On Example 3 without noise every method has its best pair of steps among those with η up to the cap. The "
        "criterion is |∇φ| averaged over the run; methods within a tie share a rank."
    )
    return Caps(about, caps, SMALL_CAP, groups)
