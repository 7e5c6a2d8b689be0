"""The report's first screen: sentences that claims decide, and where in the paper what came out how."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from synthetic import study, synthetic_study
from unibio.report import lead
from unibio.report.verdicts import Judged
from unibio.studies import CLAIMS, DRAWINGS
from unibio.studies.common.document import Block, Bullets, Heading, Paragraph, Table, Thumbnails, markdown
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import CONSISTENT, NOT_REPRODUCED, NOT_RUN, REPRODUCED, Outcome

OWN = [claim for claim in CLAIMS if claim.kind is Kind.PAPER]


def judged(verdicts: dict[str, str]) -> list[Judged]:
    """All claims, with these verdicts and the others not yet run."""
    return [Judged(claim, Outcome(verdicts.get(claim.id, NOT_RUN), "because"), "paper") for claim in CLAIMS]


def first_screen(
    verdicts: dict[str, str], evidence: Evidence | None = None, out: Path = Path("nowhere")
) -> list[Block]:
    return list(lead.blocks(judged(verdicts), evidence or study(), out))


def test_every_sentence_has_its_claim_and_every_small_picture_its_figure() -> None:
    assert set(lead.SENTENCES) <= {claim.id for claim in CLAIMS}
    assert set(lead.AT_A_GLANCE) <= set(DRAWINGS)


def test_the_paper_is_named_and_linked() -> None:
    heading, text = lead.title_of_paper()
    assert isinstance(heading, Heading)
    assert (heading.level, heading.text) == (1, f"{lead.PAPER}: what is reproduced")
    assert isinstance(text, Paragraph)
    assert f"]({lead.ARXIV})" in text.text
    assert f"]({lead.RELEASED})" in text.text
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    assert lead.PAPER in readme
    assert lead.ARXIV in readme


def test_without_records_nothing_is_said() -> None:
    assert first_screen({}) == []


def test_the_first_sentence_counts_what_was_tested() -> None:
    theirs = next(claim for claim in CLAIMS if claim.kind is not Kind.PAPER)
    first, *_ = first_screen({OWN[0].id: REPRODUCED, OWN[1].id: NOT_REPRODUCED, theirs.id: REPRODUCED})
    assert isinstance(first, Bullets)
    assert f"2 of the paper's {len(OWN)} claims were tested here, and 1 beside them" in first.items[0]
    waiting = f"not yet run {len(OWN) - 2}"
    assert first.items[0].endswith(f"**The paper's own claims**: reproduced 1, not reproduced 1; {waiting}.")


def test_three_of_the_pictures_that_are_there_lead_to_their_figures(tmp_path: Path) -> None:
    given = study(**{name: synthetic_study(steps=60)[name]() for name in ("fig1", "fig1_equal", "fig5")})
    (tmp_path / "figures").mkdir()
    shown = ["fig1_equal", "hoelder_fig1", "fig1"]
    for name in shown:  # of the second there are no records: it shows something that was thrown away
        Image.new("RGB", (8, 8)).save(tmp_path / f"figures/{name}.png")
    small = [block for block in first_screen({OWN[0].id: REPRODUCED}, given, tmp_path) if isinstance(block, Thumbnails)]
    assert [[(path, anchor) for path, _, anchor in block.items] for block in small] == [
        [("figures/fig1_equal.png", "fig1_equal"), ("figures/fig1.png", "fig1")]
    ]
    assert all(title == DRAWINGS[anchor].title for _, title, anchor in small[0].items)


@pytest.mark.parametrize("verdict", [REPRODUCED, NOT_REPRODUCED])
def test_a_sentence_ends_with_the_verdict_on_its_claim(verdict: str) -> None:
    first, *_ = first_screen({"slower-iterations": verdict})
    assert isinstance(first, Bullets)
    _, text = first.items
    claim = next(claim for claim in CLAIMS if claim.id == "slower-iterations")
    assert f"“{claim.statement.rstrip('.')}”: **{verdict}** ([{claim.id}](#{claim.id}))." in text


def test_every_claim_of_the_paper_stands_once_in_its_place_under_its_verdict() -> None:
    given = {claim.id: (REPRODUCED, NOT_REPRODUCED, CONSISTENT)[k % 3] for k, claim in enumerate(OWN)}
    *_, table = first_screen(given)
    assert isinstance(table, Table)
    assert list(table.header) == ["In the paper", REPRODUCED, NOT_REPRODUCED, CONSISTENT]
    text = markdown([table])
    for claim in OWN:
        assert text.count(f"[{claim.id}](#") == 1
        (row,) = (row for row in table.rows if any(f"[{claim.id}](#" in cell for cell in row))
        assert claim.source.startswith(row[0])
        assert f"[{claim.id}](#" in row[list(table.header).index(given[claim.id])]


def test_places_are_in_the_paper_s_order() -> None:
    *_, table = first_screen(dict.fromkeys((claim.id for claim in OWN), REPRODUCED))
    assert isinstance(table, Table)
    places = [row[0] for row in table.rows]
    assert places.index("Section 4") < places.index("Theorem 5.1") < places.index("Section 6")
    assert places.index("Section 6") < places.index("Appendix B") < places.index("Appendix E.1")
    assert len(places) == len(set(places))
