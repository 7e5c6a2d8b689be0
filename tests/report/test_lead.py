"""The report's first screen: sentences that claims decide, and where in the paper what came out how."""

from __future__ import annotations

import pytest

from unibio.report import lead
from unibio.report.verdicts import Judged
from unibio.studies import CLAIMS
from unibio.studies.common.document import Bullets, Table, markdown
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import CONSISTENT, NOT_REPRODUCED, NOT_RUN, REPRODUCED, Outcome

OWN = [claim for claim in CLAIMS if claim.kind is Kind.PAPER]


def judged(verdicts: dict[str, str]) -> list[Judged]:
    """All claims, with these verdicts and the others not yet run."""
    return [Judged(claim, Outcome(verdicts.get(claim.id, NOT_RUN), "because"), "paper") for claim in CLAIMS]


def test_every_sentence_has_its_claim() -> None:
    assert set(lead.SENTENCES) <= {claim.id for claim in CLAIMS}


def test_without_records_nothing_is_said() -> None:
    assert list(lead.blocks(judged({}))) == []


@pytest.mark.parametrize("verdict", [REPRODUCED, NOT_REPRODUCED])
def test_a_sentence_ends_with_the_verdict_on_its_claim(verdict: str) -> None:
    first, *_ = lead.blocks(judged({"slower-iterations": verdict}))
    assert isinstance(first, Bullets)
    (text,) = first.items
    claim = next(claim for claim in CLAIMS if claim.id == "slower-iterations")
    assert f"“{claim.statement.rstrip('.')}”: **{verdict}** ([{claim.id}](#{claim.id}))." in text


def test_every_claim_of_the_paper_stands_once_in_its_place_under_its_verdict() -> None:
    given = {claim.id: (REPRODUCED, NOT_REPRODUCED, CONSISTENT)[k % 3] for k, claim in enumerate(OWN)}
    *_, table = lead.blocks(judged(given))
    assert isinstance(table, Table)
    assert list(table.header) == ["In the paper", REPRODUCED, NOT_REPRODUCED, CONSISTENT]
    text = markdown([table])
    for claim in OWN:
        assert text.count(f"[{claim.id}](#") == 1
        (row,) = (row for row in table.rows if any(f"[{claim.id}](#" in cell for cell in row))
        assert claim.source.startswith(row[0])
        assert f"[{claim.id}](#" in row[list(table.header).index(given[claim.id])]


def test_places_are_in_the_paper_s_order() -> None:
    *_, table = lead.blocks(judged(dict.fromkeys((claim.id for claim in OWN), REPRODUCED)))
    assert isinstance(table, Table)
    places = [row[0] for row in table.rows]
    assert places.index("Section 4") < places.index("Theorem 5.1") < places.index("Section 6")
    assert places.index("Section 6") < places.index("Appendix B") < places.index("Appendix E.1")
    assert len(places) == len(set(places))
