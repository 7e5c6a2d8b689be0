"""No rule confirms a claim on records of an algorithm that is broken; and every rule can confirm it on others."""

from __future__ import annotations

from pathlib import Path

import pytest

from twins.page import COMMAND, PAGE, written
from twins.table import NEVER, TWINS, Twin, outcome
from unibio.studies import CLAIMS
from unibio.studies.common.verdicts import PASSED

IDS = [claim.id for claim in CLAIMS]


def named(twin: Twin) -> str:
    return f"{twin.what}, {twin.made}: {twin.claims[0]}"


@pytest.mark.slow
@pytest.mark.parametrize("twin", [twin for twin in TWINS if twin.broken], ids=named)
def test_what_is_broken_is_not_confirmed(twin: Twin) -> None:
    confirmed = {name: outcome(twin, name).explanation for name in twin.ids if outcome(twin, name).verdict in PASSED}
    assert confirmed == {}


@pytest.mark.slow
@pytest.mark.parametrize("twin", [twin for twin in TWINS if not twin.broken], ids=named)
def test_what_is_as_claimed_is_confirmed(twin: Twin) -> None:
    refused = {name: outcome(twin, name).explanation for name in twin.ids if outcome(twin, name).verdict not in PASSED}
    assert refused == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", IDS)
def test_every_claim_has_a_broken_twin_whose_runs_all_finish(name: str) -> None:
    """Divergence is easy to see; what finishes with finite numbers is not."""
    mine = [twin for twin in TWINS if twin.broken and name in twin.ids]
    assert mine, f"{name} has no broken twin: give it one in tests/twins/table.py"
    assert any(twin.finite for twin in mine), f"no broken twin of {name} finishes with finite numbers"


@pytest.mark.one_in(9)
@pytest.mark.parametrize("name", [name for name in IDS if name not in NEVER])
def test_every_claim_is_confirmed_by_some_records(name: str) -> None:
    assert any(name in twin.ids for twin in TWINS if not twin.broken), f"{name} has no records that confirm it"


def test_a_pattern_names_a_claim() -> None:
    """A claim that is renamed does not lose its twins unnoticed."""
    for twin in TWINS:
        assert twin.ids, f"{named(twin)} is a twin of no claim"
    assert set(NEVER) <= set(IDS)


@pytest.mark.slow
def test_the_page_is_what_the_twins_give() -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    assert page == written(page), f"docs/verdicts.md is not what the twins give now: write it anew with {COMMAND}"
