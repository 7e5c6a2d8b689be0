"""Fit power laws to the averaged hypergradient norm of Figure 5, over several ranges or one of your own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from unibio.analysis.curves import curves
from unibio.analysis.rates import bound_exponent, fit_power_law
from unibio.analysis.study import MissingRecordsError, Study
from unibio.errors import InputError
from unibio.figures import fig5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records")
    parser.add_argument("--out", type=Path, default=Path("results"), help="for tables/fit_rates.csv")
    parser.add_argument("--experiment", default="fig5", help="whose curves to fit")
    parser.add_argument("--metric", default="hypergradient_norm_mean", help="column of the history to fit")
    parser.add_argument("--low", type=float, default=None, help="first iteration of the fit range")
    parser.add_argument("--high", type=float, default=None, help="last iteration of the fit range")
    options = parser.parse_args()
    study = Study(options.records)
    given = (options.experiment, options.metric, options.low, options.high)
    standard = given == ("fig5", "hypergradient_norm_mean", None, None)
    try:
        table = fig5.fits(study) if standard else _own(study, options)
    except (InputError, MissingRecordsError) as error:
        print(f"fit_rates: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    target = options.out / "tables" / "fit_rates.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(target, index=False, float_format="%.8g", lineterminator="\n")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    print(target)


def _own(study: Study, options: argparse.Namespace) -> pd.DataFrame:
    """One fit per curve over the range asked for."""
    rows = []
    for record in study.require(options.experiment):
        if options.metric not in record.history:
            raise InputError(f"--metric {options.metric} is no column of {record.name}")
        for curve in curves(record, options.metric):
            fit = fit_power_law(curve.iterations, curve.values, options.low, options.high)
            row = {"p": curve.exponent, **curve.cell, "low": fit.low, "high": fit.high, "slope": fit.slope}
            row |= {"error": fit.error, "interval_low": fit.interval[0], "interval_high": fit.interval[1]}
            rows.append(row | {"bound": bound_exponent(curve.exponent)})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
