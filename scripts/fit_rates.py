"""Fit power laws to the averaged hypergradient norm of Figure 5, over several ranges or one of your own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from unibio.cli.entry import Parser, directory_of_records, number
from unibio.cli.searching import script
from unibio.errors import InputError
from unibio.studies.common.curves import curves
from unibio.studies.common.evidence import Evidence, MissingRecordsError
from unibio.studies.common.rates import COLUMNS, bound_exponent, fit_power_law
from unibio.studies.fig5.figures import fits


def main(arguments: Sequence[str]) -> None:
    parser = Parser("fit_rates.py", __doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records")
    parser.add_argument("--out", type=Path, default=Path("results"), help="for tables/fit_rates.csv")
    parser.add_argument("--experiment", default="fig5", help="whose curves to fit")
    parser.add_argument("--metric", default="hypergradient_norm_mean", help="column of the history to fit")
    parser.add_argument("--low", type=number, default=None, help="first iteration of the fit range")
    parser.add_argument("--high", type=number, default=None, help="last iteration of the fit range")
    options = parser.read(arguments)
    evidence = Evidence(directory_of_records(options.records))
    given = (options.experiment, options.metric, options.low, options.high)
    standard = given == ("fig5", "hypergradient_norm_mean", None, None)
    try:
        table = fits(evidence) if standard else _own(evidence, options)
    except MissingRecordsError as error:
        raise InputError(str(error)) from None
    target = options.out / "tables" / "fit_rates.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(target, index=False, float_format="%.8g", lineterminator="\n")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    print(target)


def _own(evidence: Evidence, options: argparse.Namespace) -> pd.DataFrame:
    """One fit per curve over the range asked for."""
    rows = []
    for record in evidence.require(options.experiment):
        if options.metric not in record.history:
            raise InputError(f"--metric {options.metric} is no column of {record.name}")
        for curve in curves(record, options.metric):
            fit = fit_power_law(curve.iterations, curve.values, options.low, options.high)
            fitted = dict(zip(COLUMNS, fit.row(), strict=True))
            rows.append({"p": curve.exponent, **curve.cell, **fitted, "bound": bound_exponent(curve.exponent)})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    with script("fit_rates") as words:
        main(words)
