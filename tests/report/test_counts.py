"""The headline counts every claim once, the paper's first, and never a reduced scale as a full one."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from unibio.report.counts import Counted, counted
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import NOT_RUN, RETURNED, in_words

CLAIMS = st.builds(
    lambda kind, verdict, scale: Counted(kind, in_words(verdict, kind), scale),
    st.sampled_from(Kind),
    st.sampled_from(RETURNED),
    st.sampled_from(["paper", "laptop", "paper with changes"]),
)


@given(st.lists(CLAIMS, max_size=40))
def test_every_claim_is_counted_once(claims: list[Counted]) -> None:
    found = counted(claims)
    assert list(found) == [kind for kind in Kind if any(claim.kind is kind for claim in claims)]
    for kind, text in found.items():
        mine = [claim for claim in claims if claim.kind is kind]
        assert sum(map(int, re.findall(r" (\d+)(?:[,;]|$)", text))) == len(mine)
        reduced = [claim for claim in mine if claim.scale != "paper" and claim.verdict != NOT_RUN]
        said = re.search(r"at a reduced scale \(([^)]*)\) ([^;]*)", text)
        assert bool(said) == bool(reduced)
        if said:
            assert set(said[1].split(", ")) == {claim.scale for claim in reduced}
            assert sum(map(int, re.findall(r" (\d+)(?:,|$)", " " + said[2]))) == len(reduced)


def test_nothing_is_counted_of_nothing() -> None:
    assert counted([]) == {}
