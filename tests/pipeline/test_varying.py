"""A configuration whose values vary is, job for job, the configuration that is composed for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from unibio.errors import InputError
from unibio.pipeline import hydra_internals, varying
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.hydra_internals import Override, combinations, parsed
from unibio.pipeline.varying import Varying, resolved, with_values

#: Values that depend on others in every way that a configuration knows.
TEXT = """
a: 1
b: ${a}
c: {d: 'x${b}', e: 5, f: '${.e}', g: {h: '${..e}', i: '${...a}'}}
j: ['${c.d}', {k: '${a}'}]
l: ${c.g}
m: ${oc.select:c.e,7}
n: plain
o: null
p: {}
q: ${table.${n}}
table: {plain: '${c.e}', other: '${a}'}
"""


def base() -> Any:
    config = OmegaConf.create(TEXT)
    OmegaConf.set_struct(config, True)
    return config


def overrides(*texts: str) -> Sequence[Override]:
    return [parsed(text) for text in texts]


VALUES = st.one_of(st.integers(-3, 3), st.sampled_from(["plain", "other", "null", "true", "0.5"]))


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["a", "c.e", "n", "o", "b"]), min_size=1, max_size=4, unique=True),
    draws=st.lists(st.lists(VALUES, min_size=4, max_size=4), min_size=1, max_size=5),
)
@pytest.mark.slow
def test_what_varies_is_resolved_as_the_whole_would_be(keys: list[str], draws: list[list[Any]]) -> None:
    one = Varying(base())
    for values in draws:
        if "n" in keys and values[keys.index("n")] not in ("plain", "other"):
            values[keys.index("n")] = "other"
        given_now = overrides(*(f"{key}={value}" for key, value in zip(keys, values, strict=False)))
        assert one.plain(given_now) == resolved(with_values(base(), given_now))


@pytest.mark.parametrize(
    "sweep",
    [
        ["+c.z=1", "+c.z=2"],
        ["p={x: 1}", "p={y: 2}"],
        ["~table.other", "~table.other"],
        ["a=${c.e}", "a=3"],
        ["a=[1]", "a=2"],
    ],
)
def test_what_can_not_be_set_twice_is_set_on_a_copy(sweep: list[str]) -> None:
    config = base()
    OmegaConf.set_struct(config, False)
    one = Varying(config)
    for text in sweep:
        assert one.plain(overrides(text)) == resolved(with_values(config, overrides(text)))


def test_a_value_that_cannot_be_computed_is_said_in_one_line_wherever_it_comes() -> None:
    one = Varying(base())
    one.plain(overrides("n=plain"))
    with pytest.raises(InputError, match="q = "):
        one.plain(overrides("n=missing"))
    with pytest.raises(InputError, match="nowhere"):
        Varying(base()).plain(overrides("nowhere=1"))


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_are_what_hydra_reads(number: float) -> None:
    swept = parsed(f"a={number!r},text")
    (element,), _ = combinations([swept])
    again = parsed(str(element.input_line))
    assert (element.value(), type(element.value())) == (again.value(), type(again.value()))
    assert (element.type, element.key_or_group, element.is_sweep_override()) == (again.type, "a", False)


def test_a_long_sweep_copies_and_parses_as_often_as_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planning thousands of jobs takes seconds because of this."""
    calls = {"with_values": 0, "parsed": 0}

    def counted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def counting(*arguments: Any) -> Any:
            calls[name] += 1
            return function(*arguments)

        monkeypatch.setattr(module, name, counting)

    counted(varying, "with_values")
    counted(hydra_internals, "parsed")
    found = []
    for count in (3, 40):
        before = dict(calls)
        with composer() as compose_one:
            jobs = expand(["tracker=none", f"records={tmp_path}", f"seed=range({count})", "steps=5"], compose_one)
        assert [job.config["seed"] for job in jobs] == list(range(count))
        assert len({job.name for job in jobs}) == count
        found.append({name: calls[name] - before[name] for name in calls})
    assert found[0] == found[1]
